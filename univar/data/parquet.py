"""Parquet: types are checked once, strings must be UTF-8, everything that is no text becomes JSON text.

Strings are read dictionary-encoded and unpacked only in parts of bounded size: a file of a kilobyte can hold
one long string for millions of rows.
"""

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

READ_BYTES = 1 << 20
MAX_NESTED_BYTES = 256 << 20
"""Most that one nested column of a batch may unpack to."""


def read_parquet(
    path: str, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, numbered from 1 through all row groups."""
    with pq.ParquetFile(path) as plain:
        schema, metadata = plain.schema_arrow, plain.metadata
    ours = list(names.require(schema.names, required).values())
    for column, kind in zip(ours, schema.types, strict=True):
        _check_type(column, kind)
    with pq.ParquetFile(
        path,
        metadata=metadata,
        read_dictionary=_strings(metadata),
        buffer_size=READ_BYTES,
        pre_buffer=False,  # it keeps every row group that was read
        page_checksum_verification=True,
    ) as file:
        first = 1
        for batch in file.iter_batches(_rows_at_once(metadata, batch_rows, batch_bytes)):
            columns = {name: _flat(name, values) for name, values in zip(ours, batch.columns, strict=True)}
            yield from _in_parts(columns, first, batch.num_rows, batch_bytes)
            first += batch.num_rows


def _check_type(column: str, kind: pa.DataType) -> None:
    if pt.is_dictionary(kind):
        kind = kind.value_type
    if column in REQUIRED_COLUMNS and not (_is_text(kind) or pt.is_null(kind)):
        raise DataError(f"column {column!r} has type {kind}, not text: store it as strings")
    if (
        pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_binary_view(kind)
        or pt.is_fixed_size_binary(kind)
    ):
        raise DataError(f"column {column!r} has type {kind}, which a row cannot keep: leave it out")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _strings(metadata: pq.FileMetaData) -> list[str]:
    columns = (metadata.schema.column(place) for place in range(len(metadata.schema)))
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _rows_at_once(metadata: pq.FileMetaData, batch_rows: int, batch_bytes: int) -> int:
    """Rows per batch so that the batch of the heaviest row group is about `batch_bytes` as it is stored."""
    groups = (metadata.row_group(place) for place in range(metadata.num_row_groups))
    heaviest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return min(batch_rows, max(1, batch_bytes // max(heaviest, 1)))


def _flat(column: str, values: pa.Array) -> pa.Array:
    """(n,) large_string or a dictionary of strings, with nulls; strings are not yet known to be UTF-8."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return _flat(column, values.storage)
    if pt.is_dictionary(kind) and _is_text(kind.value_type):
        return values
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


def _unpacked_bytes(values: pa.Array) -> int:
    kind = values.type
    if pt.is_dictionary(kind):
        return int(_text_bytes(values).sum())
    if pt.is_map(kind):
        return _unpacked_bytes(values.keys) + _unpacked_bytes(values.items)
    if pt.is_struct(kind):
        return sum(_unpacked_bytes(child) for child in values.flatten())
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return _unpacked_bytes(values.flatten())
    return int(values.nbytes)


def _text_bytes(values: pa.Array) -> np.ndarray:
    """(n,) int64: bytes of each string, 0 for null. Raises DataError for a code outside of its dictionary."""
    if not pt.is_dictionary(values.type):
        return pc.binary_length(values).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    n_strings = len(values.dictionary)
    codes = pc.min_max(values.indices).as_py()  # pyarrow does not look at them when it reads
    if codes["min"] is not None and not 0 <= codes["min"] <= codes["max"] < n_strings:
        raise DataError("a string's code is outside of its dictionary: the file is damaged, get it again")
    lengths = pc.binary_length(values.dictionary).fill_null(0).to_numpy(zero_copy_only=False)
    lengths = np.append(lengths.astype(np.int64), 0)  # the last one is that of null
    return lengths[values.indices.fill_null(n_strings).to_numpy(zero_copy_only=False)]


def _in_parts(columns: dict[str, pa.Array], first: int, n: int, batch_bytes: int) -> Iterator[RawBatch]:
    """The columns as raw batches of about `batch_bytes` when unpacked; rows that are too long are refused."""
    size = np.sum([_text_bytes(values) for values in columns.values()], axis=0)
    fits = size <= MAX_ROW_BYTES
    part = np.cumsum(size * fits) // batch_bytes
    for number in np.unique(part):
        too_long = np.flatnonzero(~fits & (part == number)) + first
        chosen = fits & (part == number)
        mask = pa.array(chosen)
        unpacked = {column: _unpack(values.filter(mask)) for column, values in columns.items()}
        rows = np.flatnonzero(chosen) + first
        yield _only_utf8(RawBatch(rows.tolist(), unpacked, [(int(row), TOO_LONG) for row in too_long]))


def _unpack(values: pa.Array) -> pa.Array:
    plain = values.dictionary_decode() if pt.is_dictionary(values.type) else values
    return plain.cast(pa.large_string())


def _only_utf8(batch: RawBatch) -> RawBatch:
    """The batch; rows with a string that is not UTF-8 are moved to `refused`."""
    bad: dict[int, str] = {}
    for column, values in batch.columns.items():
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            for place, value in enumerate(values.cast(pa.large_binary()).to_pylist()):
                if value is not None and not _is_utf8(value):
                    bad.setdefault(place, f"{column} is not UTF-8")
    if not bad:
        return batch
    good = [place for place in range(len(batch.rows)) if place not in bad]
    return RawBatch(
        [batch.rows[place] for place in good],
        {column: values.take(pa.array(good, pa.int64())) for column, values in batch.columns.items()},
        batch.refused + [(batch.rows[place], reason) for place, reason in bad.items()],
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
