"""Measures of predictions, with intervals: accuracy among the first n, F1, precision, differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.statistics.intervals import Interval, jackknife_t, ratio

ACCURACY_AT = (1, 3, 5, 10)
LOW, HIGH = 2.5, 97.5
NEVER = np.iinfo(np.int64).max
"""Rank of a label that got no vote: it was not named at all, so no accuracy counts it."""

FLIPS = 10_000
_CELLS_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where clusters are too few for one, or nothing varies."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference(Estimate):
    """A paired difference with its interval and a two-sided p-value."""

    p: float


@dataclass(frozen=True)
class Prediction:
    """What a classifier made of n rows of one target.

    truth: (n,) int64 labels in [0, n_labels); best: (n,) int64, the label named first
    beats: (n,) float32, share of the other labels that the true one scores above, ties one half
    rank:  (n,) int64 of the true label, 0 is best, NEVER where it was not named
    """

    truth: np.ndarray
    best: np.ndarray
    rank: np.ndarray
    n_labels: int
    beats: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """(n,) bool, whether the first label is right."""
        hits: np.ndarray = self.rank == 0
        return hits


def predict(scores: np.ndarray, truth: np.ndarray, named: np.ndarray | None = None) -> Prediction:
    """Rank labels by score; equal scores count in the order of labels.

    scores: (n, L) float; truth: (n,) int64 labels; named: (n, L) bool, labels that were named at all, or all
    """
    rows = np.arange(len(truth))
    own = scores[rows, truth][:, None]
    earlier = np.arange(scores.shape[1]) < truth[:, None]
    above, equal = scores > own, scores == own
    rank = (above | (equal & earlier)).sum(axis=1)
    n_labels = scores.shape[1]
    lost = above.sum(axis=1) + (equal.sum(axis=1) - 1) / 2
    beats = (1 - lost / max(1, n_labels - 1)).astype(np.float32)
    if named is not None:
        rank = np.where(named[rows, truth], rank, NEVER)
    return Prediction(truth, scores.argmax(axis=1), rank, n_labels, beats)


class Intervals:
    """95 % jackknife-t intervals over clusters: rows of one question, or proposition, are not independent.

    clusters: (n,) the cluster of each row, n >= 1
    """

    def __init__(self, clusters: np.ndarray) -> None:
        self.names, self._cluster = np.unique(clusters, return_inverse=True)
        self.n_clusters = len(self.names)

    def of_mean(self, values: np.ndarray) -> Estimate:
        """Mean of (n,) numbers or bool."""
        return self.of_ratio(values, np.ones(len(values)))

    def of_share(self, rows: np.ndarray, values: np.ndarray) -> Estimate:
        """Mean of `values` (m,) over some rows (m,)."""
        return _estimate(ratio(values, np.ones(len(rows)), self._cluster[rows]))

    def of_ratio(self, part: np.ndarray, whole: np.ndarray) -> Estimate:
        """sum(part) / sum(whole) over all rows, (n,) each."""
        return _estimate(ratio(part, whole, self._cluster))

    def of_f1(self, prediction: Prediction) -> tuple[Estimate, Estimate]:
        """Macro and weighted F1."""
        counts = label_counts(prediction, self._cluster, self.n_clusters)  # (3, clusters, L)
        total = counts.sum(axis=1)
        whole, without = f1(total), f1(total[:, None] - counts)
        macro, weighted = (jackknife_t(float(v), left) for v, left in zip(whole, without, strict=True))
        return _estimate(macro), _estimate(weighted)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(clusters,) sum of values (n,) over each cluster's rows."""
        return np.bincount(self._cluster, values, self.n_clusters)


def _estimate(found: Interval) -> Estimate:
    return Estimate(found.estimate, found.low, found.high)


def estimate(value: float | np.ndarray, draws: np.ndarray) -> Estimate:
    """A figure and the percentiles of its draws; no interval where nothing varies."""
    low, high = np.percentile(draws, [LOW, HIGH])
    if low == high:
        return Estimate(float(value), None, None)
    return Estimate(float(value), float(low), float(high))


