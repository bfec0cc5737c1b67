"""Whether a text is written in the script of its language."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from univar.schema import language_family

SCRIPTS: dict[str, frozenset[str]] = {
    "zho": frozenset({"CJK"}),
    "jpn": frozenset({"CJK", "HIRAGANA", "KATAKANA"}),
    "kor": frozenset({"HANGUL"}),
    "arb": frozenset({"ARABIC"}),
    "fas": frozenset({"ARABIC"}),
    "hin": frozenset({"DEVANAGARI"}),
    "tha": frozenset({"THAI"}),
    "rus": frozenset({"CYRILLIC"}),
    "bul": frozenset({"CYRILLIC"}),
    "ukr": frozenset({"CYRILLIC"}),
    "ell": frozenset({"GREEK"}),
    "heb": frozenset({"HEBREW"}),
    "urd": frozenset({"ARABIC"}),
    "ben": frozenset({"BENGALI"}),
    "tam": frozenset({"TAMIL"}),
    "tel": frozenset({"TELUGU"}),
    "nep": frozenset({"DEVANAGARI"}),
    "mar": frozenset({"DEVANAGARI"}),
    "hye": frozenset({"ARMENIAN"}),
    "amh": frozenset({"ETHIOPIC"}),
    "khm": frozenset({"KHMER"}),
    "mya": frozenset({"MYANMAR"}),
}
"""First words of the Unicode names of a language's letters, for languages without Latin letters."""

SCRIPT_NAMES: dict[str, frozenset[str]] = {
    "Latn": frozenset({"LATIN"}),
    "Cyrl": frozenset({"CYRILLIC"}),
    "Arab": frozenset({"ARABIC"}),
    "Deva": frozenset({"DEVANAGARI"}),
    "Hant": frozenset({"CJK"}),
    "Hans": frozenset({"CJK"}),
    "Grek": frozenset({"GREEK"}),
    "Hebr": frozenset({"HEBREW"}),
    "Beng": frozenset({"BENGALI"}),
    "Tfng": frozenset({"TIFINAGH"}),
}
"""The same for the script that a label such as `srp_Latn` ends with."""

LATIN_LANGUAGES = frozenset("eng spa fra por deu ind swh ita nld swe fin ron vie tur tgl msa hat que".split())
REQUIRED_SCRIPTS: dict[str, str] = {"jpn": "HIRAGANA"}
"""A script that each text of the language must contain: Japanese without kana is Chinese."""


def script_share(text: str, language: str) -> float | None:
    """Share of the letters of `text` in the script of `language`; 0 if a required script is absent.

    language: a label such as `srp_Latn`, whose script counts, or `arz`, which has that of its macrolanguage.
    None for a language that is not listed here, or a text without letters.
    """
    wanted = _scripts(language)
    letters = [_script(letter) for letter in text if letter.isalpha()]
    if not wanted or not letters:
        return None
    if language in REQUIRED_SCRIPTS and REQUIRED_SCRIPTS[language] not in letters:
        return 0.0
    return sum(script in wanted for script in letters) / len(letters)


def _scripts(language: str) -> frozenset[str]:
    script = language.partition("_")[2]
    if script:
        return SCRIPT_NAMES.get(script, frozenset())
    for label in language_family(language):
        if label in SCRIPTS or label in LATIN_LANGUAGES:
            return SCRIPTS.get(label, SCRIPT_NAMES["Latn"])
    return frozenset()


@lru_cache(maxsize=65536)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "?").split()[0]
