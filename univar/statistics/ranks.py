"""Which of several measured things come first, and how sure that is: confidence sets of ranks.

The rank of v is one more than the number of things above it. With intervals of all differences between v and
the others that hold together, v is surely below those whose difference lies wholly above 0, and surely above
those whose difference lies wholly below: the rank lies between these two counts (Mogstad, Romano, Shaikh &
Wilhelm 2024, Review of Economic Studies 91, 476-518, section 3). The differences share their clusters, so
the width of the intervals comes from their joint distribution, a multivariate t with the correlations of the
cluster influences, and not from Bonferroni's bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.statistics.intervals import MIN_CLUSTERS, by_cluster

DRAWS = 2000
"""Of the multivariate t: the critical value is then exact to about 1 %."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of V things, 1 is the highest.

    rank: (V,) int64; low, high: (V,) int64, the 95 % confidence set of each rank; 1 and V where there are too
    few clusters to say anything
    """

    rank: np.ndarray
    low: np.ndarray
    high: np.ndarray


def ranks(values: np.ndarray, clusters: np.ndarray, *, level: float = 0.95, seed: int = 0) -> Ranks:
    """Ranks of the means of V columns and their confidence sets.

    values: (n, V) float, e.g. one row a question and one column a value; NaN nowhere
    clusters: (n,) what is left out in turn
    """
    sums = by_cluster(values.astype(np.float64), clusters)
    counts = by_cluster(np.ones(len(values)), clusters)
    means = sums.sum(axis=0) / counts.sum()
    n = means.shape[0]
    rank = 1 + (means[None] > means[:, None]).sum(axis=1)
    groups = len(counts)
    if groups < MIN_CLUSTERS:
        return Ranks(rank, np.ones(n, np.int64), np.full(n, n))
    left_out = (sums.sum(axis=0) - sums) / (counts.sum() - counts)[:, None]
    influence = left_out - left_out.mean(axis=0)  # (G, V)
    draws = _draws(influence, seed)
    scale = np.sqrt((groups - 1) / groups)
    low, high = np.empty(n, np.int64), np.empty(n, np.int64)
    for v in range(n):
        se = scale * np.linalg.norm(influence - influence[:, [v]], axis=0)
        others = np.flatnonzero(se > 1e-12)
        reach = np.full(n, np.inf)  # what does not vary is not known for certain, but not at all
        reach[v] = 0.0
        if len(others):
            t = np.abs(draws[:, others] - draws[:, [v]]) * scale / se[others]
            reach[others] = np.quantile(t.max(axis=1), level) * se[others]
        low[v] = 1 + np.count_nonzero(means - reach > means[v])
        high[v] = n - np.count_nonzero(means + reach < means[v])
    return Ranks(rank, low, high)


def _draws(influence: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS, V) from a multivariate t with G - 1 degrees of freedom and the covariance of the influences."""
    rng = np.random.default_rng(seed)
    groups = len(influence)
    normal = rng.standard_normal((DRAWS, groups)) @ influence
    chi = rng.chisquare(groups - 1, DRAWS) / (groups - 1)
    draws: np.ndarray = normal / np.sqrt(chi)[:, None]
    return draws
