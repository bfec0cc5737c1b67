"""What the user named as input: its format, its compression, the bytes and the lines in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from univar.answers.rows import MAX_ROW_BYTES, ColumnNames, RawBatch
from univar.errors import DataError, UsageError


class Reader(Protocol):
    """A format's reader: batches of rows as they stand in the file, numbered as `RowBatch.rows` says."""

    def __call__(
        self,
        source: Input,
        names: ColumnNames,
        required: Collection[str],
        batch_rows: int,
        batch_bytes: int,
        /,
    ) -> Iterator[RawBatch]: ...


@dataclass(frozen=True)
class Format:
    """A format of answer files: the endings of its files, and where its Reader is, as "module:function"."""

    endings: tuple[str, ...]
    reader: str


FORMATS = {
    "jsonl": Format((".jsonl", ".ndjson"), "univar.answers.jsonl:read_jsonl"),
    "csv": Format((".csv",), "univar.answers.delimited:read_csv"),
    "tsv": Format((".tsv",), "univar.answers.delimited:read_tsv"),
    "parquet": Format((".parquet",), "univar.answers.parquet:read_parquet"),
}
"""A further format is one module with a Reader and one line here."""

_ENDINGS = {ending: name for name, format in FORMATS.items() for ending in format.endings}
_CODECS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class Input:
    """One input. path: None for stdin; label: its name in messages; codec: "gzip", "zstd" or "" for none."""

    path: str | None
    label: str
    format: str
    codec: str

    @contextmanager
    def open(self) -> Iterator[ByteStream]:
        """The input's bytes, decompressed."""
        if self.path is None:
            yield sys.stdin.buffer
            return
        with open(self.path, "rb") as file:
            if not self.codec:
                yield file
                return
            import pyarrow as pa

            with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), self.codec) as stream:
                yield stream


def find_input(given: str | os.PathLike[str], format: str | None) -> Input:
    """The input called `given`, "-" for stdin, in `format` or the one its ending tells.

    Raises UsageError for an unknown format, DataError for what is not there or cannot be opened.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    path = os.fspath(given)
    if path == "-":
        if format == "parquet":
            raise UsageError("Parquet cannot be read from stdin: give the file's path")
        return Input(None, "stdin", format or "jsonl", "")
    _check_readable(path)
    endings = [suffix.lower() for suffix in PurePath(path).suffixes]
    codec = _CODECS.get(endings[-1], "") if endings else ""
    ending = "".join((endings[:-1] if codec else endings)[-1:])
    found = format or _ENDINGS.get(ending)
    if found is None:
        raise UsageError(
            f"{path}: the ending {ending!r} tells no format: name one with --format ({', '.join(FORMATS)})"
        )
    if found == "parquet" and codec:
        raise UsageError(f"{path}: Parquet is compressed inside: unpack the {endings[-1]} file first")
    return Input(path, path, found, codec)


def _check_readable(path: str) -> None:
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder: name the files in it, for example {path.rstrip('/')}/*.jsonl")
    if not os.path.exists(path):
        raise DataError(f"{path} does not exist: check the path")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} cannot be opened: you have no permission to read it")


CHUNK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


class ByteStream(Protocol):
    """What the readers need of an opened file."""

    def read(self, size: int, /) -> bytes: ...


class LongLine(bytes):
    """Stands for a line over the limit: one quote if the line had an odd number of quotes, else empty."""


def split_lines(stream: ByteStream, limit: int = MAX_ROW_BYTES) -> Iterator[bytes]:
    """The lines of `stream` without their newline; a line of more than `limit` bytes comes as a LongLine.

    A byte order mark at the start is dropped. At most `limit` bytes and one chunk are held.
    """
    parts: list[bytes] = []  # the line that is not finished yet
    held = quotes = 0
    chunk = stream.read(CHUNK_BYTES).removeprefix(_BOM)
    while chunk:
        first, *rest = chunk.split(b"\n")
        parts.append(first)
        held += len(first)
        if rest:
            yield _finished(parts, held, quotes, limit)
            *whole, last = rest
            yield from whole
            parts, held, quotes = [last], len(last), 0
        elif held > limit:
            quotes += sum(part.count(b'"') for part in parts)
            parts = []
        chunk = stream.read(CHUNK_BYTES)
    if held:
        yield _finished(parts, held, quotes, limit)


def _finished(parts: list[bytes], held: int, quotes: int, limit: int) -> bytes:
    if held <= limit:
        return b"".join(parts)
    quotes += sum(part.count(b'"') for part in parts)
    return LongLine(b'"' if quotes % 2 else b"")
