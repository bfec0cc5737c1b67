"""The noise floor: how far a source is from itself when it is asked again.

The answers of one source to a proposition are split into two halves, by wording or by sample, and D2 is
taken between the halves over the propositions. Where the halves hold fewer answers than the two sides of a
comparison, each difference is scaled to the spread that means of as many answers have, so that the floor
stands for the same number of answers. The floor is the 95 % quantile over splits and sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.compare.rows import Rows
from univar.statistics.intervals import MIN_CLUSTERS

QUANTILE = 0.95
MOST = 2000
"""Distances that a floor is taken from, over all sources."""
KINDS = ("wording", "sample")


@dataclass(frozen=True)
class Floor:
    """How far sources are from themselves.

    kind:      "wording" or "sample"; value: the 95 % quantile of `distances`; mean: their mean
    distances: how many, of how many `sources`; clusters: propositions that the typical one rests on
    """

    kind: str
    value: float
    mean: float
    distances: int
    sources: int
    clusters: int

    def note(self) -> str:
        """One sentence."""
        of = {"wording": "asked in other wordings", "sample": "sampled again"}[self.kind]
        return (
            f"floor {self.value:.4f}: 95 % of {self.distances:,} distances of {self.sources:,} "
            f"{'sources to themselves' if self.sources != 1 else 'source to itself'}, {of}, "
            f"over {self.clusters:,} propositions"
        )


def floors(rows: Rows, sources: np.ndarray | None = None, clusters: np.ndarray | None = None) -> list[Floor]:
    """The floor by wording and by sample; a kind that the data lack is left out.

    sources:  codes of the sources whose halves are compared; None: all
    clusters: codes of the propositions that count; None: all
    """
    wanted = np.arange(len(rows.sources)) if sources is None else np.asarray(sources)
    kept = np.isin(rows.source, wanted)
    if clusters is not None:
        kept &= np.isin(rows.cluster, clusters)
    found = []
    for kind in KINDS:
        splits = max(4, min(200, MOST // max(len(wanted), 1)))
        parts = [_of_source(rows, np.flatnonzero(kept & (rows.source == s)), kind, splits) for s in wanted]
        known = [part for part in parts if part is not None]
        if known:
            values = np.concatenate([values for values, _ in known])
            n = int(np.median([n for _, n in known]))
            quantile = float(np.quantile(values, QUANTILE))
            found.append(Floor(kind, quantile, float(values.mean()), len(values), len(known), n))
    return found


def largest(found: list[Floor], kind: str | None = None) -> Floor | None:
    """The floor that counts: the largest, or the one of a kind; None: unknown."""
    fitting = [floor for floor in found if kind is None or floor.kind == kind]
    return max(fitting, key=lambda floor: floor.value, default=None)


def _of_source(rows: Rows, here: np.ndarray, kind: str, splits: int) -> tuple[np.ndarray, int] | None:
    """(D2 of each split (n,), propositions); None where too few propositions have two replicates."""
    strata, labels, weights, shared = _replicates(rows, here, kind)
    if not len(strata):
        return None
    order = np.lexsort((labels, strata))
    strata, labels = strata[order], labels[order]
    taken = rows.embeddings[here[order]] * weights[order, None]
    starts = np.flatnonzero(np.concatenate([[True], strata[1:] != strata[:-1]]))
    cluster = rows.cluster[here[order]][starts]
    n = len(np.unique(cluster))
    if n < MIN_CLUSTERS:
        return None
    rng = np.random.default_rng(0)
    values = []
    for sign in _splits(strata, labels, shared, rng, splits):
        difference = _difference(taken, weights[order], strata, starts, sign)
        known = np.isfinite(difference[:, 0])
        values.append(_d2(difference[known], cluster[known]))
    found = np.array([value for value in values if np.isfinite(value)])
    return (found, n) if len(found) else None


def _replicates(rows: Rows, here: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Strata whose replicates are exchanged: (strata (m,), labels (m,), weights (m,), labels are shared).

    A stratum is a proposition (wordings), or a text of it (samples). Rows of one replicate share a label and
    together weigh 1; rows of a stratum with one replicate get weight 0.
    """
    side = _codes(rows.cluster[here], rows.rest[here])
    if kind == "wording":
        strata, labels = side, rows.wording[here]
        if len(np.unique(labels)) < 2:
            labels = rows.text[here]
    else:
        strata = _codes(side, rows.text[here])
        labels = _rank(strata)
    cell = _codes(strata, labels)
    weights = (1 / np.bincount(cell)[cell]).astype(np.float32)
    texts = _codes(strata, rows.text[here])
    replicates = np.bincount(strata, weights=weights, minlength=strata.max(initial=-1) + 1)
    different = _distinct(strata, texts if kind == "wording" else cell)
    usable = (replicates > 1.5) & (different > 1)
    if not usable.any():
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), False
    weights[~usable[strata]] = 0
    shared = kind == "wording" and len(np.unique(labels)) <= 2 * replicates.max()
    return strata, labels, weights, shared


