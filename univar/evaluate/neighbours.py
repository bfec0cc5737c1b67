"""The k-NN attribution of a group: its neighbours, its votes, and its votes when the labels mean nothing."""

from __future__ import annotations

import numpy as np

from univar.evaluate.encoded import Encoded
from univar.evaluate.metrics import judge
from univar.evaluate.split import Group
from univar.search.attribute import neighbour_labels, votes
from univar.search.exact import ExactSearch

_CELLS_AT_ONCE = 1 << 21
"""Rows times labels that are counted at once: 16 MiB of float64."""


def nearest(encoder: Encoded, sides: tuple[str, str], group: Group, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest train rows of each eval row, within the group, by exact search.

    sides:   from which side of the encoder the group's train and eval rows come
    returns: scores (E, k) float32 and indices (E, k) int64 into group.train, -1 where it has fewer rows
    """
    queries = encoder.matrix(sides[1], group.eval)
    width = min(k, len(group.train))
    corpus = encoder.some(sides[0], group.train)
    scores, indices = ExactSearch(corpus, encoder.dim).search(queries, width)
    padding = ((0, 0), (0, k - width))
    return np.pad(scores, padding, constant_values=-np.inf), np.pad(indices, padding, constant_values=-1)


def vote_strength(scores: np.ndarray, indices: np.ndarray, labels: np.ndarray, n_labels: int) -> np.ndarray:
    """(n, L) float32, rows sum to 1: share of the votes, with a little for similarity that breaks ties."""
    _, strength = votes(scores, neighbour_labels(labels, indices), n_labels)
    return (strength / np.maximum(strength.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)


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
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """Accuracy with the labels of the train rows shuffled and the neighbours kept: what no knowledge gives.

    strata: (T,) labels are shuffled among the train rows with the same number only
    Other arguments as in `judge_votes`; returns (permutations,) float64
    """
    rng = np.random.default_rng(seed)
    accuracy = np.empty(permutations)
    step = max(1, _CELLS_AT_ONCE // n_labels)
    for number in range(permutations):
        shuffled = shuffled_within(labels, strata, rng)
        right = 0
        for start in range(0, len(truth), step):
            part = slice(start, start + step)
            _, strength = votes(scores[part], neighbour_labels(shuffled, indices[part]), n_labels)
            right += int((strength.argmax(axis=1) == truth[part]).sum())
        accuracy[number] = right / max(1, len(truth))
    return accuracy


def shuffled_within(labels: np.ndarray, strata: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """labels (T,) in random order, each staying in its stratum; strata: (T,) int64, None for one stratum."""
    if strata is None:
        return rng.permutation(labels)
    shuffled = np.empty_like(labels)
    shuffled[np.argsort(strata, kind="stable")] = labels[np.lexsort((rng.random(len(labels)), strata))]
    return shuffled
