"""A translation memory in an SQLite file: each text is translated once, and a run can continue."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from univar.errors import DataError
from univar.schema import former_languages
from univar.translate.engines import Translator
from univar.translate.outcome import NONE, Untranslated, checked
from univar.translate.sentences import Pieces, split

BLOCK = 512
"""Texts translated between two commits."""

_TABLE = """CREATE TABLE IF NOT EXISTS translations (
    engine TEXT, source TEXT, target TEXT, hash BLOB, translation TEXT NOT NULL,
    PRIMARY KEY (engine, source, target, hash)) WITHOUT ROWID"""

Outcomes = dict[str, str | Untranslated]
"""Each text with its translation, or with why there is none."""


class Memory:
    """An open memory for one engine. Raises DataError for a file that is not a memory."""

    def __init__(self, path: Path | str, translator: Translator) -> None:
        self._translator = translator
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(_TABLE)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a translation memory ({error}): choose another --out") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def translate(self, texts: Iterable[str], origin: str, target: str) -> Outcomes:
        """What became of each text. Translations are kept; those of earlier runs are checked too."""
        found = {text: self._find(text, origin, target) for text in dict.fromkeys(texts)}
        missing = [text for text, outcome in found.items() if not isinstance(outcome, str)]
        for start in range(0, len(missing), BLOCK):
            done = self._fresh(missing[start : start + BLOCK], origin, target)
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO translations VALUES (?, ?, ?, ?, ?)",
                [
                    (self._translator.name, origin, target, _hash(text), new)
                    for text, new in done.items()
                    if isinstance(new, str)
                ],
            )
            self._db.execute("COMMIT")
            found.update(done)
        return found

    def _find(self, text: str, origin: str, target: str) -> str | Untranslated:
        for old, new in itertools.product(*((code, *former_languages(code)) for code in (origin, target))):
            row = self._db.execute(
                "SELECT translation FROM translations WHERE engine = ? AND source = ? AND target = ? AND "
                "hash = ?",
                (self._translator.name, old, new, _hash(text)),
            ).fetchone()
            if row is not None:
                return checked(text, row[0])
        return Untranslated(NONE)

    def _fresh(self, texts: Sequence[str], origin: str, target: str) -> Outcomes:
        """New translations. A text with an untranslated sentence has none."""
        if not self._translator.sentencewise:
            return self._ask(texts, origin, target)
        pieces = {text: split(text) for text in texts}
        sentences = list(dict.fromkeys(s for piece in pieces.values() for s in piece.sentences))
        done = self._ask(sentences, origin, target)
        return {text: checked(text, _joined(piece, done, target)) for text, piece in pieces.items()}

    def _ask(self, texts: Sequence[str], origin: str, target: str) -> Outcomes:
        outcomes = self._translator.translate(texts, origin, target)
        return {text: checked(text, new) for text, new in zip(texts, outcomes, strict=True)}


def _joined(pieces: Pieces, done: Mapping[str, str | Untranslated], target: str) -> str | Untranslated:
    """The translated text, or what the first untranslated sentence lacks."""
    good: dict[str, str] = {}
    for sentence in pieces.sentences:
        outcome = done[sentence]
        if isinstance(outcome, Untranslated):
            return outcome
        good[sentence] = outcome
    return pieces.joined(good, target)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
