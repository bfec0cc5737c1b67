"""CSV, TSV and their relatives: any delimiter, quotes or none, and no row ever swallowed.

The dialect is taken from the file: a `sep=` line as Excel writes it, the delimiter that gives the header our
columns, quotes in CSV, in TSV only where the file shows them. A quote that never closes, or closes in a later
row, costs the one row in which it opens: reading goes on with the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from univar.answers.inputs import Input, LongLine, not_utf8, split_lines
from univar.answers.rows import ALIASES, MAX_ROW_BYTES, TOO_LONG, ColumnNames, RawBatch
from univar.errors import DataError
from univar.schema import IDENTITY_COLUMNS, normalize_language

_DELIMITERS = (",", ";", "\t", "|")
_SHOWN_LINES = 2000
_SHOWN_BYTES = 1 << 20
"""Of a TSV, that tell whether it has quotes."""


@dataclass(frozen=True)
class Dialect:
    """How fields are told apart. quoted: whether double quotes may stand around a field."""

    delimiter: str
    quoted: bool

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Fields of each row. Raises csv.Error where quotes do not match."""
        if self.quoted:
            return csv.reader(lines, delimiter=self.delimiter, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)

    def split(self, line: str) -> list[str]:
        """Fields of one line read by itself; empty where it cannot be."""
        try:
            return next(self.reader(iter([line])), [])
        except csv.Error:
            return []


