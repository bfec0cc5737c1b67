"""Parquet: read in pieces of bounded size, whatever the row groups are and whatever the file unpacks to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from univar.answers.names import ColumnNames
from univar.answers.parquet_sizes import rows_at_once
from univar.answers.parquet_text import as_text, check_type
from univar.answers.rows import MAX_ROW_BYTES, TOO_LONG, RawBatch

READ_BYTES = 1 << 20

Columns = dict[str, pa.Array]


def read_parquet(
    path: str, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, numbered from 1 through all row groups."""
    with pq.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    ours = list(names.require(schema.names, required).values())
    for column, kind in zip(ours, schema.types, strict=True):
        check_type(column, kind)
    first = 1
    pieces = _pieces(path, metadata, ours, batch_rows, batch_bytes)
    for columns in _joined(pieces, batch_rows, batch_bytes):
        yield from _batches(columns, first, batch_bytes)
        first += _length(columns)


def _pieces(
    path: str, metadata: pq.FileMetaData, ours: list[str], batch_rows: int, batch_bytes: int
) -> Iterator[Columns]:
    """The columns as large_string, at most `batch_rows` rows at once and often far fewer."""
    options = {
        "read_dictionary": _nested_strings(metadata),
        "buffer_size": READ_BYTES,
        "pre_buffer": False,  # it would hold whole row groups
        "page_checksum_verification": True,
    }
    with open(path, "rb") as raw, pq.ParquetFile(path, metadata=metadata, **options) as file:
        for group in range(metadata.num_row_groups):
            for _ in file.iter_batches(1, row_groups=[group]):
                break  # reading checks the group's metadata; looking into damaged metadata aborts the process
            n = rows_at_once(raw, metadata, group, batch_rows, batch_bytes)
            for batch in file.iter_batches(n, row_groups=[group]):
                if batch.num_rows:
                    yield {c: as_text(c, values) for c, values in zip(ours, batch.columns, strict=True)}


def _nested_strings(metadata: pq.FileMetaData) -> list[str]:
    """Paths of the strings in lists, maps and structs: they stay encoded until their length is known."""
    columns = (metadata.schema.column(place) for place in range(len(metadata.schema)))
    return [c.path for c in columns if c.physical_type == "BYTE_ARRAY" and c.path != c.name]


def _joined(pieces: Iterable[Columns], batch_rows: int, batch_bytes: int) -> Iterator[Columns]:
    """Small pieces put together, as many as fit into a batch."""
    held: list[Columns] = []
    rows = size = 0
    for piece in pieces:
        n_bytes = sum(values.nbytes for values in piece.values())
        if held and (rows + _length(piece) > batch_rows or size + n_bytes > batch_bytes):
            yield {name: pa.concat_arrays([columns[name] for columns in held]) for name in held[0]}
            held, rows, size = [], 0, 0
        held.append(piece)
        rows, size = rows + _length(piece), size + n_bytes
    if held:
        yield {name: pa.concat_arrays([columns[name] for columns in held]) for name in held[0]}


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _batches(columns: Columns, first: int, batch_bytes: int) -> Iterator[RawBatch]:
    """The rows, cut where they are over `batch_bytes`; those too long or not UTF-8 are rejected."""
    size = np.zeros(_length(columns), dtype=np.int64)
    for values in columns.values():
        size += pc.binary_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    bad = {int(place): TOO_LONG for place in np.flatnonzero(size > MAX_ROW_BYTES)}
    for column, values in columns.items():
        for place in _not_utf8(values):
            bad.setdefault(place, f"{column} is not UTF-8")
    good = np.ones(len(size), dtype=bool)
    good[list(bad)] = False
    part = np.cumsum(size * good) // batch_bytes
    for number in np.unique(part):
        chosen = good & (part == number)
        yield RawBatch(
            (np.flatnonzero(chosen) + first).tolist(),
            {column: values.filter(pa.array(chosen)) for column, values in columns.items()},
            [(first + place, reason) for place, reason in bad.items() if part[place] == number],
        )


def _not_utf8(values: pa.Array) -> list[int]:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return [
            place for place, value in enumerate(values.cast(pa.large_binary())) if not _is_utf8(value.as_py())
        ]
    return []


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
