"""What the user named as input: its format, its compression, and the bytes in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath

from univar.answers.lines import ByteStream
from univar.errors import DataError, UsageError

FORMATS = ("jsonl", "csv", "tsv", "parquet")
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
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
