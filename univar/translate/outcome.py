"""What became of a text: its translation, or the reason why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from univar.answers.loops import is_loop

EMPTY = "the translation is empty"
LOOPS = "the translation repeats itself"
NO_END = "the translation has no end"
TOO_LONG = "a sentence is longer than the translator reads"
NONE = "the translator gave none"

LOOP_CHARS = 24
_REPEATED = re.compile(r"([^\n]{8,60}?)\1{4,}|([^\n]{1,40}?)\2{7,}")
"""A stretch of eight characters and more five times in a row, or a shorter one eight times."""


@dataclass(frozen=True)
class Untranslated:
    """A text without a usable translation. reason: as counted; text: what the engine gave."""

    reason: str
    text: str = ""


Outcome = str | Untranslated | None
"""A translation, or why there is none (None: the engine does not say)."""


def checked(original: str, outcome: Outcome) -> str | Untranslated:
    """The translation of `original` if it is one: not empty, and no loop that `original` is not too."""
    if outcome is None:
        return Untranslated(NONE)
    if isinstance(outcome, Untranslated):
        return outcome
    if not outcome.strip():
        return Untranslated(EMPTY, outcome)
    if repeats(outcome) and not repeats(original):
        return Untranslated(LOOPS, outcome)
    return outcome


def repeats(text: str) -> bool:
    """Whether a stretch of `text` comes again and again over LOOP_CHARS, or its end is a loop."""
    return is_loop(text) or any(
        len(found[0]) >= LOOP_CHARS and any(map(str.isalnum, found[0])) for found in _REPEATED.finditer(text)
    )
