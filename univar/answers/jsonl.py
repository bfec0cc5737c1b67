"""JSON Lines: one object a line, strict UTF-8. Of a key given twice the last value counts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from univar.answers.inputs import ByteStream, Input, LongLine, split_lines
from univar.answers.rows import TOO_LONG, ColumnNames, RawBatch
from univar.errors import DataError

_raw_decode = json.JSONDecoder().raw_decode
_KINDS = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}


def read_jsonl(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """Batches of rows; blank lines are skipped. A missing key is a row's fault, not the file's."""
    with source.open() as stream:
        yield from _read(stream, names, batch_rows, batch_bytes)


def _read(stream: ByteStream, names: ColumnNames, batch_rows: int, batch_bytes: int) -> Iterator[RawBatch]:
    rows: list[int] = []
    records: list[dict[str, Any]] = []
    rejected: list[tuple[int, str]] = []
    size = 0
    for number, line in enumerate(split_lines(stream), start=1):
        try:
            record = _parse(line)
        except DataError as error:
            rejected.append((number, str(error)))
        else:
            if record is None:
                continue
            rows.append(number)
            records.append(record)
            size += len(line)
        if len(rows) + len(rejected) >= batch_rows or size >= batch_bytes:
            yield _batch(rows, records, rejected, names)
            rows, records, rejected, size = [], [], [], 0
    if rows or rejected:
        yield _batch(rows, records, rejected, names)


def _parse(line: bytes) -> dict[str, Any] | None:
    if type(line) is LongLine:
        raise DataError(TOO_LONG)
    try:
        text = line.decode().strip()
        if not text:
            return None
        record, end = _raw_decode(text)
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}") from None
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
