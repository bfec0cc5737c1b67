"""The vote of the neighbours: each one found has one vote for its label.

Labels are ranked by their share of the votes; equal shares by the summed similarity of the label's
neighbours; then by the order of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from univar.search import Index

NO_LABEL = -1


@dataclass(frozen=True)
class Attribution:
    """Which labels the neighbours of each query speak for.

    labels:  L names
    shares:  (Q, L) float32, votes of the label / neighbours found; rows sum to 1 (to 0 where none was found)
    ranking: (Q, L) int64, labels from best to worst
    scores:  (Q, k) float32 and indices (Q, k) int64, the neighbours, as `Index.search` returns them
    """

    labels: list[str]
    shares: np.ndarray
    ranking: np.ndarray
    scores: np.ndarray
    indices: np.ndarray


def attribute(index: Index, embeddings: np.ndarray, k: int = 50, by: str = "source") -> Attribution:
    """Rank the labels that each embedding most likely has, by the vote of its k nearest rows.

    embeddings: (Q, D) float32
    by:         "source" (model and language), "model", "language" or another column of the store
    Raises DataError for embeddings of another dimension, UsageError for a column that the store lacks.
    """
    codes, labels = index.store.codes(by)
    scores, indices = index.search(embeddings, k)
    shares, strength = votes(scores, neighbour_labels(codes, indices), len(labels))
    return Attribution(labels, shares, ranked(strength), scores, indices)


def neighbour_labels(codes: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Label of each neighbour, NO_LABEL where there is none.

    codes: (N,) int32; indices: (Q, k) int64; returns (Q, k) int64
    """
    if not len(codes):
        return np.full(indices.shape, NO_LABEL, dtype=np.int64)
    return np.where(indices < 0, NO_LABEL, codes[np.maximum(indices, 0)]).astype(np.int64)


def votes(scores: np.ndarray, labels: np.ndarray, n_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Count the votes.

    scores:  (Q, k) float32; labels: (Q, k) int64, NO_LABEL where no neighbour was found
    returns: shares (Q, L) float32, and strength (Q, L) float64 by which labels are ranked: higher is better,
             positive for labels with a vote, 0 for the others
    """
    n_queries = len(labels)
    found = labels != NO_LABEL
    query_of = np.nonzero(found)[0]
    cells = query_of * n_labels + labels[found]
    near = scores[found].astype(np.float64)
    counts = np.bincount(cells, minlength=n_queries * n_labels).reshape(n_queries, n_labels)
    similarity = np.bincount(cells, near, n_queries * n_labels).reshape(n_queries, n_labels)
    # worth more than any difference in similarity
    one_vote = 2.0 * np.bincount(query_of, np.abs(near), n_queries) + 1.0
    shares = counts / np.maximum(1, found.sum(axis=1, keepdims=True))
    return shares.astype(np.float32), counts * one_vote[:, None] + similarity


def ranked(strength: np.ndarray) -> np.ndarray:
    """Labels from best to worst, (Q, L) int64; equal strength in the order of labels. strength: (Q, L)."""
    return np.argsort(-strength, axis=1, kind="stable")
