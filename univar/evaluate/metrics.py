"""What is measured from a ranking of labels: accuracy among the first n, F1, and intervals over questions."""

from __future__ import annotations

from typing import Any

import numpy as np

ACCURACY_AT = (1, 3, 5, 10)
LOW, HIGH = 2.5, 97.5
NEVER = np.iinfo(np.int64).max
"""Rank of a label that got no vote: it was not named at all, so no accuracy counts it."""


def judge(strength: np.ndarray, truth: np.ndarray, named: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best label of each row, and the rank of the true one (0 is best).

    strength: (n, L) float64; truth: (n,) int64 labels; named: (n, L) bool, labels that were named at all
    returns:  (n,) int64 and (n,) int64; equal strength counts in the order of labels
    """
    rows = np.arange(len(truth))
    own = strength[rows, truth][:, None]
    earlier = np.arange(strength.shape[1]) < truth[:, None]
    rank = ((strength > own) | ((strength == own) & earlier)).sum(axis=1)
    return strength.argmax(axis=1), np.where(named[rows, truth], rank, NEVER)


def hits_at(rank: np.ndarray) -> np.ndarray:
    """Whether the true label is among the first 1, 3, 5, 10. rank: (n,); returns (n, 4) bool."""
    return rank[:, None] < np.array(ACCURACY_AT)


def f1_scores(
    truth: np.ndarray, guess: np.ndarray, n_labels: int, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Macro and weighted F1 over the labels that are true or guessed somewhere.

    truth, guess: (n,) int64; weight: (n,) float, how often each row counts
    """
    right = (truth == guess).astype(np.float64) if weight is None else weight * (truth == guess)
    hit = np.bincount(truth, right, n_labels)
    support = np.bincount(truth, weight, n_labels)
    both = support + np.bincount(guess, weight, n_labels)
    f1 = 2 * hit / np.maximum(both, 1e-12)
    macro, weighted = f1.sum() / max(1, np.count_nonzero(both)), (f1 * support).sum() / support.sum()
    return float(macro), float(weighted)


def weighted_precision(truth: np.ndarray, guess: np.ndarray, n_labels: int) -> float:
    """Mean over labels, by their number of rows, of how often a guess of the label is right (0 if never)."""
    hit = np.bincount(truth[truth == guess], minlength=n_labels)
    guessed, support = (np.bincount(labels, minlength=n_labels) for labels in (guess, truth))
    return float((hit / np.maximum(1, guessed) * support).sum() / support.sum())


class QuestionBootstrap:
    """Percentile intervals by drawing whole questions: rows of one question are not independent.

    questions: (n,) the question of each row, n >= 1; draws >= 1
    """

    def __init__(self, questions: np.ndarray, draws: int, seed: int) -> None:
        self.names, self._question = np.unique(questions, return_inverse=True)
        self.n_questions = len(self.names)
        rng, n = np.random.default_rng(seed), self.n_questions
        self._weights = np.empty((draws, n), dtype=np.float32)  # how often each was drawn
        for weights in self._weights:
            weights[:] = np.bincount(rng.integers(0, n, n), minlength=n)

    def of_means(self, values: np.ndarray) -> np.ndarray:
        """Intervals of the means of columns. values: (n, M) numbers or bool; returns (M, 2), low and high."""
        return _percentiles(self.drawn_means(values))

    def drawn_means(self, values: np.ndarray) -> np.ndarray:
        """Means of columns in each draw. values: (n, M) numbers or bool; returns (draws, M)."""
        sums = np.stack(
            [np.bincount(self._question, column, self.n_questions) for column in values.T], axis=1
        )
        sizes = np.bincount(self._question, minlength=self.n_questions)
        drawn = self._weights @ sums.astype(np.float32)
        return drawn / np.maximum(1, self._weights @ sizes.astype(np.float32))[:, None]

    def of_share(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Interval (2,) of the mean of `values` (m,) over some rows (m,); draws without them don't count."""
        weights = self._weights[:, self._question[rows]]
        sizes = weights.sum(axis=1)
        seen = sizes > 0
        if not seen.any():
            return np.array([0.0, 1.0])
        return _percentiles((weights[seen] @ values.astype(np.float32) / sizes[seen])[:, None])[0]

    def of_f1(self, truth: np.ndarray, guess: np.ndarray, n_labels: int) -> np.ndarray:
        """Intervals of macro and weighted F1, (2, 2)."""
        hit, support, guessed = (
            self._weights @ self._counts(labels, weight, n_labels)
            for labels, weight in ((truth, truth == guess), (truth, None), (guess, None))
        )  # each (draws, L)
        both = support + guessed
        f1 = 2 * hit / np.maximum(both, 1e-12)
        macro = f1.sum(axis=1) / np.maximum(1, np.count_nonzero(both, axis=1))
        weighted = (f1 * support).sum(axis=1) / np.maximum(support.sum(axis=1), 1e-12)
        return _percentiles(np.stack([macro, weighted], axis=1))

    def per_question(self, values: np.ndarray) -> np.ndarray:
        """Sum of values (n,) over each question's rows, (questions,)."""
        return np.bincount(self._question, values, self.n_questions)

    def _counts(self, labels: np.ndarray, weight: np.ndarray | None, n_labels: int) -> np.ndarray:
        """How often each label is met in each question, (questions, L) float32."""
        cells = self._question * n_labels + labels
        counts = np.bincount(cells, weight, self.n_questions * n_labels)
        return counts.reshape(self.n_questions, n_labels).astype(np.float32)


def accuracy_report(rank: np.ndarray, intervals: QuestionBootstrap) -> dict[str, Any]:
    """Accuracy among the first 1, 3, 5, 10 with intervals. rank: (n,) of the true labels."""
    hits = hits_at(rank)
    bounds = intervals.of_means(hits)
    values = zip(ACCURACY_AT, hits.mean(axis=0), bounds, strict=True)
    return {str(n): with_interval(value, bound) for n, value, bound in values}


def with_interval(value: float, interval: np.ndarray) -> dict[str, Any]:
    """value, low and high for the report."""
    return {"value": float(value), "low": float(interval[0]), "high": float(interval[1])}


def _percentiles(draws: np.ndarray) -> np.ndarray:
    """(draws, M) -> (M, 2)."""
    return np.percentile(draws, [LOW, HIGH], axis=0).T
