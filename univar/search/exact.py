"""Exact search block by block: nothing to build, and a corpus may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from univar.search.scores import TopK, largest_norm, pair_scores, rounding_slack

BLOCK_BYTES = 64 << 20
TILE_BYTES = 32 << 20


class ArrayEmbeddings:
    """An array with the surface of `Store.embeddings`. array: (N, D)."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._array[rows]

    def blocks(self, max_rows: int) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self._array), max_rows):
            yield start, self._array[start : start + max_rows]


class ExactSearch:
    """Search over every row.

    A float32 matrix product finds all rows that could be among the best k, with room for its rounding;
    those few are scored as `scores` defines it. So the result is the same for any size of block.
    """

    def __init__(self, embeddings: Any, dim: int, block_rows: int | None = None) -> None:
        self._embeddings = embeddings
        self._block_rows = block_rows or max(1, BLOCK_BYTES // (4 * dim))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows, as `Index.search` without its checks."""
        best = TopK(len(queries), k)
        for start, block in self._embeddings.blocks(self._block_rows):
            corpus = np.ascontiguousarray(block, dtype=np.float32)
            slack = 2 * rounding_slack(queries, largest_norm(corpus))
            step = max(1, TILE_BYTES // (4 * max(1, len(corpus))))
            for first in range(0, len(queries), step):
                part = slice(first, first + step)
                hits, rows = _candidates(queries[part] @ corpus.T, best.floor(part), slack[part], k)
                best.merge(first + hits, start + rows, pair_scores(queries[part], corpus, hits, rows))
        return best.scores, best.indices


def _candidates(
    products: np.ndarray, floor: np.ndarray, slack: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (query, row) of a block that could enter the best k. products: (q, b); floor, slack: (q,)."""
    if products.shape[1] > k and np.isneginf(floor).any():
        floor = np.maximum(floor, _reached_by_k(products, k))
    hits = np.flatnonzero(products >= (floor - slack)[:, None])
    return np.divmod(hits, products.shape[1])


def _reached_by_k(products: np.ndarray, k: int) -> np.ndarray:
    """A value that at least k products of each row reach, close to the k-th best. products: (q, b), b > k."""
    groups = 8 * k
    members = products.shape[1] // groups
    if members > 1:  # the k-th best of the groups' maxima: one pass, and hardly below the k-th best of all
        products = products[:, : members * groups].reshape(-1, members, groups).max(axis=1)
    return np.partition(products, -k, axis=1)[:, -k]
