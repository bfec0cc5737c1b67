"""One finished shard: a file that is never written again, read by memory map.

Readers trust the manifest, not HDF5: they map the file and take the bytes at the offsets that were noted
when it was written, so that a hostile file cannot lead the HDF5 library anywhere.

A text column is `text/<name>/{offsets, bytes}`, one string a row. A column that repeats is
`codes/<name>/{codes, offsets, bytes}`: the shard's distinct strings, and one number a row.
"""

from __future__ import annotations

import functools
import hashlib
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from univar import files, schema
from univar.errors import StoreCorrupt
from univar.store.manifest import BLOCK_BYTES, DIGEST_BYTES, ShardInfo, decode_name, encode_name

FLAG_TRUNCATED = 1
"""The row was not read to its end."""

FLAG_REUSED = 2
"""The embedding is that of an identical text embedded before."""

FLAG_QUESTION_ONLY = 4
"""The question filled the encoder's window: nothing of the answer was read."""

FLAG_QUESTION_CUT = 8
"""The middle of the question was left out, as it was longer than its budget."""

FLAGS = FLAG_TRUNCATED | FLAG_REUSED | FLAG_QUESTION_ONLY | FLAG_QUESTION_CUT

UNIT_TOLERANCE = {"float16": 2e-3, "float32": 1e-3}
"""How far the length of a stored embedding may be from 1."""


