"""Exact search block by block: nothing to build, and a corpus may be larger than memory.

A score, whatever type of index found the row, is the float32 of the dot product summed in float64. Equal rows
therefore have equal scores, and a tie goes to the lower row: neither depends on blocks, batches, threads or
the type of index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from univar import runtime
from univar._native import exact_search
from univar.kernels.checks import not_finite

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
    """Search over every row, in C++ straight from float16 or float32 rows (`csrc/search/exact.h`).

    threads: number of threads; None for one per processor that the process may use
    """

    def __init__(
        self, embeddings: Any, dim: int, block_rows: int | None = None, threads: int | None = None
    ) -> None:
        self._embeddings = embeddings
        self._block_rows = block_rows or max(1, BLOCK_BYTES // (4 * dim))
        self._threads = runtime.thread_count(threads)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows, as `Index.search` without its checks. Raises DataError for NaN or infinity."""
        queries = _plain(queries)
        best = TopK(len(queries), k)
        for start, block in self._embeddings.blocks(self._block_rows):
            if len(queries):
                self._search_block(queries, start, _plain(block), k, best)
        return best.scores, best.indices

    def _search_block(self, queries: np.ndarray, start: int, block: np.ndarray, k: int, best: TopK) -> None:
        scores, rows, outcome, place = exact_search(queries, block, min(k, len(block)), threads=self._threads)
        if outcome == "out of range":
            search_plainly(queries, start, block, k, best)
            return
        if outcome != "found":
            side, bad = ("query", queries) if outcome == "bad query" else ("corpus", block)
            first = int(np.flatnonzero(~np.isfinite(bad[: place + 1]).all(axis=1))[0])
            raise not_finite(side, first + (start if side == "corpus" else 0))
        if start == 0 and best.is_empty:
            best.scores[:, : rows.shape[1]], best.indices[:, : rows.shape[1]] = scores, rows
            return
        query_of = np.repeat(np.arange(len(queries)), rows.shape[1])
        best.merge(query_of, start + rows.ravel(), scores.ravel())


def _plain(rows: np.ndarray) -> np.ndarray:
    """Rows as C++ reads them: contiguous, float16 or float32; a mapped block stays where it is."""
    kind = rows.dtype if rows.dtype in (np.float16, np.float32) else np.float32
    return np.ascontiguousarray(rows, dtype=kind)


def search_plainly(queries: np.ndarray, start: int, block: np.ndarray, k: int, best: TopK) -> None:
    """Search a block with NumPy alone: for numbers of any size, and as the reference of the C++ search.

    A float32 matrix product finds all rows that could be among the best k, with room for its rounding; those
    few get exact scores. Lengths beyond float32's range are scored in float64.
    """
    queries, corpus = queries.astype(np.float32), block.astype(np.float32)
    wide = np.float64 if _leaves_float32(queries, corpus) else np.float32
    slack = 2 * rounding_slack(queries, largest_norm(corpus))
    step = max(1, TILE_BYTES // (8 * max(1, len(corpus))))
    for first in range(0, len(queries), step):
        part = slice(first, first + step)
        products = queries[part].astype(wide) @ corpus.T.astype(wide)
        hits, rows = _candidates(products, best.floor(part), slack[part], k)
        best.merge(first + hits, start + rows, pair_scores(queries[part], corpus, hits, rows))


def _leaves_float32(queries: np.ndarray, corpus: np.ndarray) -> bool:
    """Whether a product could overflow or vanish in float32."""
    sizes = [np.abs(side[side != 0]) for side in (queries, corpus)]
    if not all(len(size) for size in sizes):
        return False
    return bool(max(s.max() for s in sizes) > 1e15 or min(s.min() for s in sizes) < 1e-15)


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
    """How far a float32 matrix product may be from the score. queries: (Q, D); returns (Q,) float64."""
    unit = np.finfo(np.float32).eps
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
    slack: np.ndarray = (queries.shape[1] + 2) * unit * lengths * corpus_norm
    return slack


def largest_norm(corpus: np.ndarray) -> float:
    """Length of the longest row. corpus: (n, D) float32."""
    wide = corpus.astype(np.float64)
    return float(np.einsum("nd,nd->n", wide, wide).max(initial=0.0)) ** 0.5


def order_candidates(scores: np.ndarray, indices: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of each row: higher score first, then lower row. scores, indices: (Q, K), K >= k."""
    order = np.lexsort((indices, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(indices, order, axis=1)


class TopK:
    """The best k rows of each query so far, in order. `scores` (Q, k) float32, `indices` (Q, k) int64."""

    def __init__(self, n_queries: int, k: int) -> None:
        self.scores = np.full((n_queries, k), -np.inf, dtype=np.float32)
        self.indices = np.full((n_queries, k), NO_ROW, dtype=np.int64)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found so far."""
        return bool((self.indices == NO_ROW).all())

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