def read_delimited(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, each numbered by its first line (the header is line 1); blank lines are skipped."""
    with source.text() as stream, _long_fields():
        lines = _Lines(split_lines(stream))
        dialect = _dialect(lines, source, names, required)
        rows = _Rows(lines, dialect)
        header = rows.header()
        ours = names.require(header, required) if header else {}
        rows.language = next((i for i, name in enumerate(header) if ours.get(name) == "language"), None)
        kept = [(place, ours[name]) for place, name in enumerate(header) if name in ours]
        while header and not rows.ended:
            with _long_fields():
                numbers, records, rejected = rows.take(len(header), batch_rows, batch_bytes)
            columns = {name: [record[place] for record in records] for place, name in kept}
            yield RawBatch(numbers, columns, rejected)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let fields be as long as a row may be; the csv module's limit is one for the whole process."""
    before = csv.field_size_limit(MAX_ROW_BYTES + 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _Unclosed(Exception):
    """A row is longer than a row may be, and its lines are rows themselves."""


class _Lines:
    """Feeds the csv module; lines that a row has taken can be put back."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._source = lines
        self._waiting: deque[bytes] = deque()
        self.number = 0  # of the last line handed out
        self.taken: list[bytes] = []
        self.fault = ""
        self.ended = False
        self._size = self.dropped = 0
        self.is_row: Callable[[bytes], bool] = lambda line: False

    def peek(self, n_lines: int, n_bytes: int) -> list[str]:
        """The lines to come, at most so many, without taking them."""
        size = sum(map(len, self._waiting))
        while len(self._waiting) < n_lines and size < n_bytes:
            line = next(self._source, None)
            if line is None:
                break
            self._waiting.append(line)
            size += len(line)
        return [line.decode(errors="replace") for line in list(self._waiting)[:n_lines]]

    def skip(self) -> None:
        """Leave out the next line."""
        self._waiting.popleft()
        self.number += 1

    def begin_row(self) -> None:
        self.taken, self.fault, self.dropped = [], "", 0

    def put_back_all_but_first(self) -> None:
        """Read the lines of the row under way again, from its second."""
        self._waiting.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        self.taken = self.taken[:1]
        self.ended = False

    @property
    def row(self) -> int:
        """Number of the first line of the row under way."""
        return self.number - len(self.taken) - self.dropped + 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._source, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        if type(line) is LongLine:
            self.fault = TOO_LONG
            return '"\n' if line.count(b'"') % 2 else "\n"  # enough to find the row's end
        self._size = len(line) + (self._size if len(self.taken) > 1 else 0)
        if self._size > MAX_ROW_BYTES:
            if not self.fault and len(self.taken) > 3 and all(map(self.is_row, self.taken[1:4])):
                raise _Unclosed
            self.dropped += max(len(self.taken) - 4, 0)
            self.fault, self.taken = TOO_LONG, self.taken[:4]
            return '"\n' if line.count(b'"') % 2 else "\n"
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            self.fault = self.fault or not_utf8(line, error, f"line {self.number}")
            return line.decode(errors="replace") + "\n"


class _Rows:
    """Rows of a file in one dialect, each with the number of its first line or with its fault."""

    def __init__(self, lines: _Lines, dialect: Dialect) -> None:
        self._lines, self._dialect = lines, dialect
        self._reader = dialect.reader(lines)
        self.language: int | None = None  # place of the language, which tells a row from a line of an answer
        self._width = 0
        lines.is_row = self._is_row

    @property
    def ended(self) -> bool:
        return self._lines.ended

    def header(self) -> list[str]:
        """The header's names, a nameless one called by its place; empty for an empty file."""
        fields: list[str] = []
        try:
            while not (fields or self._lines.fault or self._lines.ended):
                self._lines.begin_row()
                fields = next(self._reader, [])
        except (csv.Error, _Unclosed) as error:
            raise DataError(
                f"line {self._lines.row}: cannot read the header: {error or 'a quote never closes'}"
            ) from None
        if self._lines.fault:
            raise DataError(f"line {self._lines.row}: cannot read the header: {self._lines.fault}")
        header = [name if name.strip() else f"unnamed_{place}" for place, name in enumerate(fields, start=1)]
        twice = {name for name in header if header.count(name) > 1}
        if needed := sorted(twice & set(IDENTITY_COLUMNS)):
            raise DataError(
                f"line {self._lines.row}: the header has {needed[0]!r} twice: rename one of the columns"
            )
        seen: dict[str, int] = {}
        for place, name in enumerate(header):  # the second of two alike gets a name of its own
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                header[place] = f"{name}.{seen[name]}"
        return header

    def take(
        self, width: int, batch_rows: int, batch_bytes: int
    ) -> tuple[list[int], list[list[str]], list[tuple[int, str]]]:
        """Numbers and fields of the next rows, and (number, reason) of those that cannot be read."""
        rows: list[int] = []
        records: list[list[str]] = []
        rejected: list[tuple[int, str]] = []
        size = 0
        while len(rows) + len(rejected) < batch_rows and size < batch_bytes:
            fields, fault = self._next(width)
            lines = self._lines
            if fault:
                rejected.append((lines.row, fault))
            elif fields:
                rows.append(lines.row)
                records.append(fields)
                size += sum(map(len, lines.taken))
            elif lines.ended:
                break
        return rows, records, rejected

    def _next(self, width: int) -> tuple[list[str], str]:
        """Fields of the next row, or why it cannot be read; neither for a blank line and at the end."""
        lines, self._width = self._lines, width
        lines.begin_row()
        fields: list[str] = []
        fault = ""
        try:
            fields = next(self._reader, [])
        except _Unclosed:
            fault = "a quote opens in this row and does not close"
        except csv.Error as error:
            fault = "a quote opens in this row and does not close" if lines.ended else f"not CSV: {error}"
        if not fault and fields and len(fields) != width:
            fault = f"{len(fields)} fields, but the header has {width}"
        if lines.fault:
            return [], lines.fault
        if len(lines.taken) > 1 and (fault or self._swallows(lines.taken)):
            fault = fault or "a quote opens in this row and closes in a later row"
            lines.put_back_all_but_first()
            self._reader = self._dialect.reader(lines)
        return fields, fault

    def _swallows(self, taken: list[bytes]) -> bool:
        """Whether a row's lines are rows themselves: then the quote that holds them together was none.

        Of a row whose quoted field has several lines, the first and the last cannot both have all fields.
        """
        plain = Dialect(self._dialect.delimiter, False)
        begins = len(plain.split(taken[0].decode(errors="replace"))) == self._width
        return begins and self._width > 2 and all(map(self._is_row, taken[1:]))

    def _is_row(self, line: bytes) -> bool:
        """Whether a line reads as a row by itself."""
        fields = self._dialect.split(line.decode(errors="replace"))
        if len(fields) != self._width or self.language is None:
            return len(fields) == self._width and self._width > 3
        try:
            normalize_language(fields[self.language])
        except DataError:
            return False
        return True


def _dialect(lines: _Lines, source: Input, names: ColumnNames, required: Collection[str]) -> Dialect:
    """What the user says, else what the file shows."""
    reading = source.reading
    first = lines.peek(1, _SHOWN_BYTES)
    delimiter = reading.delimiter
    line = first[0].rstrip("\r").strip('"') if first else ""
    if line[:4].lower() == "sep=" and len(line) in (4, 5):
        lines.skip()
        delimiter = delimiter or (line[4:] or "\t")
    expected = "\t" if source.format == "tsv" else ","
    if delimiter is None:
        head = "\n".join(lines.peek(50, _SHOWN_BYTES))
        delimiter = _delimiter(head, expected, {*required, *IDENTITY_COLUMNS, *ALIASES}, names)
    if reading.quoting is not None:
        return Dialect(delimiter, reading.quoting == "double")
    if delimiter != "\t":
        return Dialect(delimiter, True)
    return Dialect(delimiter, _shows_quotes(lines.peek(_SHOWN_LINES, _SHOWN_BYTES), delimiter))


def _delimiter(head: str, expected: str, known: set[str], names: ColumnNames) -> str:
    """The delimiter under which the header has most columns that we know; the expected one in doubt."""

    def score(delimiter: str) -> tuple[int, int, bool]:
        fields = Dialect(delimiter, True).split(head.split("\n", 1)[0].rstrip("\r"))
        if not fields:  # a quoted name with a line end in it
            try:
                fields = next(Dialect(delimiter, True).reader(iter(head.splitlines(keepends=True))), [])
            except csv.Error:
                fields = []
        cleaned = [field.strip().lower().replace(" ", "_") for field in fields]
        found = len(known.intersection(cleaned)) + names.renamed_in(fields)
        return found, min(len(fields), 2), delimiter == expected

    return max(_DELIMITERS, key=score)


def _shows_quotes(lines: Sequence[str], delimiter: str) -> bool:
    """Whether a TSV quotes its fields: it cannot be read without, or doubles the quotes inside of quotes."""
    plain, quoted = Dialect(delimiter, False), Dialect(delimiter, True)
    if not any(line.startswith('"') or f'{delimiter}"' in line for line in lines):
        return False
    width = len(plain.split(lines[0]))
    whole = [line for line in lines if line.strip("\r")]
    fits_plainly = all(len(plain.split(line)) == width for line in whole)
    left = iter([line + "\n" for line in lines])
    rows: list[list[str]] = []
    try:
        rows.extend(fields for fields in quoted.reader(left) if fields)
    except csv.Error:
        if next(left, None) is not None:
            return False  # a fault, not the end of what is looked at within quotes
    consistent = bool(rows) and all(len(fields) == len(rows[0]) for fields in rows)
    if not consistent:
        return False
    header = lines[0].rstrip("\r").split(delimiter)
    all_quoted = all(field.startswith('"') and field.endswith('"') and len(field) > 1 for field in header)
    return not fits_plainly or all_quoted or any(_doubles(line, delimiter) for line in whole)


def _doubles(line: str, delimiter: str) -> bool:
    """Whether a field in quotes has quotes inside, all of them doubled, or a carriage return."""
    for field in line.rstrip("\r").split(delimiter):
        inside = field[1:-1]
        if len(field) > 2 and field[0] == field[-1] == '"' and ('"' in inside or "\r" in inside):
            return '"' not in inside.replace('""', "")
    return False
