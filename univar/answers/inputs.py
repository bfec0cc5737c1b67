"""What the user named as input: how it is to be read, its format and compression, its text as lines of UTF-8.

A byte that the encoding does not have becomes one that UTF-8 does not have: its row alone is rejected.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import stat
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, BinaryIO, Protocol

from univar.answers.rows import MAX_ROW_BYTES, NAMES, ColumnNames, RawBatch
from univar.errors import DataError, StoppedReading, UsageError
from univar.files import escaped

CHUNK_BYTES = 1 << 20
MAX_BLANK_BYTES = 64 << 20
_LOOK_MS = 200

stopping = threading.Event()
"""Set when the user stops the run: a pipe that gives nothing is then no longer waited for."""

BOM = b"\xef\xbb\xbf"
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
"""Byte order marks of other encodings, the longer first."""


class ByteStream(Protocol):
    """What the readers need of an opened file."""

    def read(self, size: int, /) -> bytes: ...


class Pipe(io.RawIOBase):
    """A pipe, terminal or socket. Reading raises StoppedReading soon after `stopping` is set, in threads too.

    number: an open descriptor, which is closed with this unless it is stdin's
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._poll = select.poll()
        self._poll.register(number, select.POLLIN)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Bytes read into `buffer`; 0 at the end."""
        while True:
            ready = self._poll.poll(_LOOK_MS)
            if stopping.is_set():
                raise StoppedReading("interrupted while waiting for input")
            if ready:
                with suppress(BlockingIOError):
                    return os.readv(self._number, [buffer])

    def close(self) -> None:
        """Close the descriptor too."""
        if not self.closed and self._number > 2:
            os.close(self._number)
        super().close()


def stdin_bytes() -> ByteStream:
    """Bytes of stdin, which does not block a run that is stopped."""
    try:
        number = sys.stdin.fileno()
        regular = stat.S_ISREG(os.fstat(number).st_mode)
    except (OSError, ValueError, AttributeError):  # not a file of the system, as in tests
        return sys.stdin.buffer
    return sys.stdin.buffer if regular else io.BufferedReader(Pipe(number), CHUNK_BYTES)


class LongLine(bytes):
    """Stands for a line over the limit: one quote if the line had an odd number of quotes, else empty."""


def check_encoding(name: str) -> str:
    """Python's name of a text encoding. Raises UsageError where there is none of that name."""
    try:
        found = codecs.lookup(name)
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError, TypeError):
        raise UsageError(
            f"unknown encoding {name!r}: give one such as utf-8, utf-16, cp1252 or gb18030"
        ) from None
    return found.name


