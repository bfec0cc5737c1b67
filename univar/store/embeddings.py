"""All embeddings of a store as one matrix that stays on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from univar.errors import UsageError
from univar.store.shard import ShardFile


class Embeddings:
    """The (N, D) matrix of a store, memory-mapped shard by shard.

    `[i]` is row i (D,); `[a:b]` a read-only view while it stays in one shard, else a copy; `[rows]` with an
    integer or boolean array a copy. `np.asarray(view)` reads everything.
    """

    def __init__(self, shards: list[ShardFile], dim: int, dtype: str) -> None:
        self._shards = shards
        self._starts = np.cumsum([0, *map(len, shards)])
        self.shape = (int(self._starts[-1]), dim)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice):
            return self._slice(*rows.indices(len(self)))
        wanted = np.asarray(rows)
        if wanted.dtype == bool:
            if wanted.shape != (len(self),):
                raise UsageError(f"a mask of shape {wanted.shape} does not fit {len(self)} rows")
            wanted = np.flatnonzero(wanted)
        if wanted.size and not np.issubdtype(wanted.dtype, np.integer):
            raise UsageError(f"rows are chosen by whole numbers, a mask or a slice, not by {wanted.dtype}")
        wanted = wanted.astype(np.int64)
        if wanted.size and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"row {wanted.max()} is not among the {len(self)} rows")
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        if wanted.ndim > 1:
            raise UsageError(
                f"rows are chosen by one number or a list of them, not by an array {wanted.shape}"
            )
        return self._gather(wanted.reshape(-1)).reshape(*wanted.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a store's embeddings cannot become an array without a copy")
        everything = np.empty(self.shape, dtype=dtype or self.dtype)
        for start, block in self.blocks():
            everything[start : start + len(block)] = block
        return everything

    def blocks(self, max_rows: int = 65_536) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, read-only view (m, D)) of consecutive rows, m <= max_rows, none across shards."""
        for shard, start in zip(self._shards, self._starts[:-1], strict=True):
            matrix = shard.array("embeddings")
            for row in range(0, len(matrix), max_rows):
                yield int(start) + row, matrix[row : row + max_rows]

    def _slice(self, start: int, stop: int, step: int) -> np.ndarray:
        if step != 1:
            return self._gather(np.arange(start, stop, step, dtype=np.int64))
        if stop <= start:
            return np.empty((0, self.shape[1]), dtype=self.dtype)
        first, last = np.searchsorted(self._starts, [start, stop - 1], side="right") - 1
        parts = []
        for number in range(first, last + 1):
            offset = self._starts[number]
            parts.append(self._shards[number].array("embeddings")[max(start - offset, 0) : stop - offset])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard_of):
            here = shard_of == number
            out[here] = self._shards[number].array("embeddings")[rows[here] - self._starts[number]]
        return out
