"""Intervals over clusters: what repeats at the highest level is left out, one at a time (jackknife-t).

For a ratio m = sum s_q / sum n_q the standard error is se^2 = (G - 1) / G sum (m_(-g) - mean m_(-g))^2 over
the G clusters, and the interval m +- t_{G-1} se. With 7 clusters it covers 94 to 95 % where a percentile
bootstrap covers 85 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIN_CLUSTERS = 5
"""Fewer clusters give no interval: their spread is not known well enough to say anything."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its uncertainty.

    low, high: bounds at the level asked for; None where there are too few clusters or nothing varied, since
    an interval without width would claim a certainty that nobody has
    clusters:  how many were left out in turn
    se:        standard error, None where `low` is
    """

    estimate: float
    low: float | None
    high: float | None
    clusters: int
    se: float | None = None

    def excludes(self, value: float) -> bool:
        """Whether there is an interval and `value` lies outside of it."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high

    def at(self, level: float) -> Interval:
        """The same estimate with an interval at another level, from its standard error."""
        from scipy.stats import t

        if self.se is None:
            return self
        reach = float(t.ppf(0.5 + level / 2, self.clusters - 1)) * self.se
        return Interval(self.estimate, self.estimate - reach, self.estimate + reach, self.clusters, self.se)

    def text(self, digits: int = 3) -> str:
        """`0.512 [0.480, 0.544]`, or the estimate alone where there is no interval."""
        if self.low is None or self.high is None:
            return f"{self.estimate:.{digits}f}"
        return f"{self.estimate:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def jackknife_t(estimate: float, left_out: np.ndarray, level: float = 0.95) -> Interval:
    """Interval of `estimate` from the estimates without each cluster. left_out: (G,), NaN where undefined."""
    from scipy.stats import t

    known = np.asarray(left_out, np.float64)
    known = known[np.isfinite(known)]
    n = len(known)
    if n < MIN_CLUSTERS or not np.isfinite(estimate):
        return Interval(float(estimate), None, None, n)
    se = float(np.sqrt((n - 1) / n * ((known - known.mean()) ** 2).sum()))
    if se <= 1e-12 * max(1.0, abs(estimate)):
        return Interval(float(estimate), None, None, n)
    reach = float(t.ppf(0.5 + level / 2, n - 1)) * se
    return Interval(float(estimate), estimate - reach, estimate + reach, n, se)


def ratio(
    numerators: np.ndarray, denominators: np.ndarray, clusters: np.ndarray, level: float = 0.95
) -> Interval:
    """sum(numerators) / sum(denominators) with its interval over clusters.

    numerators, denominators: (n,), e.g. hits and rows of each answer; clusters: (n,) of any sortable kind
    """
    sums = by_cluster(np.stack([numerators, denominators], axis=1).astype(np.float64), clusters)
    total = sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = total[0] / total[1]
        left_out = (total[0] - sums[:, 0]) / (total[1] - sums[:, 1])
    return jackknife_t(estimate, left_out, level)


def mean(values: np.ndarray, clusters: np.ndarray, level: float = 0.95) -> Interval:
    """Mean of (n,) values with its interval over clusters; a paired difference is the mean of differences."""
    return ratio(values, np.ones(len(values)), clusters, level)


def by_cluster(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """(G, ...) float64 sums of (n, ...) values by cluster, clusters sorted."""
    codes, places = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(codes), *values.shape[1:]))
    np.add.at(sums, places, values)
    return sums


def smallest_detectable(interval: Interval, power: float = 0.8, level: float = 0.95) -> float | None:
    """The difference from 0 that a study of this spread finds significant with `power`; None: unknown."""
    from scipy.stats import t

    if interval.se is None:
        return None
    df = interval.clusters - 1
    return float((t.ppf(0.5 + level / 2, df) + t.ppf(power, df)) * interval.se)