class ShardFile:
    """A finished shard; opened on first use, never locked, never written."""

    def __init__(self, path: Path, info: ShardInfo) -> None:
        self.path, self.info = path, info
        self._sound = np.zeros(len(info.blocks), dtype=bool)

    def __len__(self) -> int:
        return self.info.rows

    def check_size(self) -> None:
        """Raise StoreCorrupt unless the file is there with the size in the manifest."""
        size = files.file_size(self.path)
        if size != self.info.size_bytes:
            raise self.corrupt(f"it has {size} bytes, the manifest says {self.info.size_bytes}")

    def check_blocks(self, names: Iterable[str] | None = None) -> None:
        """Recompute the checksums of the blocks that hold the named datasets (of all blocks without names).

        A block found sound is not read again. Raises StoreCorrupt at the first one that is not.
        """
        wrong = next(self.broken_blocks(names), None)
        if wrong is not None:
            raise self.corrupt(
                f"block {wrong} (bytes from {wrong * BLOCK_BYTES}) does not match its checksum"
            )

    def broken_blocks(self, names: Iterable[str] | None = None) -> Iterator[int]:
        """Numbers of the blocks whose checksum is not the manifest's."""
        blocks = np.ones(len(self._sound), dtype=bool) if names is None else self._blocks_of(names)
        for block in np.flatnonzero(blocks & ~self._sound):
            part = memoryview(self._memory)[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            if hashlib.blake2b(part, digest_size=DIGEST_BYTES).hexdigest() == self.info.blocks[block]:
                self._sound[block] = True
            else:
                yield int(block)

    def has(self, name: str) -> bool:
        """Whether the shard has a dataset."""
        return name in self.info.datasets

    def array(self, name: str) -> np.ndarray:
        """A dataset as a read-only view of the file."""
        info = self.info.datasets[name]
        flat = np.frombuffer(
            self._memory if info.nbytes else b"",
            dtype=info.dtype,
            count=int(np.prod(info.shape)),
            offset=info.offset if info.nbytes else 0,
        )
        return flat.reshape(info.shape)

    def strings(self, column: str) -> pa.Array:
        """A column as large_string (rows,); empty strings where the shard does not have it."""
        if self.is_coded(column):
            codes, labels = self.codes(column)
            return labels.take(pa.array(codes))
        folder = f"text/{encode_name(column)}"
        return self._strings(folder) if self._has(folder) else empty_strings(len(self))

    def codes(self, column: str) -> tuple[np.ndarray, pa.Array]:
        """(codes (rows,) int32, labels) of a column: the labels are large_string, each there once."""
        if not self.is_coded(column):
            codes, labels = to_codes([self.strings(column)])
            return codes[0], labels
        folder = f"codes/{encode_name(column)}"
        stored, labels = self.array(f"{folder}/codes"), self._strings(folder)
        if int(stored.min()) < 0 or int(stored.max()) >= len(labels):
            raise self.corrupt(f"column {column!r} has codes without a label")
        return stored, labels

    def identity(self) -> np.ndarray:
        """(rows, 16) uint8: hash of each row as this version makes it.

        These are the stored ones, except of rows whose language has another label now.
        """
        stored = self.array("row_hash")
        codes, labels = self.codes("language")
        renamed = [schema.current_language(label) != label for label in labels.to_pylist()]
        rows = np.flatnonzero(np.array([*renamed, False])[codes])
        if not len(rows):
            return stored
        columns = [pa.array(self.text(name, rows), pa.large_string()) for name in schema.IDENTITY_COLUMNS]
        columns[schema.IDENTITY_COLUMNS.index("language")] = current_languages(self.strings("language")).take(
            rows
        )
        hashes = stored.copy()
        hashes[rows] = schema.content_hashes(columns)
        return hashes

    def text(self, column: str, rows: np.ndarray) -> list[str]:
        """The strings of some rows (numbered in this shard), reading only them."""
        folder = f"text/{encode_name(column)}"
        if self.is_coded(column) or not self._has(folder):
            return self.strings(column).take(pa.array(rows)).to_pylist()
        offsets, data = self.array(f"{folder}/offsets"), self.array(f"{folder}/bytes")
        texts = []
        for start, end in zip(offsets[rows].tolist(), offsets[rows + 1].tolist(), strict=True):
            if not 0 <= start <= end <= len(data):
                raise self.corrupt(f"column {column!r} has a text outside its bytes")
            try:
                texts.append(data[start:end].tobytes().decode())
            except UnicodeDecodeError:
                raise self.corrupt(f"column {column!r} has a text that is not UTF-8") from None
        return texts

    def columns(self) -> list[str]:
        """Columns that this shard has."""
        folders = (name.split("/")[1] for name in self.info.datasets if name.endswith("/offsets"))
        return [decode_name(folder) for folder in folders]

    def is_coded(self, column: str) -> bool:
        """Whether this shard keeps the column as codes."""
        return f"codes/{encode_name(column)}/codes" in self.info.datasets

    def corrupt(self, what: str) -> StoreCorrupt:
        """The error to raise when the shard is not what the manifest says."""
        return StoreCorrupt(
            f"shard {self.path}: {what}: restore the file from a copy, or embed its answers into a new store"
        )

    @functools.cached_property
    def _memory(self) -> mmap.mmap:
        return files.map_file(self.path, self.info.size_bytes)

    def _has(self, folder: str) -> bool:
        return f"{folder}/offsets" in self.info.datasets

    def _strings(self, folder: str) -> pa.Array:
        try:
            return to_strings(self.array(f"{folder}/offsets"), self.array(f"{folder}/bytes"))
        except pa.ArrowInvalid as error:
            raise self.corrupt(f"{folder}: {str(error)[:200]}") from None

    def _blocks_of(self, names: Iterable[str]) -> np.ndarray:
        blocks = np.zeros(len(self._sound), dtype=bool)
        for name in names:
            info = self.info.datasets[name]
            if info.nbytes:
                blocks[info.offset // BLOCK_BYTES : -(-(info.offset + info.nbytes) // BLOCK_BYTES)] = True
        return blocks


def current_languages(labels: pa.Array) -> pa.Array:
    """Language labels (n,) large_string as this version writes them."""
    found = labels.dictionary_encode()
    current = [schema.current_language(label) for label in found.dictionary.to_pylist()]
    return pa.array(current, pa.large_string()).take(found.indices)


def is_text(column: str) -> bool:
    """Whether a column is written as one string a row rather than as codes."""
    return column in schema.TEXT_COLUMNS


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


def not_unit(embeddings: np.ndarray, tolerance: float) -> np.ndarray:
    """Indices of rows of embeddings (n, D) that are not finite or whose length is not 1."""
    wide = embeddings.astype(np.float32, copy=False)
    squares = np.einsum("nd,nd->n", wide, wide)
    return np.flatnonzero(~(np.abs(np.sqrt(squares) - 1.0) <= tolerance))
