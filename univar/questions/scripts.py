"""Which script a text is written in: the cheap test that a translation is in its language at all."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

SCRIPTS: dict[str, frozenset[str]] = {
    "zho": frozenset({"CJK"}),
    "jpn": frozenset({"CJK", "HIRAGANA", "KATAKANA"}),
    "kor": frozenset({"HANGUL"}),
    "arb": frozenset({"ARABIC"}),
    "pes": frozenset({"ARABIC"}),
    "hin": frozenset({"DEVANAGARI"}),
    "tha": frozenset({"THAI"}),
    "rus": frozenset({"CYRILLIC"}),
    "bul": frozenset({"CYRILLIC"}),
}
"""First words of the Unicode names of a language's letters; languages not named here use Latin letters."""

LATIN_LANGUAGES = frozenset("eng spa fra por deu ind swh ita nld swe fin ron vie tur tgl zsm hat quy".split())
REQUIRED_SCRIPTS: dict[str, str] = {"jpn": "HIRAGANA"}
"""A script without which a text is not in the language: Japanese without kana is Chinese."""


def script_share(text: str, language: str) -> float | None:
    """Share of the letters of `text` in the script of `language`; 0 if a required script is absent.

    None if the language's script is not known here, or if the text has no letters.
    """
    wanted = SCRIPTS.get(language, frozenset({"LATIN"}) if language in LATIN_LANGUAGES else frozenset())
    letters = [_script(letter) for letter in text if letter.isalpha()]
    if not wanted or not letters:
        return None
    if language in REQUIRED_SCRIPTS and REQUIRED_SCRIPTS[language] not in letters:
        return 0.0
    return sum(script in wanted for script in letters) / len(letters)


@lru_cache(maxsize=65536)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "?").split()[0]
