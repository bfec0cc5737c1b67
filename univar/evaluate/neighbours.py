"""The k-NN attribution of a group: its neighbours, its votes, and its votes when the labels mean nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from univar.attribution.vote import neighbour_labels, votes
from univar.evaluate.metrics import judge
from univar.evaluate.split import Group
from univar.index.exact import ExactSearch

_CELLS_AT_ONCE = 1 << 21
"""Rows times labels that are counted at once: 16 MiB of float64."""


class RowsOf:
    """Some rows of a store's embeddings, gathered block by block."""

    def __init__(self, embeddings: object, rows: np.ndarray) -> None:
        self._embeddings, self._rows = embeddings, rows

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self, max_rows: int) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self._rows), max_rows):
            yield start, self._embeddings[self._rows[start : start + max_rows]]  # type: ignore[index]


def nearest(train: object, eval: object, group: Group, dim: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest train rows of each eval row, within the group, by exact search.

    train, eval: embeddings of the stores
    returns:     scores (E, k) float32 and indices (E, k) int64 into group.train, -1 where it has fewer rows
    """
    queries = np.ascontiguousarray(eval[group.eval], dtype=np.float32)  # type: ignore[index]
    width = min(k, len(group.train))
    scores, indices = ExactSearch(RowsOf(train, group.train), dim).search(queries, width)
    padding = ((0, 0), (0, k - width))
    return np.pad(scores, padding, constant_values=-np.inf), np.pad(indices, padding, constant_values=-1)


def judge_votes(
    scores: np.ndarray, indices: np.ndarray, labels: np.ndarray, truth: np.ndarray, n_labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Best label and rank of the true one, as `metrics.judge`, in pieces that fit in memory.

    scores, indices: (n, k) neighbours; labels: (T,) int64 of the train rows; truth: (n,) int64
    """
    guess, rank = np.empty(len(truth), dtype=np.int64), np.empty(len(truth), dtype=np.int64)
    step = max(1, _CELLS_AT_ONCE // n_labels)
    for start in range(0, len(truth), step):
        part = slice(start, start + step)
        _, strength = votes(scores[part], neighbour_labels(labels, indices[part]), n_labels)
        guess[part], rank[part] = judge(strength, truth[part], strength > 0)
    return guess, rank


def permuted_accuracy(
    scores: np.ndarray,
    indices: np.ndarray,
    labels: np.ndarray,
    truth: np.ndarray,
    n_labels: int,
    permutations: int,
    seed: int,
) -> np.ndarray:
    """Accuracy with the labels of the train rows shuffled and the neighbours kept: what no knowledge gives.

    Arguments as in `judge_votes`; returns (permutations,) float64
    """
    rng = np.random.default_rng(seed)
    accuracy = np.empty(permutations)
    step = max(1, _CELLS_AT_ONCE // n_labels)
    for number in range(permutations):
        shuffled = rng.permutation(labels)
        right = 0
        for start in range(0, len(truth), step):
            part = slice(start, start + step)
            _, strength = votes(scores[part], neighbour_labels(shuffled, indices[part]), n_labels)
            right += int((strength.argmax(axis=1) == truth[part]).sum())
        accuracy[number] = right / max(1, len(truth))
    return accuracy