def _splits(strata, labels, shared, rng, n):  # type: ignore[no-untyped-def]
    """n times (m,) +1 or -1: half of the labels of each stratum, or half of all labels, on each side."""
    if shared:
        names, of = np.unique(labels, return_inverse=True)
        for _ in range(n):
            half = rng.permutation(len(names)) < (len(names) + rng.integers(2)) // 2
            yield np.where(half[of], 1.0, -1.0).astype(np.float32)
        return
    cells, of = np.unique(np.stack([strata, labels], axis=1), axis=0, return_inverse=True)
    of = of.ravel()
    owner = cells[:, 0]
    first = np.searchsorted(owner, owner)
    size = np.bincount(owner)[owner]
    for _ in range(n):
        order = np.lexsort((rng.random(len(cells)), owner))
        rank = np.empty(len(cells), np.int64)
        rank[order] = np.arange(len(cells))
        yield np.where((rank - first) < size // 2, 1.0, -1.0).astype(np.float32)[of]


def _difference(
    taken: np.ndarray, weights: np.ndarray, strata: np.ndarray, starts: np.ndarray, sign: np.ndarray
) -> np.ndarray:
    """(strata, D) mean of one half minus mean of the other, scaled to means of all replicates; else NaN."""
    plus = np.add.reduceat(weights * (sign > 0), starts)
    minus = np.add.reduceat(weights * (sign < 0), starts)
    of = np.cumsum(np.concatenate([[0], (strata[1:] != strata[:-1]).astype(np.int64)]))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(2 / (plus + minus) / (1 / plus + 1 / minus))
        factor = np.where(sign > 0, (scale / plus)[of], -(scale / minus)[of])
        out = np.add.reduceat(taken * factor[:, None].astype(np.float32), starts, axis=0)
    out[(plus < 0.5) | (minus < 0.5)] = np.nan
    return np.asarray(out, np.float64)


def _d2(differences: np.ndarray, clusters: np.ndarray) -> float:
    """D2 of strata's differences (m, D), those of one cluster averaged."""
    codes, places = np.unique(clusters, return_inverse=True)
    n = len(codes)
    if n < MIN_CLUSTERS:
        return float("nan")
    means = differences
    if n < len(clusters):
        means = np.zeros((n, differences.shape[1]))
        np.add.at(means, places, differences)
        means /= np.bincount(places)[:, None]
    total = means.sum(axis=0)
    return float((total @ total - np.einsum("nd,nd->", means, means)) / (n * (n - 1)))


def _codes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) codes from 0 of pairs."""
    _, codes = np.unique(first * (second.max(initial=0) + 1) + second, return_inverse=True)
    return codes


def _rank(groups: np.ndarray) -> np.ndarray:
    """(n,) the number of each row within its group, in order."""
    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    first = np.searchsorted(sorted_groups, sorted_groups)
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - first
    return rank


def _distinct(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(groups,) how many different values each group holds."""
    pairs = np.unique(np.stack([groups, values], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=groups.max(initial=-1) + 1)
