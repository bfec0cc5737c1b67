"""Writing a shard: rows are checked on arrival, kept as they are, and written in one pass.

h5py lays out a file of contiguous datasets in sparse memory without touching their data. The file is then
written in one pass from front to back over HDF5's bytes and the callers' own buffers: no copy, no second read
for the checksums, and every byte through `univar.files`.
"""

from __future__ import annotations

import hashlib
import io
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from univar import files, schema
from univar.errors import DataError
from univar.store.manifest import (
    BLOCK_BYTES,
    DIGEST_BYTES,
    DTYPES,
    READ_DATASETS,
    SHARD_FORMATS,
    DatasetInfo,
    ShardInfo,
    encode_name,
    fixed_datasets,
)
from univar.store.shard import UNIT_TOLERANCE, empty_strings, is_text, not_unit, to_codes

_ALIGNMENT = 64
_SLACK_BYTES = 4 << 20
_SLACK_PER_DATASET = 32 << 10

Buffers = list[Any]
Dataset = tuple[str, tuple[int, ...], Buffers]


@dataclass
class EmbeddedRows:
    """Rows with their embeddings.

    table:      n rows of string columns without nulls, schema.IDENTITY_COLUMNS among them
    embeddings: (n, D) float32, rows of length 1
    row_hash:   (n, 16) uint8, schema.content_hashes of the identity columns
    text_hash:  (n, 16) uint8, hash of the embedded text
    n_tokens:   (n,) int32, tokens that were embedded
    flags:      (n,) uint8, see `univar.store.shard`
    pieces, answer_tokens, answer_tokens_read: (n,) int32; unknown: (n,) float32
                what was read of each answer and the share of its tokens that the vocabulary lacks; None where
                nobody counted: zeros are written, and a row of 0 pieces says so
    """

    table: pa.Table
    embeddings: np.ndarray
    row_hash: np.ndarray
    text_hash: np.ndarray
    n_tokens: np.ndarray
    flags: np.ndarray
    pieces: np.ndarray | None = None
    answer_tokens: np.ndarray | None = None
    answer_tokens_read: np.ndarray | None = None
    unknown: np.ndarray | None = None

    def __len__(self) -> int:
        return self.table.num_rows

    def check(self, dim: int) -> None:
        """Raise DataError unless everything has the shape, type and range that the class describes."""
        n = len(self)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "embeddings": ((n, dim), np.float32),
            "row_hash": ((n, 16), np.uint8),
            "text_hash": ((n, 16), np.uint8),
            "n_tokens": ((n,), np.int32),
            "flags": ((n,), np.uint8),
            **{name: ((n,), np.dtype(kind)) for name, kind in READ_DATASETS.items()},
        }
        expected = {name: what for name, what in expected.items() if getattr(self, name) is not None}
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise DataError(
                    f"{name} is {array.dtype} {array.shape}, but {n} rows of this store need "
                    f"{np.dtype(dtype)} {shape}: embed with the store's encoder"
                )
        _check_table(self.table)
        wrong = not_unit(self.embeddings, UNIT_TOLERANCE["float32"])
        if len(wrong):
            raise DataError(
                f"the embedding of row {wrong[0]} of this batch ({len(wrong)} in all) is not finite or not "
                "of length 1: normalise embeddings before storing them"
            )


def _check_table(table: pa.Table) -> None:
    names = table.column_names
    missing = [name for name in schema.IDENTITY_COLUMNS if name not in names]
    if missing:
        raise DataError(f"rows without {', '.join(missing)}: read them with univar.answers.read_rows")
    if schema.DERIVED_COLUMN in names:
        raise DataError(
            f"a column is called {schema.DERIVED_COLUMN!r}, which here is (model, language): "
            f"rename it, e.g. to {schema.SOURCE_CORPUS!r}"
        )
    if len(set(names)) < len(names):
        raise DataError(f"column {max(names, key=names.count)!r} appears twice: rename one")
    for name in names:
        if not pa.types.is_large_string(table.column(name).type) or table.column(name).null_count:
            raise DataError(f"column {name!r} is not large_string without nulls: cast it and fill the nulls")