def label_counts(prediction: Prediction, questions: np.ndarray, n_questions: int) -> np.ndarray:
    """(3, questions, L) float32: right guesses, rows and guesses of each label in each question."""
    n_labels, truth, best = prediction.n_labels, prediction.truth, prediction.best

    def count(labels: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        cells = np.bincount(questions * n_labels + labels, weight, n_questions * n_labels)
        return cells.reshape(n_questions, n_labels).astype(np.float32)

    return np.stack([count(truth, truth == best), count(truth, None), count(best, None)])


def f1(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Macro and weighted F1 over the labels that are true or guessed somewhere.

    counts: (3, ..., L) right guesses, rows, guesses of each label, as `label_counts`; returns (...) twice
    """
    right, rows, guesses = counts.astype(np.float64)
    both = rows + guesses
    each = 2 * right / np.maximum(both, 1e-12)
    macro = each.sum(axis=-1) / np.maximum(1, np.count_nonzero(both, axis=-1))
    weighted = (each * rows).sum(axis=-1) / np.maximum(rows.sum(axis=-1), 1e-12)
    return macro, weighted


# What a report's scores are measured by: a prediction and intervals over its questions give a figure.


def accuracy(prediction: Prediction, over: Intervals) -> dict[int, Estimate]:
    """Share of rows whose true label is among the first 1, 3, 5, 10."""
    return {n: over.of_mean(prediction.rank < n) for n in ACCURACY_AT}


def macro_f1(prediction: Prediction, over: Intervals) -> Estimate:
    """Mean F1 of the labels."""
    return over.of_f1(prediction)[0]


def weighted_f1(prediction: Prediction, over: Intervals) -> Estimate:
    """Mean F1 of the labels by their number of rows."""
    return over.of_f1(prediction)[1]


def two_sources(prediction: Prediction, over: Intervals) -> Estimate:
    """Accuracy on a scale of two sources: how often the true label beats another one; chance is one half.

    The only accuracy that can be compared between corpora of different numbers of labels.
    """
    return over.of_mean(prediction.beats)


def weighted_precision(prediction: Prediction, over: Intervals) -> float:
    """Mean over labels, by their number of rows, of how often a guess of the label is right (0 if never)."""
    right, rows, guesses = label_counts(prediction, np.zeros_like(prediction.truth), 1)[:, 0]
    return float((right / np.maximum(1, guesses) * rows).sum() / rows.sum())


def weighted_recall(prediction: Prediction, over: Intervals) -> float:
    """Mean recall of the labels by their number of rows, which is the accuracy."""
    return float(prediction.hits.mean())


def paired_difference(first: Prediction, second: Prediction, over: Intervals, seed: int) -> Difference:
    """How much more often the first is right than the second, on the same rows."""
    difference = first.hits.astype(np.float64) - second.hits
    found = over.of_mean(difference)
    p = sign_flip_p(over.sums(difference), seed)
    return Difference(found.value, found.low, found.high, p)


def times_as_often(first: Prediction, second: Prediction, over: Intervals) -> Estimate | None:
    """How many times as often the first is right as the second; None if the second never is."""
    return over.of_ratio(first.hits, second.hits) if second.hits.any() else None


def sign_flip_p(differences: np.ndarray, seed: int) -> float:
    """Two-sided p-value of a sum of differences (clusters,), by flipping their signs.

    Without a difference the sign of each cluster's sum is arbitrary; p is the share of 10,000 random sets of
    signs, and the one found, whose sum is at least as far from 0.
    """
    moved = differences[differences != 0].astype(np.float32)
    if not len(moved):
        return 1.0
    rng = np.random.default_rng(seed)
    found, as_far, done = abs(float(moved.sum())), 0, 0
    while done < FLIPS:
        draws = min(FLIPS - done, max(1, _CELLS_AT_ONCE // len(moved)))
        signs = rng.integers(0, 2, (draws, len(moved)), dtype=np.int8).astype(np.float32) * 2 - 1
        as_far += int((np.abs(signs @ moved) >= found - 1e-4).sum())
        done += draws
    return (1 + as_far) / (1 + FLIPS)
