"""What an answer row is: its columns, its identity, its language code and the text that is embedded.

The text of one row is `Q: <question> A: <answer>`, both stripped (UniVaR, arXiv 2404.07900; the form that
the released encoders were trained on).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    import langcodes
    import pyarrow as pa

TEXT_FORMAT = "qa/1"
"""`Q: ... A: ...` in one text, cut to the encoder's length."""

DEFAULT_ENCODERS = ("univar-2", "univar-2-multilingual")
"""What embeds answers when nobody names an encoder: where every row is in English, and else."""

ENGLISH_ONLY = frozenset({"univar-2", "univar-mini", "minilm"})
"""Packaged encoders that are made for English and read no script but Latin."""

REQUIRED_COLUMNS = ("model", "language", "question", "answer")
"""A row without one of these cannot be embedded."""

IDENTITY_COLUMNS = ("id", "model", "language", "question_id", "question", "answer")
"""Two rows that agree in all of these are one row."""

TEXT_COLUMNS = (
    "id",
    "question",
    "answer",
    "original_question",
    "original_answer",
    "reasoning",
    "sampling",
)
"""Columns stored as offsets and bytes; every other column repeats and is stored as codes."""

DERIVED_COLUMN = "source"
"""The column that no input has: a row's (model, language), see `source_label`."""

SOURCE_CORPUS = "source_corpus"
"""Name under which an input column called `source` is kept: here a source is (model, language)."""


def qa_texts(questions: pa.Array, answers: pa.Array) -> pa.Array:
    """The texts to embed, one per row. questions, answers: (n,) string arrays; returns (n,) large_string."""
    import pyarrow as pa
    import pyarrow.compute as pc

    space, q, a = (pa.scalar(text, pa.large_string()) for text in (" ", "Q:", "A:"))
    question = pc.utf8_trim_whitespace(questions.cast(pa.large_string()))
    answer = pc.utf8_trim_whitespace(answers.cast(pa.large_string()))
    return pc.binary_join_element_wise(q, question, a, answer, space)


def parts_of(encoder: dict[str, Any]) -> dict[str, slice]:
    """The named parts of an encoder's vectors, by the facts that a store keeps of it (`Encoder.info`).

    `values` holds what is compared, `source` what tells sources apart. Facts from before encoders had parts
    name none: adapters were then trained to tell sources apart, and nothing was trained for values.
    """
    if "parts" in encoder:
        return {name: slice(*bounds) for name, bounds in encoder["parts"].items()}
    adapted = encoder["id"] == "univar-mini" or "+" in encoder["id"]
    return {"source" if adapted else "values": slice(0, encoder["dim"])}


def source_label(model: str, language: str) -> str:
    """How a source is written, e.g. `gpt-4/eng`; the language is what follows the last slash."""
    return f"{model}/{language}"


@functools.lru_cache(maxsize=4096)
def normalize_language(code: str) -> str:
    """The label of a language given by an ISO 639 code, a BCP 47 or NLLB tag, or a name (`en`, `French`).

    returns: ISO 639-3. A macrolanguage, its usual member and their retired codes are one label: `ar`, `ara`
    and `arb_Arab` are `arb`; `zh` and `cmn` are `zho`. A script other than the language's usual one follows
    after `_`: `zho_Hant` (also for `zh-TW`), `srp_Latn`. Of a region or variant only its script counts.
    Raises DataError for anything else.
    """
    from langcodes import Language

    tag = _tag(code)
    language = "" if tag is None else _label(tag.extlangs[0] if tag.extlangs else tag.language or "")
    if tag is None or not language:
        raise DataError(
            f"unknown language {code!r}: give an ISO 639 code such as 'eng', 'zho' or 'fi' "
            "(NLLB's 'eng_Latn' and names such as 'French' work too)"
        )
    script = tag.script
    if script and not Language.make(script=script).is_valid():
        raise DataError(f"unknown script {script!r} in the language {code!r}: give a code such as 'zho_Hant'")
    if not script and tag.territory:
        script = Language.make(tag.language, territory=tag.territory).maximize().script
    usual = (_usual_script(language), *_UNSPECIFIC)
    return language if not script or script in usual else f"{language}_{script}"


def base_language(label: str) -> str:
    """The ISO 639-3 code of a label, without its script: `zho` of `zho_Hant`."""
    return label.replace("-", "_").partition("_")[0]


@functools.lru_cache(maxsize=1024)
def language_family(label: str) -> tuple[str, ...]:
    """The labels under which to look something up for a language (label or code), nearest first.

    `zho_Hant` gives `zho_Hant`, `zho`; Egyptian Arabic, `arz`, gives `arz`, `arb`.
    """
    with contextlib.suppress(DataError):  # else a label of its own
        label = normalize_language(label)
    return _family(label)


@functools.lru_cache(maxsize=1024)
def current_language(label: str) -> str:
    """What a label of an older file is called now: `arb` for `ara`. Other texts stay as they are."""
    if not _LABEL.fullmatch(label):
        return label
    try:
        return normalize_language(label)
    except DataError:
        return label


def former_languages(label: str) -> tuple[str, ...]:
    """Codes under which older versions kept a language, without its present one: `ara` for `arb`."""
    return _former().get(label, ())


_LABEL = re.compile(r"[a-z]{3}(_[A-Z][a-z]{3})?")

_USUAL_MEMBERS = {"ara": "arb", "swa": "swh"}
"""Macrolanguages whose label is that of their usual member, as in the shipped questions."""

