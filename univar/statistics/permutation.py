"""Tests by permutation that respect what was asked: signs of paired differences, labels of whole clusters.

Permuting rows where two sides answered different questions gives 92 % false alarms; what may be exchanged is
the side of a question that both answered, or the side of a whole cluster.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from univar.statistics.distances import unpaired
from univar.statistics.intervals import by_cluster

EXACT_UP_TO = 13
"""Clusters up to which all 2^n signs are tried."""
PERMUTATIONS = 9999


def sign_flip(
    x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None = None, *, n: int = PERMUTATIONS, seed: int = 0
) -> float:
    """p-value of D2 under sign changes of the paired differences: whether two sources differ.

    x, y: (n, D) answers to the same questions; clusters: (n,) flipped together. Under the null the sides of a
    question are exchangeable. Exact up to EXACT_UP_TO clusters, else p = (1 + #{s'Gs >= 1'G1}) / (1 + n) with
    G the Gram matrix of the differences, its diagonal zero. 1 for fewer than two clusters.
    """
    d = x.astype(np.float64) - y.astype(np.float64)
    sums = d if clusters is None else by_cluster(d, clusters)
    groups = len(sums)
    if groups < 2:
        return 1.0
    gram = sums @ sums.T
    np.fill_diagonal(gram, 0.0)
    observed = float(gram.sum())
    tolerance = 1e-9 * max(float(np.abs(gram).sum()), 1e-300)
    if groups <= EXACT_UP_TO:
        bits = (
            np.arange(2 ** (groups - 1))[:, None] >> np.arange(groups - 1) & 1
        )  # a global sign changes nothing
        signs = np.concatenate([np.ones((len(bits), 1)), 1.0 - 2.0 * bits], axis=1)
        return float(np.mean(_forms(signs, gram) >= observed - tolerance))
    rng = np.random.default_rng(seed)
    reached = 0
    for first in range(0, n, 1000):
        signs = rng.choice([-1.0, 1.0], (min(1000, n - first), groups))
        reached += int(np.count_nonzero(_forms(signs, gram) >= observed - tolerance))
    return (1 + reached) / (1 + n)


def _forms(signs: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """(n,) s' G s of each row of signs."""
    forms: np.ndarray = np.einsum("nq,nq->n", signs @ gram, signs)
    return forms


def block_permutation(
    x: np.ndarray,
    y: np.ndarray,
    x_clusters: np.ndarray,
    y_clusters: np.ndarray,
    *,
    n: int = 999,
    seed: int = 0,
) -> float:
    """p-value of the unpaired U-statistic under exchanging whole clusters between the sides.

    x: (n, D); y: (m, D), one row a question, with the cluster of each. Valid where the questions of both
    sides are draws of one pool; for shared questions `sign_flip` has far more power. 1 below three clusters a
    side.
    """
    sides = [by_cluster(rows.astype(np.float64), c) for rows, c in ((x, x_clusters), (y, y_clusters))]
    counts = [by_cluster(np.ones(len(rows)), c) for rows, c in ((x, x_clusters), (y, y_clusters))]
    means = np.concatenate([s / c[:, None] for s, c in zip(sides, counts, strict=True)])
    n_x = len(sides[0])
    if n_x < 3 or len(means) - n_x < 3:
        return 1.0
    observed = unpaired(means[:n_x], means[n_x:]).estimate
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(n):
        order = rng.permutation(len(means))
        reached += unpaired(means[order[:n_x]], means[order[n_x:]]).estimate >= observed - 1e-12
    return (1 + reached) / (1 + n)


def within_strata(
    x: np.ndarray, second: np.ndarray, strata: np.ndarray, *, n: int = 999, seed: int = 0
) -> tuple[float, float] | None:
    """(p-value of a difference of two samples, the least p that so few rows can give).

    x: (n, D) rows of both samples; second: (n,) bool, rows of the second; strata: (n,) integer codes, within
    which labels are exchangeable (one prompt). The statistic is the squared length of the sum
    of the strata's mean differences. None where no stratum has two rows of each sample.
    """
    from math import comb

    kept, ways = [], 1.0
    for stratum in np.unique(strata).tolist():
        here = np.flatnonzero(strata == stratum)
        of_second = int(second[here].sum())
        if min(of_second, len(here) - of_second) >= 2:
            kept.append(here)
            ways *= comb(len(here), of_second)
    if not kept:
        return None
    rng = np.random.default_rng(seed)
    signs = np.zeros((n + 1, len(x)), np.float32)
    for here in kept:
        labels = second[here]
        for row in range(n + 1):
            drawn = labels if row == 0 else rng.permutation(labels)
            signs[row, here] = np.where(drawn, 1 / labels.sum(), -1 / (~labels).sum())
    sizes = ((signs @ x.astype(np.float32)).astype(np.float64) ** 2).sum(axis=1)
    reached = int(np.count_nonzero(sizes[1:] >= sizes[0] * (1 - 1e-6) - 1e-12))
    return (1 + reached) / (1 + n), max(1 / (1 + n), 2 / ways)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """(m,) p-values corrected by Holm's step-down method, for any dependence between the tests.

    NaN stays NaN and does not count as a test.
    """
    p = np.asarray(p, np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected


def unresolvable(family: int, smallest_p: float, level: float = 0.05) -> str | None:
    """A sentence where no member of a family could ever be significant after Holm; None where one could.

    smallest_p: the least p-value that the test can give, e.g. 1 / (1 + permutations) or 2 / 2^n
    """
    if smallest_p * family <= level:
        return None
    return (
        f"{family} tests whose p-value is at least {smallest_p:.2g} cannot reach {level:g} after Holm's "
        "correction: ask more questions, or test fewer pairs"
    )
