"""Answers that repeat themselves: a model that fell into a loop.

Four signs, from cheap to dear. The end repeats one stretch. A stretch is repeated in the middle. Most of the
text is a few sentences that come again and again (numbers aside). The whole text packs to an eighth.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter

from univar.answers.endings import n_letters

LOOP_CHARS = 60
"""A shorter repetition at the end may be meant."""
LOOP_TIMES = 5
_LOOP_TAIL = 800
_LONGEST_UNIT = 150
_MARKS_CHARS = 300
"""So long a repetition of marks alone, such as `| | |`, is no ruled line."""

_INNER_CHARS = 120
_LEAST_PACKED = 1.8
_INNER_PACKED = 3.0
_SHORT_PACKED = 2.0
"""Short texts pack less well."""
_INNER = re.compile(r"(.{1,60}?)\1{7,}", re.DOTALL)

_SENTENCE = re.compile(r"[^.!?。！？।؟\n]+")
_NUMBERING = " \t0123456789()*|-•#\"'"
_MARKUP = " \t*|\"'"
_LEAST_SENTENCE = 8
_LONG_TIMES = 3
"""How often a sentence of LOOP_CHARS and more has to come."""
_PROSE = 0.7
_MOST = 0.5

_PACKED = 8.0
_PACKED_CHARS = 600
_SPACES = re.compile(r"\s+")
_RULES = re.compile(r"[-+|=_*#~. \u2500-\u257f]{4,}")
_FEW = 0.2
"""Ruled lines of tables may be long; a text with less than this share of anything else is a loop."""


def is_loop(text: str) -> bool:
    """Whether `text` repeats itself as only a model in a loop does."""
    if ends_in_loop(text):
        return True
    spaced = _SPACES.sub(" ", text)
    if packed(spaced) < _LEAST_PACKED:
        return False
    squeezed = _RULES.sub(" ", spaced)
    return (
        (len(spaced) >= _MARKS_CHARS and len(squeezed) < _FEW * len(spaced))
        or _packs_like_a_loop(squeezed)
        or _is_few_sentences(text)
    )


def packed(text: str) -> float:
    """Bytes of `text` per byte that it packs to: about 2 for prose, more where it repeats itself."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded, 1))


def ends_in_loop(text: str) -> bool:
    """Whether the end of `text` is one stretch of at most 150 characters, at least LOOP_TIMES in a row."""
    tail = text.rstrip()[-_LOOP_TAIL:]
    dense = sum("\u2e80" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7af" for c in tail[-100:]) > 50
    least = LOOP_CHARS // 3 if dense else LOOP_CHARS
    for unit in range(1, min(_LONGEST_UNIT, len(tail) // LOOP_TIMES) + 1):
        size = max(unit * LOOP_TIMES, least)
        end = tail[-size:]
        if len(end) == size and end[unit:] == end[:-unit] and any(map(str.isalnum, end[:unit])):
            return True
    return False


def _packs_like_a_loop(text: str) -> bool:
    ratio, is_short = packed(text), len(text) < _PACKED_CHARS
    if ratio >= _PACKED and not is_short:
        return True
    least = _SHORT_PACKED if is_short else _INNER_PACKED
    return ratio >= least and any(map(_is_long, _INNER.finditer(text)))


def _is_long(repetition: re.Match[str]) -> bool:
    least = _INNER_CHARS if any(map(str.isalnum, repetition[1])) else _MARKS_CHARS
    return n_letters(repetition[0]) >= least


def _is_few_sentences(text: str) -> bool:
    """Whether sentences that come LOOP_TIMES and more, numbers before them aside, make most of a text."""
    sentences = [sentence.lstrip(_NUMBERING).rstrip(_MARKUP) for sentence in _SENTENCE.findall(text)]
    counts = Counter(sentence for sentence in sentences if len(sentence) >= _LEAST_SENTENCE)
    repeated = sum(
        len(sentence) * count
        for sentence, count in counts.items()
        if count >= (LOOP_TIMES if len(sentence) < LOOP_CHARS else _LONG_TIMES) and _is_prose(sentence)
    )
    return repeated >= max(2 * LOOP_CHARS, _MOST * sum(map(len, sentences)))


def _is_prose(sentence: str) -> bool:
    """Whether a sentence is of letters; code and formulas repeat themselves for good reasons."""
    return sum(map(str.isalpha, sentence)) >= _PROSE * sum(not letter.isspace() for letter in sentence)
