"""What a score is, and how results are ordered: the same for every type of index.

A score is the float32 of the dot product summed in float64, whatever found the row. Equal rows therefore
have equal scores, and a tie goes to the lower row: neither depends on blocks, batches, threads or the type
of index.
"""

from __future__ import annotations

import numpy as np

NO_ROW = -1
_PAIRS_AT_ONCE = 256  # two float64 copies of them stay in a core's cache


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
