"""Exact search block by block: nothing to build, and a corpus may be larger than memory.

A score, whatever type of index found the row, is the float32 of the dot product summed in float64. Equal rows
therefore have equal scores, and a tie goes to the lower row: neither depends on blocks, batches, threads or
the type of index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

NO_ROW = -1
BLOCK_BYTES = 64 << 20
TILE_BYTES = 32 << 20
_PAIRS_AT_ONCE = 256
"""Pairs scored at once: their two float64 copies stay in a core's cache."""


class ArrayEmbeddings:
    """An array with the interface of `Store.embeddings`. array: (N, D)."""

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

    A float32 matrix product finds all rows that could be among the best k, with room for its rounding; those
    few get exact scores. So the result is the same for any size of block.
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


def pair_scores(
    queries: np.ndarray, corpus: np.ndarray, query_of: np.ndarray, row_of: np.ndarray
) -> np.ndarray:
    """Scores of chosen pairs.

    queries: (Q, D) float32; corpus: (n, D) float32; query_of, row_of: (P,) int64, the pairs
    returns: (P,) float32
    """
    scores = np.empty(len(query_of), dtype=np.float32)
    for start in range(0, len(query_of), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        q, c = queries[query_of[part]].astype(np.float64), corpus[row_of[part]].astype(np.float64)
        scores[part] = np.einsum("pd,pd->p", q, c)
    return scores


def rounding_slack(queries: np.ndarray, corpus_norm: float) -> np.ndarray:
    """How far a float32 matrix product may be from the score. queries: (Q, D); returns (Q,) float32."""
    unit = np.finfo(np.float32).eps
    return (queries.shape[1] + 2) * unit * np.linalg.norm(queries, axis=1) * corpus_norm


def largest_norm(corpus: np.ndarray) -> float:
    """Length of the longest row. corpus: (n, D) float32."""
    return float(np.einsum("nd,nd->n", corpus, corpus).max(initial=0.0)) ** 0.5


def order_candidates(scores: np.ndarray, indices: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of each row: higher score first, then lower row. scores, indices: (Q, K), K >= k."""
    order = np.lexsort((indices, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(indices, order, axis=1)


class TopK:
    """The best k rows of each query so far, in order. `scores` (Q, k) float32, `indices` (Q, k) int64."""

    def __init__(self, n_queries: int, k: int) -> None:
        self.scores = np.full((n_queries, k), -np.inf, dtype=np.float32)
        self.indices = np.full((n_queries, k), NO_ROW, dtype=np.int64)

    def floor(self, queries: slice) -> np.ndarray:
        """The score that a row must reach to matter, (n,) float32; -inf while fewer than k were seen."""
        return self.scores[queries, -1]

    def merge(self, query_of: np.ndarray, row_of: np.ndarray, scores: np.ndarray) -> None:
        """Take in candidates: (P,) queries, rows of the corpus and scores."""
        touched, slot = np.unique(query_of, return_inverse=True)
        if not len(touched):
            return
        k = self.scores.shape[1]
        slots = np.concatenate([np.repeat(np.arange(len(touched)), k), slot])
        all_rows = np.concatenate([self.indices[touched].ravel(), row_of])
        all_scores = np.concatenate([self.scores[touched].ravel(), scores])
        order = np.lexsort((all_rows, -all_scores, slots))
        slots = slots[order]
        place = np.arange(len(order)) - np.searchsorted(slots, slots)
        kept = order[place < k]
        self.indices[touched] = all_rows[kept].reshape(-1, k)
        self.scores[touched] = all_scores[kept].reshape(-1, k)
