"""CSV and TSV with a header, double quotes around fields that hold delimiters or newlines, strict UTF-8."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from univar.answers.inputs import ByteStream, Input, LongLine, split_lines
from univar.answers.rows import MAX_ROW_BYTES, TOO_LONG, ColumnNames, RawBatch
from univar.errors import DataError


class _Lines:
    """Feeds the csv module and knows of the row under way where it starts and what is wrong with it."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._line = 0
        self.ended = False
        self.begin_row()

    def begin_row(self) -> None:
        self.row = self._line + 1
        self.size = 0
        self.fault = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self._line += 1
        self.size += len(line)
        if type(line) is LongLine or self.size > MAX_ROW_BYTES:
            self.fault = TOO_LONG
            return '"\n' if line.count(b'"') % 2 else "\n"  # enough to find the row's end
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            self.fault = f"not UTF-8: byte 0x{line[error.start]:02x} in line {self._line}"
            return line.decode(errors="replace") + "\n"


def read_csv(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, each numbered by its first line (the header is line 1); blank lines are skipped."""
    with source.open() as stream:
        yield from _read(stream, names, required, batch_rows, batch_bytes, ",")


def read_tsv(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """As `read_csv`, with tabs between the fields."""
    with source.open() as stream:
        yield from _read(stream, names, required, batch_rows, batch_bytes, "\t")


def _read(
    stream: ByteStream,
    names: ColumnNames,
    required: Collection[str],
    batch_rows: int,
    batch_bytes: int,
    delimiter: str,
) -> Iterator[RawBatch]:
    lines = _Lines(split_lines(stream))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    with _long_fields():
        header = _header(reader, lines)
    ours = names.require(header, required) if header else {}
    columns = list(ours.values())
    while header and not lines.ended:
        with _long_fields():
            rows, records, rejected = _records(reader, lines, len(columns), batch_rows, batch_bytes)
        values = zip(*records, strict=True) if records else ((),) * len(columns)
        yield RawBatch(rows, {c: list(v) for c, v in zip(columns, values, strict=True)}, rejected)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let fields be as long as a row may be; the csv module's limit is one for the whole process."""
    before = csv.field_size_limit(MAX_ROW_BYTES + 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header(reader: Iterator[list[str]], lines: _Lines) -> list[str]:
    """The header's names, a nameless one called by its place; empty for an empty file."""
    fields: list[str] = []
    try:
        while not (fields or lines.fault or lines.ended):
            lines.begin_row()
            fields = next(reader, [])
    except csv.Error as error:
        raise DataError(f"line {lines.row}: cannot read the header: {error}") from None
    if lines.fault:
        raise DataError(f"line {lines.row}: cannot read the header: {lines.fault}")
    header = [name if name.strip() else f"unnamed_{place}" for place, name in enumerate(fields, start=1)]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"line {lines.row}: the header has {twice!r} twice: rename one of the columns")
    return header


def _records(
    reader: Iterator[list[str]], lines: _Lines, width: int, batch_rows: int, batch_bytes: int
) -> tuple[list[int], list[list[str]], list[tuple[int, str]]]:
    rows: list[int] = []
    records: list[list[str]] = []
    rejected: list[tuple[int, str]] = []
    size = 0
    while len(rows) + len(rejected) < batch_rows and size < batch_bytes:
        lines.begin_row()
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if lines.ended:
                raise DataError(
                    f"line {lines.row}: a quoted field starts in this row and never ends: close the quote"
                ) from None
            rejected.append((lines.row, lines.fault or f"not CSV: {error}"))
            continue
        if lines.fault:
            rejected.append((lines.row, lines.fault))
        elif not fields:
            continue
        elif len(fields) != width:
            rejected.append((lines.row, f"{len(fields)} fields, but the header has {width}"))
        else:
            rows.append(lines.row)
            records.append(fields)
            size += lines.size
    return rows, records, rejected