_ALSO_ONE = {"nob": "nor", "zlm": "msa", "pbt": "pus", "quy": "que", "fuv": "ful", "fil": "tgl"}
"""Members that count as their macrolanguage and are not in CLDR's table; NLLB has no other of theirs."""

_STAY = {"fat": "fat", "twi": "twi", "tgl": "tgl"}
"""Languages that CLDR counts as another one, here kept."""

_RETIRED = {"mol": "ro", "hbs": "sh"}
"""Codes that CLDR replaces in more than one step, or by a script."""

_SCRIPTS = {"azb": "Arab", "crh": "Latn", "tzm": "Tfng", "kor": "Hang"}
"""Usual scripts that CLDR lacks or that answers have seldom."""

_UNSPECIFIC = ("Hani", "Kore", "Zyyy", "Zzzz")
"""Scripts that do not tell one way of writing a language from another."""


def _tag(code: str) -> langcodes.Language | None:
    """The parts of a tag or of a name, None where it is neither."""
    from langcodes import Language, LanguageTagError

    text = code.strip().replace("_", "-")
    try:
        tag = Language.get(text, normalize=False)
        if tag.language is None or len(tag.language) > 3:  # a name, or a tag of old such as zh-min-nan
            tag = Language.get(text)
        if tag.language is not None and len(tag.language) <= 3:
            return tag
    except (LanguageTagError, LookupError, ValueError):
        pass
    from univar.languages import language_of_name

    return language_of_name(code.strip())


@functools.lru_cache(maxsize=4096)
def _label(language: str) -> str:
    """The ISO 639-3 label of a two- or three-letter code, "" where there is none."""
    from langcodes import Language
    from langcodes.data_dicts import LANGUAGE_REPLACEMENTS, NORMALIZED_MACROLANGUAGES

    if not language or "qaa" <= language <= "qtz":  # the private range
        return ""
    replaced = _RETIRED.get(language) or LANGUAGE_REPLACEMENTS.get(language, language)
    short = language if "-" in replaced else replaced
    try:
        own = Language.get(short, normalize=False)
        iso = own.to_alpha3() if own.is_valid() else ""
        if iso not in _STAY:
            iso = (
                iso and Language.get(NORMALIZED_MACROLANGUAGES.get(short, short), normalize=False).to_alpha3()
            )
    except LookupError:
        return ""
    iso = _ALSO_ONE.get(iso, iso)
    return "" if iso in ("und", "mul", "mis", "zxx") else _USUAL_MEMBERS.get(iso, iso)


def _tag_language(iso: str) -> str:
    """The shortest code of a language: `ar` for `ara`."""
    from langcodes.data_dicts import LANGUAGE_REPLACEMENTS

    return LANGUAGE_REPLACEMENTS.get(iso, iso)


def _family(label: str) -> tuple[str, ...]:
    from langcodes.data_dicts import MACROLANGUAGES

    base = base_language(label)
    macro = MACROLANGUAGES.get(base) or MACROLANGUAGES.get(_tag_language(base))
    return tuple(dict.fromkeys((label, base, _label(macro) if macro else base)))


@functools.lru_cache(maxsize=1024)
def _usual_script(language: str) -> str:
    """The script of most texts in a language, by CLDR; that of its macrolanguage where it lacks one."""
    from langcodes import Language
    from langcodes.data_dicts import LIKELY_SUBTAGS

    if language in _SCRIPTS:
        return _SCRIPTS[language]
    family = _family(language)
    codes = (code for label in family for code in (label, *former_languages(label)))
    known = next((code for code in map(_tag_language, codes) if code in LIKELY_SUBTAGS), None)
    return (Language.get(known).maximize().script if known else None) or "Latn"


@functools.cache
def _former() -> dict[str, tuple[str, ...]]:
    from langcodes.data_dicts import (
        LANGUAGE_ALPHA3_BIBLIOGRAPHIC,
        LANGUAGE_REPLACEMENTS,
        NORMALIZED_MACROLANGUAGES,
    )

    codes = {*_USUAL_MEMBERS, *_ALSO_ONE, *NORMALIZED_MACROLANGUAGES, *LANGUAGE_REPLACEMENTS}
    codes |= set(LANGUAGE_ALPHA3_BIBLIOGRAPHIC.values())
    found: dict[str, list[str]] = {}
    for code in sorted(code for code in codes if len(code) == 3):
        if (label := _label(code)) not in ("", code):
            found.setdefault(label, []).append(code)
    return {label: tuple(old) for label, old in found.items()}


def content_hashes(columns: list[pa.Array]) -> np.ndarray:
    """Hash of each row over the given columns, in order.

    columns: string arrays of one length n, none null
    returns: (n, 16) uint8, BLAKE2b-128 of the UTF-8 values, each after its length (8 bytes, little-endian)
    """
    n = len(columns[0])
    out = np.empty((n, 16), dtype=np.uint8)
    encoded = [[value.encode() for value in column.to_pylist()] for column in columns]
    for row, values in enumerate(zip(*encoded, strict=True)):
        digest = hashlib.blake2b(digest_size=16)
        for value in values:
            digest.update(len(value).to_bytes(8, "little"))
            digest.update(value)
        out[row] = np.frombuffer(digest.digest(), dtype=np.uint8)
    return out


def parse_languages(text: str | None) -> tuple[str, ...]:
    """`eng,zh` as ("eng", "zho"); empty without the option. Raises UsageError for an unknown language."""
    try:
        codes = [normalize_language(code) for code in (text or "").split(",") if code.strip()]
    except DataError as error:
        raise UsageError(str(error)) from None
    return tuple(dict.fromkeys(codes))
