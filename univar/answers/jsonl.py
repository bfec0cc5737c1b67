"""JSON Lines and JSON arrays of objects, strict UTF-8. Of a key given twice the last value counts."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from univar.answers.inputs import (
    BOM,
    CHUNK_BYTES,
    ByteStream,
    Input,
    LongLine,
    check_blank,
    not_utf8,
    split_lines,
)
from univar.answers.rows import MAX_ROW_BYTES, TOO_LONG, ColumnNames, RawBatch
from univar.errors import DataError

_raw_decode = json.JSONDecoder().raw_decode
_KINDS = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}


def read_jsonl(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows, numbered by line in JSON Lines, by place in an array; blank lines are skipped.

    What the file is follows from its first character, whatever its name. A missing key is a row's fault, not
    the file's.
    """
    with source.text() as stream:
        opened = _Peeked(stream)
        found = (
            _elements(opened) if opened.first == b"[" else _lines(opened, is_lines=source.format == "jsonl")
        )
        yield from _batches(found, names, batch_rows, batch_bytes)


Found = tuple[int, dict[str, Any] | None, str, int]
"""Number of a row, its object or None with the reason, and about how many bytes it has."""


def _batches(
    found: Iterator[Found], names: ColumnNames, batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    rows: list[int] = []
    records: list[dict[str, Any]] = []
    rejected: list[tuple[int, str]] = []
    size = 0
    for number, record, fault, n_bytes in found:
        if record is None:
            rejected.append((number, fault))
        else:
            rows.append(number)
            records.append(record)
            size += n_bytes
        if len(rows) + len(rejected) >= batch_rows or size >= batch_bytes:
            yield _batch(rows, records, rejected, names)
            rows, records, rejected, size = [], [], [], 0
    if rows or rejected:
        yield _batch(rows, records, rejected, names)


class _Peeked:
    """A stream whose first byte that is no white space is known."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._head = stream.read(CHUNK_BYTES)
        while self._head and not self._head.strip() and (more := stream.read(CHUNK_BYTES)):
            self._head += more
            check_blank(len(self._head))
        self.first = self._head.lstrip()[:1]

    def read(self, size: int, /) -> bytes:
        head, self._head = self._head, b""
        return head or self._stream.read(size)


def _lines(stream: ByteStream, is_lines: bool) -> Iterator[Found]:
    """One object a line. Raises DataError for a file that is one object over several lines."""
    for number, line in enumerate(split_lines(stream), start=1):
        try:
            record = _parse(line)
        except DataError as error:
            if number == 1 and not is_lines:
                raise DataError(
                    "the file is one JSON object, not rows: write a list of objects "
                    "(in pandas, to_json(orient='records')) or one object a line"
                ) from None
            yield number, None, str(error), 0
            continue
        if record is not None:
            yield number, record, "", len(line)


def _elements(stream: ByteStream) -> Iterator[Found]:
    """The elements of a JSON array, a few at a time in memory."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text, place, number, ended = "", 0, 0, False

    def more() -> None:
        nonlocal text, place, ended
        chunk = stream.read(CHUNK_BYTES)
        ended = not chunk
        text, place = text[place:] + decoder.decode(chunk, final=ended), 0
        if len(text) > MAX_ROW_BYTES + 2 * CHUNK_BYTES:
            raise DataError(f"element {number + 1} of the array is longer than {MAX_ROW_BYTES >> 20} MiB")

    more()
    place = text.index("[") + 1
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        if place == len(text):
            if ended:
                raise DataError(f"the JSON array is cut off after element {number}")
            more()
            continue
        if text[place] == "]":
            return
        try:
            value, end = _raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            if not ended and not isinstance(error, RecursionError):
                more()
                continue
            raise DataError(f"element {number + 1} of the array is not JSON: {error}") from None
        if end == len(text) and not ended:  # a number may go on
            more()
            continue
        number += 1
        is_object = type(value) is dict
        fault = "" if is_object else f"the element is {_KINDS.get(type(value), 'null')}, not an object"
        yield number, value if is_object else None, fault, end - place
        place = end


def _parse(line: bytes) -> dict[str, Any] | None:
    if type(line) is LongLine:
        raise DataError(TOO_LONG)
    try:
        text = line.removeprefix(BOM).decode().strip()  # joined files have marks inside
        if not text:
            return None
        record, end = _raw_decode(text)
    except UnicodeDecodeError as error:
        raise DataError(not_utf8(line, error)) from None
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise DataError("the JSON is nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits
        raise DataError(f"not usable JSON: {error}") from None
    if end != len(text):
        raise DataError(f"not JSON: more text after the object, at character {end + 1}")
    if type(record) is not dict:
        raise DataError(f"the line is {_KINDS.get(type(record), 'null')}, not an object")
    return record


def _batch(
    rows: list[int], records: list[dict[str, Any]], rejected: list[tuple[int, str]], names: ColumnNames
) -> RawBatch:
    try:
        ours = names.resolve(dict.fromkeys(chain.from_iterable(records)))
    except DataError:
        rows, records = _renamed(rows, records, rejected, names)
        ours = {column: column for column in dict.fromkeys(chain.from_iterable(records))}
    columns = {column: [record.get(name) for record in records] for name, column in ours.items()}
    return RawBatch(rows, columns, rejected)


def _renamed(
    rows: list[int], records: list[dict[str, Any]], rejected: list[tuple[int, str]], names: ColumnNames
) -> tuple[list[int], list[dict[str, Any]]]:
    """The records under our names, one by one: those with an impossible name go to `rejected`."""
    kept_rows, kept = [], []
    for row, record in zip(rows, records, strict=True):
        try:
            ours = names.resolve(record)
        except DataError as error:
            rejected.append((row, str(error)))
            continue
        kept_rows.append(row)
        kept.append({ours[name]: value for name, value in record.items()})
    return kept_rows, kept
