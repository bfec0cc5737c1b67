"""Splitting texts into sentences, and joining them again.

Two sentences in one piece do no harm, half a sentence does: so a full stop ends a sentence only where it
cannot belong to an abbreviation, an initial, a number or an ellipsis. Of the libraries looked at, sentencex
1.0.32 ends a sentence after `Dr.` and `M.` in French, `tri.` in Finnish and `डॉ.` in Hindi, and pysbd 0.3.4
(of 2021) after `Sr.` in Spanish and inside `$4.50...`; these rules are right there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from univar.schema import language_family

MAX_CHARS = 400
"""Longer sentences are cut, if possible at a comma or space, since translators drop what follows."""

UNSPACED = frozenset(("zho", "jpn", "tha", "khm", "lao", "mya", "yue", "bod"))
"""Languages without a space between sentences."""

ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof jr st gen col lt sgt capt rev pres gov sen rep vs etc al approx dept est ed eds inc "
    "ltd corp ee uu ff aa "
    "mme mmes mlle mgr av env apr sr sra srta dra sres ud uds ej aprox tel sig sigg dott ing avv ecc exmo "
    "bzw ca evtl ggf inkl exkl bspw usw str bd hr hrn dhr mevr bijv enz np tzn itd itp ul tzv atd atp např "
    "ex dvs osv bl kl esim tri ts jne ks mm ym vb örn dll dsb yth sdr sdri "
    "т д п е г гг ул рис гл им проф др см руб тыс млн млрд стр напр ім вул "
    "κ κα κος κυρ δηλ πχ श्री प्रो".split()
)
"""Words before a full stop that are seldom the last of a sentence, in any language and small letters."""

NUMBERED = frozenset("no nos nr núm num fig figs pp pág págs pag art arts vol chap cap ch sec abs".split())
"""Words before a full stop that go with the number after it."""

_ENDS = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？।؟۔])[”』」）]*\s*")
_LAST_WORD = re.compile(r"([^\s(\[{«»“”\"‘]*?)([.…]+)[\"'”’»)\]]*$")
_WORDS = re.compile(r"\w")
_LOOKED_AT = 80
_ROMAN = re.compile(r"[IVX]{1,4}")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,3}\.)+[^\W\d_]{1,3}")
_CUTS = (re.compile(r"(?<=\.\.)\s+|(?<=…)\s+"), re.compile(r"[,;:，、；：]\s*"), re.compile(r"\s+"))


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
    has_capitals = next((letter.isupper() for letter in line if letter.isalpha()), False)
    for end in _ENDS.finditer(line):
        before = line[max(start, end.end() - _LOOKED_AT) : end.end()].rstrip()
        after = line[end.end() : end.end() + 1]
        if not (has_capitals and after.islower()) and not _goes_on(before, after):
            found.append(line[start : end.end()])
            start = end.end()
    found.append(line[start:])
    stripped = (sentence.strip() for sentence in found)
    return [piece for sentence in stripped if sentence for piece in _short(sentence)]


def _goes_on(before: str, after: str) -> bool:
    """Whether the full stop at the end of `before` is none of a sentence; `after` is the next letter."""
    last = _LAST_WORD.search(before)
    if last is None:
        return False  # another mark than a full stop
    word, stops = last.groups()
    parts = word.casefold().split(".")
    return (
        len(stops) > 1  # an ellipsis
        or stops == "…"
        or (word.isdecimal() and len(word) < 3)
        or sum(map(str.isalpha, parts[-1])) == 1  # an initial, also of `e.g.`
        or parts[-1] in ABBREVIATIONS
        or _ROMAN.fullmatch(word) is not None
        or _DOTTED.fullmatch(word) is not None
        or (parts[-1] in NUMBERED and after.isdecimal())
    )


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
