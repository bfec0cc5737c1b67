"""Splitting texts into sentences, and joining them again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from univar.schema import language_family

MAX_CHARS = 400
"""Longer sentences are cut, if possible at a comma or space, since translators drop what follows."""

UNSPACED = frozenset(("zho", "jpn", "tha", "khm", "lao", "mya", "yue", "bod"))
"""Languages without a space between sentences."""

_ENDS = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？।؟۔])[”』」）]*\s*")
_WORDS = re.compile(r"\w")
_CUTS = (re.compile(r"[,;:，、；：]\s*"), re.compile(r"\s+"))


@dataclass(frozen=True)
class Pieces:
    """A text in pieces. lines: the sentences of each line; pieces without words are not translated."""

    lines: tuple[tuple[str, ...], ...]

    @property
    def sentences(self) -> list[str]:
        """The sentences to translate, in order."""
        return [sentence for line in self.lines for sentence in line if _WORDS.search(sentence)]

    def joined(self, translations: dict[str, str], target: str) -> str:
        """The text with its sentences replaced, {sentence: translation}; target: a language label."""
        space = "" if UNSPACED.intersection(language_family(target)) else " "
        return "\n".join(
            space.join(translations.get(sentence, sentence) for sentence in line) for line in self.lines
        )


def split(text: str) -> Pieces:
    """Split `text` into lines and sentences."""
    return Pieces(tuple(tuple(_sentences(line)) for line in text.strip().split("\n")))


def _sentences(line: str) -> list[str]:
    found, start = [], 0
    for end in _ENDS.finditer(line):
        found.append(line[start : end.end()])
        start = end.end()
    found.append(line[start:])
    stripped = (sentence.strip() for sentence in found)
    return [piece for sentence in stripped if sentence for piece in _short(sentence)]


def _short(sentence: str) -> list[str]:
    """`sentence` in pieces of at most MAX_CHARS characters."""
    pieces = []
    while len(sentence) > MAX_CHARS:
        places = (
            [match.end() for match in cut.finditer(sentence, MAX_CHARS // 2, MAX_CHARS)] for cut in _CUTS
        )
        at = next((found[-1] for found in places if found), MAX_CHARS)
        pieces.append(sentence[:at].strip())
        sentence = sentence[at:].strip()
    return [*pieces, sentence] if sentence else pieces
