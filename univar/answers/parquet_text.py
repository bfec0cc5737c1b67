"""Parquet's types as text: strings as they are, everything else as JSON has it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from univar.answers.normalize import json_text
from univar.errors import DataError
from univar.schema import REQUIRED_COLUMNS

MAX_NESTED_BYTES = 256 << 20
"""Most that the strings of a nested column may unpack to in the rows that are read at once."""


def check_type(column: str, kind: pa.DataType) -> None:
    """Raise DataError unless `column` can be text; the required ones must be."""
    if isinstance(kind, pa.BaseExtensionType):
        return check_type(column, kind.storage_type)
    if pt.is_dictionary(kind):
        return check_type(column, kind.value_type)
    is_text = pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    if column in REQUIRED_COLUMNS and not (is_text or pt.is_null(kind)):
        raise DataError(f"column {column!r} has type {kind}, not text: store it as strings")
    if "binary" in str(kind) and not pt.is_nested(kind):
        raise DataError(f"column {column!r} has type {kind}, which a row cannot keep: leave it out")


def as_text(column: str, values: pa.Array) -> pa.Array:
    """(n,) large_string with nulls; what was a string is not checked to be UTF-8."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return as_text(column, values.storage)
    if pt.is_dictionary(kind):
        _check_codes(values)
        return as_text(column, values.dictionary_decode())
    if pt.is_nested(kind) and _unpacked_bytes(values) > MAX_NESTED_BYTES:
        raise DataError(
            f"column {column!r} has type {kind} and unpacks to more than {MAX_NESTED_BYTES >> 20} MiB "
            f"in {len(values)} rows: leave it out"
        )
    if pt.is_float64(kind) or pt.is_nested(kind):
        texts = [None if value is None else json_text(column, value) for value in values.to_pylist()]
        return pa.array(texts, pa.large_string())
    try:
        return values.cast(pa.large_string())
    except pa.ArrowNotImplementedError:
        raise DataError(f"column {column!r} has type {kind}, which has no text form: leave it out") from None


def _check_codes(values: pa.DictionaryArray) -> None:
    """Raise DataError for a code outside of its dictionary: pyarrow does not look at them when it reads."""
    codes = pc.min_max(values.indices).as_py()
    if codes["min"] is not None and not 0 <= codes["min"] <= codes["max"] < len(values.dictionary):
        raise DataError("a string's code is outside of its dictionary: the file is damaged, get it again")


def _unpacked_bytes(values: pa.Array) -> int:
    """Bytes of all that is in `values`, were its strings not shared."""
    kind = values.type
    if pt.is_dictionary(kind):
        _check_codes(values)
        return pc.sum(pc.binary_length(values.dictionary).take(values.indices)).as_py() or 0
    if pt.is_map(kind):
        return _unpacked_bytes(values.keys) + _unpacked_bytes(values.items)
    if pt.is_struct(kind):
        return sum(_unpacked_bytes(child) for child in values.flatten())
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return _unpacked_bytes(values.flatten())
    return int(values.nbytes)