class Utf8Stream:
    """A stream in any encoding, read as UTF-8 without its byte order mark.

    encoding: a name that `check_encoding` knows; None: what the first bytes tell, else UTF-8
    """

    def __init__(self, stream: ByteStream, encoding: str | None = None) -> None:
        self._stream = stream
        self._head = self._fill(4096)
        self.encoding = encoding or _encoding_of(self._head)
        mark = next((m for m, name in _MARKS.items() if name == self.encoding), b"")
        if mark:
            self._head = self._head.removeprefix(mark)
        if self.encoding == "utf-8":
            while self._head.startswith(BOM):
                self._head = self._head[len(BOM) :]
            self._decoder = None
        else:
            self._decoder = codecs.getincrementaldecoder(self.encoding)("surrogateescape")
            if self.encoding.startswith(("utf-16", "utf-32")):
                self._decoder = codecs.getincrementaldecoder(self.encoding)("surrogatepass")

    def _fill(self, size: int) -> bytes:
        """The first bytes, also from a pipe that gives few at a time."""
        parts: list[bytes] = []
        while size > 0 and (part := self._stream.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def read(self, size: int, /) -> bytes:
        """About `size` bytes of UTF-8; empty at the end."""
        while True:
            raw, self._head = self._head or self._stream.read(size), b""
            if self._decoder is None:
                return raw
            text = self._decode(raw)
            if text or not raw:
                return text.removeprefix("\ufeff").encode("utf-8", "surrogateescape") if text else b""

    def _decode(self, raw: bytes) -> str:
        assert self._decoder is not None
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:  # the file ends within a character
            text = "\udcff" * (error.end - error.start)
        return (
            "".join("\udcff" if "\ud800" <= c <= "\udfff" else c for c in text) if _has_half(text) else text
        )


def _has_half(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _encoding_of(head: bytes) -> str:
    """UTF-16 and UTF-32 by their marks, or by the zeros that every second byte of Latin text has."""
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    even, odd = head[0::2], head[1::2]
    if len(head) >= 8 and not head.startswith(BOM):
        if odd.count(0) > 0.4 * len(odd) and even.count(0) == 0:
            return "utf-16-le"
        if even.count(0) > 0.4 * len(even) and odd.count(0) == 0:
            return "utf-16-be"
    return "utf-8"


def split_lines(stream: ByteStream, limit: int = MAX_ROW_BYTES) -> Iterator[bytes]:
    """The lines of `stream` without their line feed; a line of more than `limit` bytes comes as a LongLine.

    Where the first line end outside of quotes is a carriage return alone, as in Excel for Mac, they end all
    lines. At most `limit` bytes and one chunk are held.
    """
    parts: list[bytes] = []  # the line that is not finished yet
    held = quotes = 0
    chunk = stream.read(CHUNK_BYTES)
    returns = _ends_in_returns(chunk)
    blank = 0
    while chunk:
        blank = 0 if chunk.strip() else blank + len(chunk)
        check_blank(blank)
        if returns:
            chunk = chunk.replace(b"\r", b"\n")
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


def check_blank(size: int) -> None:
    """Raise DataError for so many bytes of white space in a row: a small .zst may unpack to endless ones."""
    if size > MAX_BLANK_BYTES:
        raise DataError(
            f"more than {MAX_BLANK_BYTES >> 20} MiB of nothing but white space in a row: no rows can be meant"
        )


def _ends_in_returns(chunk: bytes) -> bool:
    """Whether the first line end outside of quotes is a carriage return alone."""
    quoted = False
    start = 0
    while True:
        places = [p for p in (chunk.find(c, start) for c in (b'"', b"\r", b"\n")) if p >= 0]
        if not places:
            return False
        place = min(places)
        byte = chunk[place : place + 1]
        if byte == b'"':
            quoted = not quoted
        elif not quoted:
            return byte == b"\r" and chunk[place + 1 : place + 2] != b"\n"
        start = place + 1


def _finished(parts: list[bytes], held: int, quotes: int, limit: int) -> bytes:
    if held <= limit:
        return b"".join(parts)
    quotes += sum(part.count(b'"') for part in parts)
    return LongLine(b'"' if quotes % 2 else b"")


def not_utf8(line: bytes, error: UnicodeDecodeError, place: str = "") -> str:
    """Why a line is rejected: the byte, its place, and what may be the matter."""
    where = f"in {place}" if place else f"at position {error.start + 1}"
    return (
        f"not UTF-8: byte 0x{line[error.start]:02x} {where}; "
        "if the file is in another encoding, name it, e.g. --encoding cp1252"
    )


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
            yield stdin_bytes()
            return
        with self._file() as file:
            if not self.codec:
                yield file
                return
            import pyarrow as pa

            with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), self.codec) as stream:
                yield stream

    def _file(self) -> BinaryIO:
        assert self.path is not None
        if stat.S_ISREG(os.stat(self.path).st_mode):
            return open(self.path, "rb")
        number = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return io.BufferedReader(Pipe(number), CHUNK_BYTES)


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
    if found in WHOLE_FILES and not os.path.isfile(path):
        raise UsageError(f"{path} is a pipe: {found.capitalize()} is read from a file only")
    if found in WHOLE_FILES and codec:
        raise UsageError(f"{path}: {found.capitalize()} is compressed inside: unpack the {endings[-1]} file")
    return Input(path, NAMES.get(path) or escaped(path), found, codec, reading)


def _check_readable(path: str) -> None:
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder: name the files in it, for example {path.rstrip('/')}/*.jsonl")
    if not os.path.exists(path):
        raise DataError(f"{path} does not exist: check the path")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} cannot be opened: you have no permission to read it")
