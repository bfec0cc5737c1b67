"""How often a score ranks an answer that carries a value above one that does not.

Over all answers this mixes what the question is about with what the answer says: a question on the climate
alone suggests the value of nature. Over pairs of answers to *one question* the topic says nothing, and a
score that sees the question alone has 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.statistics.intervals import Interval, jackknife_t


@dataclass(frozen=True)
class Pairs:
    """Pairs of answers to one question, one with a value and one without.

    won:   (G, V) float64, pairs in which the score ranks the two rightly, ties one half
    total: (G, V) float64, pairs; G questions, V values
    """

    won: np.ndarray
    total: np.ndarray

    def auc(self, value: int) -> Interval:
        """Share of a value's pairs ranked rightly, with its jackknife-t interval over questions.

        NaN where no question has a pair. Questions without one do not count as clusters.
        """
        there = self.total[:, value] > 0
        won, total = self.won[there, value], self.total[there, value]
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out = (won.sum() - won) / (total.sum() - total)
            return jackknife_t(float(np.divide(won.sum(), total.sum())), left_out)

    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """(V,) shares, and (G, V) the same without each question; NaN for a value without a pair."""
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = self.won.sum(axis=0) / self.total.sum(axis=0)
            left_out = (self.won.sum(axis=0) - self.won) / (self.total.sum(axis=0) - self.total)
        there = self.total.sum(axis=1) > 0
        return whole, left_out[there]

    def macro(self, values: np.ndarray | None = None) -> Interval:
        """Mean over values of their shares, NaN without any; each question left out in turn.

        values: numbers of those that count; None: all that have a pair
        """
        chosen = np.flatnonzero(self.total.sum(axis=0) > 0) if values is None else values
        if not len(chosen):
            return Interval(float("nan"), None, None, 0)
        there = self.total[:, chosen].sum(axis=1) > 0
        won, total = self.won[there][:, chosen], self.total[there][:, chosen]
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = float(np.mean(won.sum(axis=0) / total.sum(axis=0)))
            left_out = np.mean((won.sum(axis=0) - won) / (total.sum(axis=0) - total), axis=1)
        return jackknife_t(whole, left_out)


def within_question(scores: np.ndarray, labels: np.ndarray, questions: np.ndarray) -> Pairs:
    """Pairs of answers to one question, and in how many the score ranks them rightly.

    scores: (N, V) float, higher is more; labels: (N, V) bool; questions: (N,) of any sortable kind
    """
    _, of_row = np.unique(questions, return_inverse=True)
    order = np.argsort(of_row, kind="stable")
    ends = np.cumsum(np.bincount(of_row))
    shape = len(ends), scores.shape[1]
    won, total = np.zeros(shape), np.zeros(shape)
    for number, rows in enumerate(np.split(order, ends[:-1])):
        held = labels[rows]
        for value in np.flatnonzero(held.any(axis=0) & ~held.all(axis=0)).tolist():
            carrying = scores[rows[held[:, value]], value][:, None]
            lacking = scores[rows[~held[:, value]], value][None]
            won[number, value] = (
                np.count_nonzero(carrying > lacking) + np.count_nonzero(carrying == lacking) / 2
            )
            total[number, value] = carrying.size * lacking.size
    return Pairs(won, total)


def plain(scores: np.ndarray, labels: np.ndarray, clusters: np.ndarray) -> Interval:
    """Area under the ROC curve over all answers, with its jackknife-t interval over clusters.

    scores: (N,) float; labels: (N,) bool; clusters: (N,). NaN where labels are all alike.
    """
    area, left_out = areas(scores[:, None], labels[:, None], clusters)
    if np.isnan(area[0]):
        return Interval(float("nan"), None, None, 0)
    return jackknife_t(float(area[0]), left_out[:, 0])


def areas(scores: np.ndarray, labels: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V,) areas under the ROC curve over all answers, and (G, V) the same without each cluster.

    scores: (N, V); labels: (N, V) bool; clusters: (N,). NaN where labels are all alike.
    Leaving a cluster out takes its rows' pairs with every other row out, and its own pairs once.
    """
    names, cluster = np.unique(clusters, return_inverse=True)
    area, left = np.full(scores.shape[1], np.nan), np.full((len(names), scores.shape[1]), np.nan)
    own = within_question(scores, labels, cluster).won
    for v, (score, held) in enumerate(zip(scores.T, labels.T, strict=True)):
        area[v], left[:, v] = _area(score, held, cluster, own[:, v])
    return area, left


def _area(
    scores: np.ndarray, labels: np.ndarray, cluster: np.ndarray, own: np.ndarray
) -> tuple[float, np.ndarray]:
    from scipy.stats import rankdata

    positive, negative = np.flatnonzero(labels), np.flatnonzero(~labels)
    pairs = float(len(positive) * len(negative))
    if not pairs:
        return float("nan"), np.full(len(own), np.nan)
    ranks = rankdata(scores)
    won = np.zeros(len(scores))  # pairs won in which a row takes part
    won[positive] = ranks[positive] - rankdata(scores[positive])
    won[negative] = len(positive) - (ranks[negative] - rankdata(scores[negative]))
    whole = won[positive].sum()
    carrying, lacking = np.bincount(cluster, labels), np.bincount(cluster, ~labels)
    taken = np.bincount(cluster, won) - own
    rest = pairs - carrying * len(negative) - lacking * len(positive) + carrying * lacking
    with np.errstate(divide="ignore", invalid="ignore"):
        return whole / pairs, (whole - taken) / rest
