"""Which texts the service takes: those in which there is something to read."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from itertools import groupby

_READABLE = frozenset("LNPS")
"""Letters, numbers, punctuation and symbols, by the first letter of the Unicode category."""


def is_readable(text: str) -> bool:
    """The text has a letter, number, punctuation mark or symbol; spaces and controls alone have no token."""
    return any(unicodedata.category(character)[0] in _READABLE for character in text)


@cache
def readable_pattern() -> str:
    """`is_readable` as a regular expression for the OpenAPI document."""
    codes = range(0x21, sys.maxunicode + 1)
    runs = groupby(codes, lambda code: unicodedata.category(chr(code))[0] in _READABLE)
    ranges = []
    for readable, members in runs:
        if readable:
            first, *rest = members
            ranges.append((first, rest[-1] if rest else first))
    return "[" + "".join(f"{_literal(a)}-{_literal(b)}" for a, b in ranges) + "]"


def _literal(code: int) -> str:
    """A character of a class, escaped where it would mean something there."""
    character = chr(code)
    return "\\" + character if character in "\\]^-[" else character
