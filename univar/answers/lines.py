"""A byte stream cut into lines, none of which is ever held when it is too long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from univar.answers.rows import MAX_ROW_BYTES

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
