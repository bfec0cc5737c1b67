"""A translation memory in an SQLite file: each text is translated once, and a run can continue."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from univar.errors import DataError
from univar.schema import former_languages
from univar.translate.engines import Translator
from univar.translate.sentences import split

BLOCK = 512
"""Texts translated between two commits."""

_TABLE = """CREATE TABLE IF NOT EXISTS translations (
    engine TEXT, source TEXT, target TEXT, hash BLOB, translation TEXT NOT NULL,
    PRIMARY KEY (engine, source, target, hash)) WITHOUT ROWID"""


class Memory:
    """An open memory for one engine. Raises DataError for a file that is not a memory."""

    def __init__(self, path: Path | str, translator: Translator) -> None:
        self._translator = translator
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(_TABLE)
        except sqlite3.Error as error:
            raise DataError(f"{path} is not a translation memory ({error}): choose another --out") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def translate(self, texts: Iterable[str], origin: str, target: str) -> dict[str, str]:
        """{text: translation}; texts without a translation are missing."""
        wanted = list(dict.fromkeys(texts))
        found = {text: self._find(text, origin, target) for text in wanted}
        missing = [text for text in wanted if found[text] is None]
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            done = self._fresh(block, origin, target)
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO translations VALUES (?, ?, ?, ?, ?)",
                [(self._translator.name, origin, target, _hash(text), new) for text, new in done.items()],
            )
            self._db.execute("COMMIT")
            found.update(done)
        return {text: translation for text, translation in found.items() if translation is not None}

    def _find(self, text: str, origin: str, target: str) -> str | None:
        for old, new in itertools.product(*((code, *former_languages(code)) for code in (origin, target))):
            row = self._db.execute(
                "SELECT translation FROM translations WHERE engine = ? AND source = ? AND target = ? AND "
                "hash = ?",
                (self._translator.name, old, new, _hash(text)),
            ).fetchone()
            if row is not None:
                return row[0]
        return None

    def _fresh(self, texts: Sequence[str], origin: str, target: str) -> dict[str, str]:
        """New translations. A text with an untranslated sentence has none."""
        if not self._translator.sentencewise:
            whole = self._translator.translate(texts, origin, target)
            return {text: new for text, new in zip(texts, whole, strict=True) if new}
        pieces = {text: split(text) for text in texts}
        sentences = list(dict.fromkeys(s for piece in pieces.values() for s in piece.sentences))
        translated = dict(zip(sentences, self._translator.translate(sentences, origin, target), strict=True))
        good = {sentence: new for sentence, new in translated.items() if new is not None}
        return {
            text: piece.joined(good, target)
            for text, piece in pieces.items()
            if all(sentence in good for sentence in piece.sentences)
        }


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
