"""Rows in every format that the readers know, and what the readers make of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from univar.answers import RejectedRow, read_rows

Row = Mapping[str, Any]

GOOD: dict[str, Any] = {"model": "m", "language": "eng", "question": "why?", "answer": "because"}


@dataclass(frozen=True)
class Reading:
    """All that one reading gave: the rows as dicts, their numbers, the rejected."""

    rows: list[dict[str, str]]
    numbers: list[int]
    rejected: list[RejectedRow]

    @property
    def reasons(self) -> dict[int, str]:
        return {row.row: row.reason for row in self.rejected}


def read(inputs: Any, **options: Any) -> Reading:
    """Read everything at once."""
    rejected: list[RejectedRow] = []
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    for batch in read_rows(inputs, on_rejected=rejected.append, **options):
        rows += batch.table.to_pylist()
        numbers += batch.rows.tolist()
    return Reading(rows, numbers, rejected)


def jsonl(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def delimited(rows: Sequence[Row], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows: Sequence[Row]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


WRITERS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    "jsonl": jsonl,
    "csv": lambda rows: delimited(rows, ","),
    "tsv": lambda rows: delimited(rows, "\t"),
    "parquet": parquet,
    "jsonl.gz": lambda rows: gzip.compress(jsonl(rows), 1),
    "csv.zst": lambda rows: zstd(delimited(rows, ",")),
}


def written(path: Path, rows: Sequence[Row]) -> Path:
    """`rows` in a file of the format that the path's ending names."""
    path.write_bytes(WRITERS[path.name.partition(".")[2]](rows))
    return path


def lines(path: Path, *rows: Row | bytes) -> Path:
    """A JSONL file of rows and of raw lines."""
    encoded = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path
