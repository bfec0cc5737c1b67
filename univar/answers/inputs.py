"""What the user named as input: its format, its compression, and how it is to be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Protocol

from univar.answers.rows import ColumnNames, RawBatch
from univar.answers.text import ByteStream, Utf8Stream, check_encoding
from univar.errors import DataError, UsageError


@dataclass(frozen=True)
class Reading:
    """How answer files are read, where their names and contents do not tell.

    format:    one of FORMATS, whatever the endings say
    rename:    our column to the input's, {"answer": "reply"} if the input calls the answers `reply`
    delimiter: between the fields of CSV and TSV, one character
    encoding:  of text files; by default UTF-8, or what a byte order mark tells
    quoting:   of CSV and TSV: "double" quotes around fields, or "none"; by default what the file shows
    constant:  our column to the value that every row has; "@name" is the language code in the file's name
    """

    format: str | None = None
    rename: Mapping[str, str] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    quoting: str | None = None
    constant: Mapping[str, str] = field(default_factory=dict)

    def checked(self) -> Reading:
        """The same. Raises UsageError for what makes no sense, before anything is read."""
        if self.format is not None and self.format not in FORMATS:
            raise UsageError(f"unknown format {self.format!r}: choose one of {', '.join(FORMATS)}")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise UsageError(
                f"the delimiter must be one character, such as ';' or tab; it is {self.delimiter!r}"
            )
        if self.quoting not in (None, "none", "double"):
            raise UsageError(f"unknown quoting {self.quoting!r}: choose none or double")
        if self.encoding is not None:
            return replace(self, encoding=check_encoding(self.encoding))
        return self


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
    "json": Format((".json",), "univar.answers.jsonl:read_jsonl"),
    "csv": Format((".csv",), "univar.answers.delimited:read_delimited"),
    "tsv": Format((".tsv", ".tab", ".txt"), "univar.answers.delimited:read_delimited"),
    "parquet": Format((".parquet", ".pq"), "univar.answers.parquet:read_parquet"),
    "excel": Format((".xlsx", ".xls", ".xlsb", ".ods"), "univar.answers.excel:read_excel"),
}
"""A further format is one module with a Reader and one line here."""

_ENDINGS = {ending: name for name, format in FORMATS.items() for ending in format.endings}
_CODECS = {".gz": "gzip", ".zst": "zstd"}


WHOLE_FILES = ("parquet", "excel")
"""Formats that are read from a file, never from a stream, and are compressed inside."""


@dataclass(frozen=True)
class Input:
    """One input. path: None for stdin; label: its name in messages; codec: "gzip", "zstd" or "" for none."""

    path: str | None
    label: str
    format: str
    codec: str
    reading: Reading = Reading()

    @contextmanager
    def text(self) -> Iterator[Utf8Stream]:
        """The input's text as UTF-8, whatever its encoding."""
        with self.open() as stream:
            yield Utf8Stream(stream, self.reading.encoding)

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


def find_input(given: str | os.PathLike[str], reading: Reading) -> Input:
    """The input called `given`, "-" for stdin, in the format asked for or the one its ending tells.

    Raises UsageError where no format is known, DataError for what is not there or cannot be opened.
    """
    path, format = os.fspath(given), reading.format
    if path == "-":
        if format in WHOLE_FILES:
            raise UsageError(f"{format.capitalize()} cannot be read from stdin: give the file's path")
        return Input(None, "stdin", format or "jsonl", "", reading)
    _check_readable(path)
    endings = [suffix.lower() for suffix in PurePath(path).suffixes]
    codec = _CODECS.get(endings[-1], "") if endings else ""
    ending = "".join((endings[:-1] if codec else endings)[-1:])
    found = format or _ENDINGS.get(ending)
    if found is None:
        raise UsageError(
            f"{path}: the ending {ending!r} tells no format: name one with --format ({', '.join(FORMATS)})"
        )
    if found in WHOLE_FILES and codec:
        raise UsageError(f"{path}: {found.capitalize()} is compressed inside: unpack the {endings[-1]} file")
    return Input(path, path, found, codec, reading)


def _check_readable(path: str) -> None:
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder: name the files in it, for example {path.rstrip('/')}/*.jsonl")
    if not os.path.exists(path):
        raise DataError(f"{path} does not exist: check the path")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} cannot be opened: you have no permission to read it")
