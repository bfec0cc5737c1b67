"""Parquet: read in pieces of bounded size, whatever the row groups are and whatever the file unpacks to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from univar.answers.inputs import Input
from univar.answers.rows import MAX_ROW_BYTES, TOO_LONG, ColumnNames, RawBatch, json_text
from univar.errors import DataError
from univar.schema import REQUIRED_COLUMNS

READ_BYTES = 1 << 20

Columns = dict[str, pa.Array]


def read_parquet(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, numbered from 1 through all row groups. The source has a path."""
    path = source.path
    assert path is not None
    with pq.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    ours = names.require(schema.names, required)
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in ours and (fault := type_fault(ours[name], kind)):
            if ours[name] in required:
                raise DataError(f"column {name!r} {fault.removeprefix('it ')}")
            names.leave_out(name, fault)
            del ours[name]
    kept = _Kept([ours.get(name) for name in schema.names], frozenset(required), names)
    first = 1
    pieces = _pieces(path, metadata, kept, batch_rows, batch_bytes)
    for columns in _joined(pieces, batch_rows, batch_bytes):
        yield from _batches(columns, first, batch_bytes)
        first += _length(columns)


@dataclass(frozen=True)
class _Kept:
    """The columns that are read. ours: our name of each column of the file, None for one that is left out."""

    ours: list[str | None]
    required: frozenset[str]
    names: ColumnNames

    def texts(self, columns: Sequence[pa.Array]) -> Columns:
        """The columns as text; one whose values have no text is left out from here on, if it may be."""
        texts: Columns = {}
        for place, (name, values) in enumerate(zip(self.ours, columns, strict=True)):
            if name is None:
                continue
            try:
                texts[name] = as_text(name, values)
            except DataError as error:
                if "damaged" in str(error):
                    raise
                if name in self.required:
                    raise DataError(f"column {name!r}: {error}") from None
                self.names.leave_out(name, str(error))
                self.ours[place] = None
        return texts


def _pieces(
    path: str, metadata: pq.FileMetaData, kept: _Kept, batch_rows: int, batch_bytes: int
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
                    yield kept.texts(batch.columns)


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
            yield _concatenated(held)
            held, rows, size = [], 0, 0
        held.append(piece)
        rows, size = rows + _length(piece), size + n_bytes
    if held:
        yield _concatenated(held)


def _concatenated(held: list[Columns]) -> Columns:
    """Pieces as one; a column that was left out after the first of them is null where it is missing."""
    return {
        name: pa.concat_arrays(
            [
                columns[name] if name in columns else pa.nulls(_length(columns), pa.large_string())
                for columns in held
            ]
        )
        for name in held[0]
    }


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


MAX_NESTED_BYTES = 256 << 20
"""Most that the strings of a nested column may unpack to in the rows that are read at once."""


def type_fault(column: str, kind: pa.DataType) -> str:
    """Why a column of this type has no text; "" where it has. The required ones must be text."""
    if isinstance(kind, pa.BaseExtensionType):
        return type_fault(column, kind.storage_type)
    if pt.is_dictionary(kind):
        return type_fault(column, kind.value_type)
    is_text = pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    if column in REQUIRED_COLUMNS and not (is_text or pt.is_null(kind)):
        return f"it has type {kind}, not text: store it as strings"
    if "binary" in str(kind) and not pt.is_nested(kind):
        return f"it has type {kind}, which a row cannot keep"
    return ""


def as_text(column: str, values: pa.Array) -> pa.Array:
    """(n,) large_string with nulls; what was a string is not checked to be UTF-8."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return as_text(column, values.storage)
    if pt.is_dictionary(kind):
        _check_codes(values)
        return as_text(column, values.dictionary_decode())
    if pt.is_nested(kind) and _unpacked_bytes(values) > MAX_NESTED_BYTES:
        raise DataError(f"it unpacks to more than {MAX_NESTED_BYTES >> 20} MiB in {len(values)} rows")
    if pt.is_float64(kind) or pt.is_nested(kind):
        try:
            cells = values.to_pylist()
        except (ValueError, OverflowError, pa.ArrowException) as error:  # a date beyond what Python has
            raise DataError(f"it has values without a text: {error}") from None
        texts = [None if value is None else json_text(column, value) for value in cells]
        return pa.array(texts, pa.large_string())
    try:
        return values.cast(pa.large_string())
    except pa.ArrowNotImplementedError:
        raise DataError(f"it has type {kind}, which has no text form") from None


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


UNPACKED_BYTES = 128 << 20
"""Most that the shared strings of the rows read at once may unpack to."""

_DICTIONARY_PAGE = 2
_I32_FIELD = 0x15  # in Thrift's compact protocol: the next field, a varint


def rows_at_once(
    file: BinaryIO, metadata: pq.FileMetaData, group: int, batch_rows: int, batch_bytes: int
) -> int:
    """Rows of row group `group` that are about `batch_bytes` as stored, at most UNPACKED_BYTES unpacked."""
    facts = metadata.row_group(group)
    columns = [facts.column(place) for place in range(facts.num_columns)]
    longest = sum(_longest_shared(file, column) for column in columns if column.physical_type == "BYTE_ARRAY")
    stored = facts.total_byte_size // max(facts.num_rows, 1)
    return max(1, min(batch_rows, batch_bytes // max(stored, 1), UNPACKED_BYTES // max(longest, 1)))


def _longest_shared(file: BinaryIO, column: pq.ColumnChunkMetaData) -> int:
    """Bytes that no string shared by rows of `column` exceeds, 0 if rows share nothing."""
    if "DELTA_BYTE_ARRAY" in column.encodings:  # a string may start with all of the one before
        return int(column.total_uncompressed_size)
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    file.seek(max(start, 0))
    page = _page_header(file.read(16))
    if page is None:
        return int(column.total_uncompressed_size)
    kind, size_bytes = page
    return size_bytes if kind == _DICTIONARY_PAGE else 0


def _page_header(data: bytes) -> tuple[int, int] | None:
    """(kind of page, its uncompressed bytes): a header's first two fields; None where there is no header."""
    fields: list[int] = []
    place = 0
    while len(fields) < 2:
        if data[place : place + 1] != bytes([_I32_FIELD]):
            return None
        value = shift = 0
        more = True
        while more:
            place += 1
            if place >= len(data):
                return None
            value |= (data[place] & 0x7F) << shift
            more, shift = data[place] >= 0x80, shift + 7
        fields.append(value >> 1)  # zigzag of a number that is not negative
        place += 1
    return fields[0], fields[1]
