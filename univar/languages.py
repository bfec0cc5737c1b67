"""Names of languages, in any language: `French`, `français`, `中文`, `Serbian (Latin)`."""

from __future__ import annotations

import re

import langcodes

_SCRIPT_WORDS = {
    "simplified": "Hans",
    "traditional": "Hant",
    "latin": "Latn",
    "roman": "Latn",
    "romanized": "Latn",
    "cyrillic": "Cyrl",
    "arabic": "Arab",
    "devanagari": "Deva",
    "gurmukhi": "Guru",
    "简体": "Hans",
    "繁體": "Hant",
    "繁体": "Hant",
}
_WORDS = re.compile(r"[^\W_]+")
_LONGEST = 60


def language_of_name(name: str) -> langcodes.Language | None:
    """The language that `name` names, with the script it tells; None where it names none.

    A word of less than four Latin letters is taken for a code and never for a name.
    """
    if len(name) > _LONGEST or (name.isascii() and len(name) < 4):
        return None
    found = _find(name)
    if found is not None and found.script:
        return found
    words = _WORDS.findall(name)
    script = next(
        (_SCRIPT_WORDS[word.lower()] for word in words[::-1] if word.lower() in _SCRIPT_WORDS), None
    )
    rest = [word for word in words if word.lower() not in _SCRIPT_WORDS]
    if script is None or not rest:
        return found
    bare = _find(" ".join(rest))
    return None if bare is None else langcodes.Language.make(bare.language, script=script)


def _find(name: str) -> langcodes.Language | None:
    try:
        found = langcodes.find(name)
    except (LookupError, ImportError):  # names are in the package language_data
        return None
    return found if found.is_valid() else None
