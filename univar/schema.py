"""What an answer row is: its columns, its identity, its language code and the text that is embedded.

The text of one row is `Q: <question> A: <answer>`, both stripped (UniVaR, arXiv 2404.07900; the form that
the released encoders were trained on).
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_FORMAT = "qa/1"
"""`Q: ... A: ...` in one text, cut to the encoder's length."""

REQUIRED_COLUMNS = ("model", "language", "question", "answer")
"""A row without one of these cannot be embedded."""

IDENTITY_COLUMNS = ("id", "model", "language", "question_id", "question", "answer")
"""Two rows that agree in all of these are one row."""

TEXT_COLUMNS = ("id", "question", "answer", "original_question", "original_answer", "sampling")
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
    """ISO 639-3 code of a language given as ISO 639 (`en`, `eng`), BCP 47 (`zh-Hans`) or NLLB (`eng_Latn`).

    Macrolanguages keep the code users write (`zho`, `msa`). Raises DataError for anything else.
    """
    import langcodes

    try:
        language = langcodes.Language.get(code.strip().replace("_", "-"), normalize=False).language or ""
        known = (
            langcodes.Language.get(language).is_valid() and not "qaa" <= language <= "qtz"
        )  # the private range
        alpha3 = langcodes.Language.get(language, normalize=False).to_alpha3() if known else ""
    except (langcodes.LanguageTagError, LookupError, ValueError):
        alpha3 = ""
    if not alpha3 or alpha3 in ("und", "mul", "mis", "zxx"):
        raise DataError(
            f"unknown language {code!r}: give an ISO 639 code such as 'eng', 'zho' or 'fi' "
            "(NLLB's 'eng_Latn' works too)"
        )
    return alpha3


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
