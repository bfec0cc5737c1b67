"""Columns of strings: their dataset names, and Arrow arrays to and from offsets and bytes.

A text column is `text/<name>/{offsets, bytes}`, one string a row. A column that repeats is
`codes/<name>/{codes, offsets, bytes}`: the shard's distinct strings, and one number a row.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa

from univar import schema

EMPTY_NAME = "%"


def encode_name(column: str) -> str:
    """A column's name as one HDF5 link name: percent-encoded, so that no slash or dot misleads."""
    if not column:
        return EMPTY_NAME
    return quote(column, safe=" ").replace(".", "%2E")


def decode_name(encoded: str) -> str:
    """The inverse of `encode_name`."""
    return "" if encoded == EMPTY_NAME else unquote(encoded)


def is_text(column: str) -> bool:
    """Whether a column is written as one string a row rather than as codes."""
    return column in schema.TEXT_COLUMNS


def from_chunks(chunks: list[pa.Array]) -> tuple[np.ndarray, list[Any]]:
    """Offsets (n + 1,) int64 and the byte buffers of large_string arrays laid end to end; no copy of text."""
    offsets = np.zeros(sum(len(chunk) for chunk in chunks) + 1, dtype=np.int64)
    buffers, row, end = [], 0, 0
    for chunk in chunks:
        if not len(chunk):
            continue
        _, offset_buffer, data = chunk.buffers()
        start = chunk.offset
        own = np.frombuffer(offset_buffer, dtype=np.int64)[start : start + len(chunk) + 1]
        np.add(own[1:], end - own[0], out=offsets[row + 1 : row + 1 + len(chunk)])
        if own[-1] > own[0]:
            buffers.append(memoryview(data)[int(own[0]) : int(own[-1])])
        row += len(chunk)
        end = int(offsets[row])
    return offsets, buffers


def to_codes(chunks: list[pa.Array]) -> tuple[list[np.ndarray], pa.Array]:
    """Codes, one int32 array a chunk, into the distinct strings that follow (large_string)."""
    encoded = pa.chunked_array(chunks, type=pa.large_string()).dictionary_encode().unify_dictionaries()
    codes = [chunk.indices.to_numpy(zero_copy_only=False).astype(np.int32) for chunk in encoded.chunks]
    return codes, encoded.chunk(0).dictionary


def to_strings(offsets: np.ndarray, data: np.ndarray) -> pa.Array:
    """Strings (n,) from offsets (n + 1,) int64 and bytes (b,) uint8, without a copy.

    Raises pa.ArrowInvalid unless the offsets rise inside the bytes and every string is UTF-8.
    """
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    strings = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
    strings.validate(full=True)
    return strings


def empty_strings(rows: int) -> pa.Array:
    """`rows` empty strings, for a column that a shard or batch does not have."""
    return pa.repeat(pa.scalar("", pa.large_string()), rows)