class PendingRows:
    """Batches that wait for their shard; embeddings are already in the store's dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.batches: list[EmbeddedRows] = []
        self.starts: list[int] = []
        self.rows = 0
        self.nbytes = 0

    def add(self, rows: EmbeddedRows) -> None:
        """Keep a batch."""
        embeddings = np.ascontiguousarray(rows.embeddings, dtype=DTYPES[self.dtype])
        counted = {name: getattr(rows, name) for name in ("row_hash", "text_hash", "n_tokens", "flags")}
        for name, kind in READ_DATASETS.items():
            given = getattr(rows, name)
            counted[name] = np.zeros(len(rows), kind) if given is None else given
        arrays = {name: np.ascontiguousarray(array) for name, array in counted.items()}
        kept = EmbeddedRows(rows.table, embeddings, **arrays)
        self.batches.append(kept)
        self.starts.append(self.rows)
        self.rows += len(rows)
        self.nbytes += embeddings.nbytes + rows.table.nbytes + 53 * len(rows)

    def embeddings_of(self, rows: np.ndarray) -> np.ndarray:
        """Embeddings (m, D) in the store's dtype of pending rows, numbered from 0."""
        out = np.empty((len(rows), self.batches[0].embeddings.shape[1]), dtype=DTYPES[self.dtype])
        batch_of = np.searchsorted(self.starts, rows, side="right") - 1
        for batch in np.unique(batch_of):
            here = batch_of == batch
            out[here] = self.batches[batch].embeddings[rows[here] - self.starts[batch]]
        return out

    def column_names(self) -> list[str]:
        """Columns of any batch, in the order in which they came."""
        return list(dict.fromkeys(name for batch in self.batches for name in batch.table.column_names))

    def column(self, name: str) -> list[pa.Array]:
        """A column as Arrow arrays, with empty strings for batches that lack it."""
        chunks: list[pa.Array] = []
        for batch in self.batches:
            if name in batch.table.column_names:
                chunks.extend(batch.table.column(name).chunks)
            else:
                chunks.append(empty_strings(len(batch)))
        return chunks


def write_shard(path: Path, pending: PendingRows, format: str) -> ShardInfo:
    """Write all pending rows (at least one) as one shard of a store of this format, whole or not at all."""
    datasets = dict(_datasets(pending, format))
    places = {name: (dtype, shape) for name, (dtype, shape, _) in datasets.items()}
    skeleton, offsets = _lay_out(places, SHARD_FORMATS[format])
    infos = {name: DatasetInfo(offsets[name], dtype, shape) for name, (dtype, shape, _) in datasets.items()}
    checksums = BlockChecksums()
    with files.new_file(path) as file:
        for buffer in _front_to_back(skeleton, infos, datasets):
            file.write(buffer)
            checksums.update(buffer)
    return ShardInfo(path.name, pending.rows, file.size_bytes, tuple(checksums.finish()), infos)


def _datasets(pending: PendingRows, format: str) -> Iterator[tuple[str, Dataset]]:
    dim = pending.batches[0].embeddings.shape[1]
    for name, (dtype, shape) in fixed_datasets(pending.rows, dim, pending.dtype, format).items():
        yield name, (dtype, shape, [getattr(batch, name) for batch in pending.batches])
    names = pending.column_names()
    for column in sorted(names, key=is_text):
        yield from _column_datasets(column, pending.column(column))


def _column_datasets(column: str, chunks: list[pa.Array]) -> Iterator[tuple[str, Dataset]]:
    encoded = encode_name(column)
    folder = f"text/{encoded}" if is_text(column) else f"codes/{encoded}"
    if not is_text(column):
        codes, labels = to_codes(chunks)
        yield f"{folder}/codes", ("<i4", (sum(map(len, codes)),), codes)
        chunks = [labels]
    offsets, data = _from_chunks(chunks)
    yield f"{folder}/offsets", ("<i8", offsets.shape, [offsets])
    yield f"{folder}/bytes", ("|u1", (int(offsets[-1]),), data)


def _from_chunks(chunks: list[pa.Array]) -> tuple[np.ndarray, list[Any]]:
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


class _SparseFile:
    """A file in anonymous memory, of which only the pages that HDF5 writes exist."""

    def __init__(self, capacity_bytes: int) -> None:
        self.memory = mmap.mmap(-1, capacity_bytes)
        self.position = 0
        self.size = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int) -> bytes:
        return self.memory[self.position : self.position + size]

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view[:] = self.read(len(view))
        self.position += len(view)
        return len(view)

    def write(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        end = self.position + len(view)
        self.memory[self.position : end] = bytes(view)
        self.position = end
        self.size = max(self.size, end)
        return len(view)

    def truncate(self, size: int) -> int:
        self.size = size
        return size

    def flush(self) -> None:
        pass


def _lay_out(
    datasets: dict[str, tuple[str, tuple[int, ...]]], shard_format: str
) -> tuple[memoryview, dict[str, int]]:
    """A shard file without its data, and the byte offset of each dataset in it (0 for one without bytes).

    datasets: name -> (dtype, shape), in the order in which they shall lie in the file.
    """
    nbytes = sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for dtype, shape in datasets.values())
    file = _SparseFile(nbytes + _SLACK_BYTES + _SLACK_PER_DATASET * len(datasets))
    settings: dict[str, Any] = {"libver": ("v110", "v110"), "track_order": False}
    with h5py.File(file, "w", alignment_threshold=1, alignment_interval=_ALIGNMENT, **settings) as h5:
        h5.attrs["format"] = shard_format
        offsets = {name: _allocate(h5, name, *what) for name, what in datasets.items()}
    return memoryview(file.memory)[: file.size], offsets


def _allocate(h5: h5py.File, name: str, dtype: str, shape: tuple[int, ...]) -> int:
    folder, _, leaf = name.rpartition("/")
    parent = h5.require_group(folder) if folder else h5
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    dataset = h5py.h5d.create(
        parent.id,
        leaf.encode(),
        h5py.h5t.py_create(np.dtype(dtype)),
        h5py.h5s.create_simple(shape),
        properties,
    )
    return dataset.get_offset() or 0
