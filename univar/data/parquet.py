"""Parquet: types are checked once, strings must be UTF-8, everything that is no text becomes JSON text."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from univar.data.names import ColumnNames
from univar.data.normalize import json_text
from univar.data.rows import MAX_ROW_BYTES, TOO_LONG, RawBatch
from univar.errors import DataError
from univar.schema import REQUIRED_COLUMNS


def read_parquet(
    path: str, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, numbered from 1 through all row groups."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        ours = names.require(file.schema_arrow.names, required)
        for column, kind in zip(ours.values(), file.schema_arrow.types, strict=True):
            _check_type(column, kind)
        first = 1
        for batch in file.iter_batches(_rows_at_once(file.metadata, batch_rows, batch_bytes)):
            columns = {
                column: _as_text(column, values)
                for column, values in zip(ours.values(), batch.columns, strict=True)
            }
            yield from _raw(columns, first, batch.num_rows, batch_bytes)
            first += batch.num_rows


def _check_type(column: str, kind: pa.DataType) -> None:
    text = _is_text(kind) or pt.is_null(kind)
    if column in REQUIRED_COLUMNS and not text:
        raise DataError(f"column {column!r} has type {kind}, not text: store it as strings")
    if _is_binary(kind.value_type if pt.is_dictionary(kind) else kind):
        raise DataError(f"column {column!r} has type {kind}, which a row cannot keep: leave it out")


def _is_text(kind: pa.DataType) -> bool:
    if pt.is_dictionary(kind):
        kind = kind.value_type
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_binary_view(kind)
        or pt.is_fixed_size_binary(kind)
    )


def _rows_at_once(metadata: pq.FileMetaData, batch_rows: int, batch_bytes: int) -> int:
    """Rows per batch so that the batch of the heaviest row group is about `batch_bytes`."""
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    heaviest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return min(batch_rows, max(1, batch_bytes // max(heaviest, 1)))


def _as_text(column: str, values: pa.Array) -> pa.Array:
    """(n,) large_string with nulls; strings are not yet known to be UTF-8."""
    kind = values.type
    if pt.is_dictionary(kind):
        return _as_text(column, values.dictionary_decode())
    if pt.is_float64(kind) or pt.is_nested(kind):
        texts = [None if value is None else json_text(column, value) for value in values.to_pylist()]
        return pa.array(texts, pa.large_string())
    return values.cast(pa.large_string())


def _raw(columns: dict[str, pa.Array], first: int, n: int, batch_bytes: int) -> Iterator[RawBatch]:
    """The columns as raw batches of about `batch_bytes`, without the rows that are too long or no UTF-8."""
    sizes = np.zeros(n, dtype=np.int64)
    for values in columns.values():
        sizes += pc.binary_length(values).fill_null(0).to_numpy()
    bad = {int(place): TOO_LONG for place in np.flatnonzero(sizes > MAX_ROW_BYTES)}
    for column, values in columns.items():
        for place in _not_utf8(values):
            bad.setdefault(place, f"{column} is not UTF-8")
    keep = np.ones(n, dtype=bool)
    keep[list(bad)] = False
    part = np.cumsum(sizes * keep) // batch_bytes
    for number in np.unique(part):
        chosen = keep & (part == number)
        mask = pa.array(chosen)
        yield RawBatch(
            (np.flatnonzero(chosen) + first).tolist(),
            {column: values.filter(mask) for column, values in columns.items()},
            [(first + place, reason) for place, reason in bad.items() if part[place] == number],
        )


def _not_utf8(values: pa.Array) -> list[int]:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return [place for place, value in enumerate(values.cast(pa.large_binary())) if not _is_utf8(value)]
    return []


def _is_utf8(value: pa.LargeBinaryScalar) -> bool:
    try:
        (value.as_py() or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
