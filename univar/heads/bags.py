"""Several answers of one unknown source: one verdict, how sure it is, and whether the source is known at all.

Answers to one proposition are averaged, propositions are added: log p = t * sum_q mean_r log p_qr, with one
factor t for each size of bag, fitted on bags of known sources that the head did not see. Bags are drawn anew
from the held-out answers that an index keeps, so that every calibration has the size of what it judges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.heads.calibration import log_softmax

SIZES = (2, 5, 10, 20, 50)
"""Sizes of bags whose factor is fitted; between them it is interpolated over the logarithm of the size."""

BAGS = 400
"""Calibration bags of each size."""

LEAST_FOR_UNKNOWN = 10
"""Propositions that a bag needs before it can be said that its source is unknown."""

PRIOR = 0.7
"""Standard deviation of log t that is believed before bags are seen: without errors, t stays near 1."""

FLOOR = -30.0
"""Least log-probability that one answer counts with: no single answer may rule a source out for good."""


@dataclass(frozen=True)
class HeldOut:
    """Answers of known sources under a head that did not see their questions.

    log_odds: (m, C) float32; y: (m,) int, true sources; clusters: (m,) int, propositions
    """

    log_odds: np.ndarray
    y: np.ndarray
    clusters: np.ndarray

    def draw(self, size: int, bags: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
        """Bags of `size` answers of one source to different propositions.

        returns: `bags` arrays of rows and (bags,) their sources, sources as equally often as their number
        allows; none where no source answered `size` propositions
        """
        rng = np.random.default_rng(seed)
        order = np.argsort(self.y, kind="stable")
        able = []
        for rows in np.split(order, np.flatnonzero(np.diff(self.y[order])) + 1):
            if len(rows) and len(np.unique(self.clusters[rows])) >= size:
                able.append(rows)
        if not able:
            return [], np.empty(0, np.int64)
        drawn = []
        for number in range(bags):
            rows = rng.permutation(able[number % len(able)])
            _, first = np.unique(self.clusters[rows], return_index=True)
            drawn.append(rows[rng.permutation(first)[:size]])
        return drawn, np.array([self.y[rows[0]] for rows in drawn])


def over_propositions(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """(G, C) means of (n, C) values over the answers to each proposition."""
    codes, place = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(codes), values.shape[1]))
    np.add.at(sums, place, values)
    means: np.ndarray = sums / np.bincount(place)[:, None]
    return means


def summed(log_p: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """(C,) evidence of a bag before its factor: mean within, sum over propositions. log_p: (n, C)."""
    total: np.ndarray = over_propositions(np.maximum(log_p, FLOOR), clusters).sum(axis=0)
    return total


@dataclass(frozen=True)
class BagFactors:
    """The factor t of bags by size, and the intraclass correlation behind the effective number of answers.

    sizes: ascending, starting with 1; factors: of each size, in (0, 4]; icc: in [0, 1]
    """

    sizes: list[int]
    factors: list[float]
    icc: float

    def factor(self, size: int) -> float:
        """t of a bag of `size` propositions; beyond the largest fitted size, that of the largest."""
        return float(np.interp(np.log(size), np.log(self.sizes), self.factors))

    def effective(self, size: int) -> float:
        """n / (1 + (n - 1) ICC): independent answers that so many propositions are worth."""
        return size / (1 + (size - 1) * self.icc)


def fit_factors(held_out: HeldOut, temperature: float) -> BagFactors:
    """Fit t for each size that at least two sources' answers allow (least NLL of the true source)."""
    from scipy.optimize import minimize_scalar

    log_p = np.maximum(log_softmax(held_out.log_odds, temperature), FLOOR)
    sizes, factors = [1], [1.0]
    for size in SIZES:
        bags, y = held_out.draw(size, BAGS, seed=size)
        if len(np.unique(y)) < 2:
            break
        sums = np.stack([log_p[rows].sum(axis=0) for rows in bags])

        def nll(log_t: float, sums: np.ndarray = sums, y: np.ndarray = y) -> float:
            scaled = log_softmax(sums, float(np.exp(-log_t)))
            pull = 0.5 * (log_t / PRIOR) ** 2 / len(y)
            return float(-scaled[np.arange(len(y)), y].mean()) + pull

        found = minimize_scalar(nll, bounds=(np.log(0.02), np.log(4.0)), method="bounded")
        sizes.append(size)
        factors.append(float(np.exp(found.x)))
    return BagFactors(
        sizes, factors, intraclass_correlation(log_p[np.arange(len(held_out.y)), held_out.y], held_out.y)
    )


def intraclass_correlation(values: np.ndarray, groups: np.ndarray) -> float:
    """Share of the variance of (n,) values that lies between groups (one-way ANOVA), in [0, 1]."""
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    n, k = len(values), len(counts)
    if k < 2 or n <= k:
        return 0.0
    means = np.bincount(place, values) / counts
    between = float((counts * (means - values.mean()) ** 2).sum()) / (k - 1)
    within = float(((values - means[place]) ** 2).sum()) / (n - k)
    size = (n - (counts**2).sum() / n) / (k - 1)
    whole = between + (size - 1) * within
    return float(np.clip((between - within) / whole, 0.0, 1.0)) if whole > 0 else 0.0
