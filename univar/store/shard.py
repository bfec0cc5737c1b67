"""One shard: a finished HDF5 file that is written once, in one pass, and read by memory map.

Readers trust the manifest, not HDF5: they map the file and take the bytes at the offsets that were noted
when it was written, so that a hostile file cannot lead the HDF5 library anywhere.
"""

from __future__ import annotations

import functools
import hashlib
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from univar import files
from univar.errors import StoreCorrupt
from univar.store import columns
from univar.store.layout import lay_out
from univar.store.manifest import BLOCK_BYTES, DIGEST_BYTES, DatasetInfo, ShardInfo, fixed_datasets
from univar.store.rows import PendingRows

Buffers = list[Any]
Dataset = tuple[str, tuple[int, ...], Buffers]


def write_shard(path: Path, pending: PendingRows) -> ShardInfo:
    """Write all pending rows (at least one) as one shard; it is there whole or not at all."""
    datasets = dict(_datasets(pending))
    skeleton, offsets = lay_out({name: (dtype, shape) for name, (dtype, shape, _) in datasets.items()})
    infos = {name: DatasetInfo(offsets[name], dtype, shape) for name, (dtype, shape, _) in datasets.items()}
    checksums = BlockChecksums()
    with files.new_file(path) as file:
        for buffer in _front_to_back(skeleton, infos, datasets):
            file.write(buffer)
            checksums.update(buffer)
    return ShardInfo(path.name, pending.rows, file.size_bytes, tuple(checksums.finish()), infos)


def _datasets(pending: PendingRows) -> Iterator[tuple[str, Dataset]]:
    dim = pending.batches[0].embeddings.shape[1]
    for name, (dtype, shape) in fixed_datasets(pending.rows, dim, pending.dtype).items():
        yield name, (dtype, shape, [getattr(batch, name) for batch in pending.batches])
    names = pending.column_names()
    for column in sorted(names, key=columns.is_text):
        yield from _column_datasets(column, pending.column(column))


def _column_datasets(column: str, chunks: list[pa.Array]) -> Iterator[tuple[str, Dataset]]:
    encoded = columns.encode_name(column)
    folder = f"text/{encoded}" if columns.is_text(column) else f"codes/{encoded}"
    if not columns.is_text(column):
        codes, labels = columns.to_codes(chunks)
        yield f"{folder}/codes", ("<i4", (sum(map(len, codes)),), codes)
        chunks = [labels]
    offsets, data = columns.from_chunks(chunks)
    yield f"{folder}/offsets", ("<i8", offsets.shape, [offsets])
    yield f"{folder}/bytes", ("|u1", (int(offsets[-1]),), data)


def _front_to_back(
    skeleton: memoryview, infos: dict[str, DatasetInfo], datasets: dict[str, Dataset]
) -> Iterator[memoryview]:
    position = 0
    for name, info in sorted(infos.items(), key=lambda item: item[1].offset):
        if info.nbytes:
            yield skeleton[position : info.offset]
            yield from (memoryview(buffer).cast("B") for buffer in datasets[name][2] if len(buffer))
            position = info.offset + info.nbytes
    yield skeleton[position:]


class BlockChecksums:
    """BLAKE2b of every 4 MiB of a stream, however it is cut into buffers."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._filled = 0

    def update(self, buffer: memoryview) -> None:
        """Take the next bytes."""
        while len(buffer):
            part = buffer[: BLOCK_BYTES - self._filled]
            self._hash.update(part)
            self._filled += len(part)
            buffer = buffer[len(part) :]
            if self._filled == BLOCK_BYTES:
                self._close_block()

    def finish(self) -> list[str]:
        """The checksums in hex."""
        if self._filled:
            self._close_block()
        return self._blocks

    def _close_block(self) -> None:
        self._blocks.append(self._hash.hexdigest())
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._filled = 0


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
            raise self.corrupt(f"block {wrong} (bytes from {wrong * BLOCK_BYTES}) has another checksum")

    def broken_blocks(self, names: Iterable[str] | None = None) -> Iterator[int]:
        """Numbers of the blocks whose checksum is not the manifest's."""
        blocks = np.ones(len(self._sound), dtype=bool) if names is None else self._blocks_of(names)
        for block in np.flatnonzero(blocks & ~self._sound):
            part = memoryview(self._memory)[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            if hashlib.blake2b(part, digest_size=DIGEST_BYTES).hexdigest() == self.info.blocks[block]:
                self._sound[block] = True
            else:
                yield int(block)

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
        folder = f"text/{columns.encode_name(column)}"
        return self._strings(folder) if self._has(folder) else columns.empty_strings(len(self))

    def codes(self, column: str) -> tuple[np.ndarray, pa.Array]:
        """(codes (rows,) int32, labels) of a column: the labels are large_string, each there once."""
        if not self.is_coded(column):
            codes, labels = columns.to_codes([self.strings(column)])
            return codes[0], labels
        folder = f"codes/{columns.encode_name(column)}"
        stored, labels = self.array(f"{folder}/codes"), self._strings(folder)
        if int(stored.min()) < 0 or int(stored.max()) >= len(labels):
            raise self.corrupt(f"column {column!r} has codes without a label")
        return stored, labels

    def text(self, column: str, rows: np.ndarray) -> list[str]:
        """The strings of some rows (numbered in this shard), reading only them."""
        folder = f"text/{columns.encode_name(column)}"
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
        return [columns.decode_name(folder) for folder in folders]

    def is_coded(self, column: str) -> bool:
        """Whether this shard keeps the column as codes."""
        return f"codes/{columns.encode_name(column)}/codes" in self.info.datasets

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
            return columns.to_strings(self.array(f"{folder}/offsets"), self.array(f"{folder}/bytes"))
        except pa.ArrowInvalid as error:
            raise self.corrupt(f"{folder}: {str(error)[:200]}") from None

    def _blocks_of(self, names: Iterable[str]) -> np.ndarray:
        blocks = np.zeros(len(self._sound), dtype=bool)
        for name in names:
            info = self.info.datasets[name]
            if info.nbytes:
                blocks[info.offset // BLOCK_BYTES : -(-(info.offset + info.nbytes) // BLOCK_BYTES)] = True
        return blocks
