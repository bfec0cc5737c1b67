"""The mean answer of each source to each prompt, and the distances between sources from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.compare.rows import MIN_SHARED, Rows
from univar.statistics.centring import group_sums
from univar.statistics.distances import DistanceMatrix, all_pairs, paired, unpaired
from univar.statistics.intervals import Interval

PAIRINGS = ("prompt", "proposition", "unpaired")
"""How two sources are paired: by shared prompts, by propositions asked in other prompts, not at all."""


@dataclass(frozen=True)
class Cells:
    """One row for each (prompt, source) that occurs, ordered by cluster, then prompt, then source.

    embeddings: (K, D) float32, means of the answers; source, prompt, cluster: (K,) int64; rows: (K,) counts
    n_sources:  S; n_clusters: C
    """

    embeddings: np.ndarray
    source: np.ndarray
    prompt: np.ndarray
    cluster: np.ndarray
    rows: np.ndarray
    n_sources: int
    n_clusters: int

    def of(self, source: int) -> Side:
        """What one source answered."""
        here = np.flatnonzero(self.source == source)
        return Side(self.embeddings[here], self.prompt[here], self.cluster[here])


@dataclass(frozen=True)
class Side:
    """A source's answers. embeddings: (n, D) float32; prompt, cluster: (n,) int64, ordered by both."""

    embeddings: np.ndarray
    prompt: np.ndarray
    cluster: np.ndarray

    def by_cluster(self) -> np.ndarray:
        """(clusters, D) float32: the mean over the prompts of each proposition."""
        return _cluster_means(self.embeddings, self.cluster)[0]


def cells_of(rows: Rows, embeddings: np.ndarray | None = None) -> Cells:
    """Average several answers of one source to one prompt. embeddings: (N, D), by default those of `rows`."""
    taken = rows.embeddings if embeddings is None else embeddings
    n_sources, n_prompts = len(rows.sources), len(rows.prompts)
    code = (rows.cluster * n_prompts + rows.prompt) * n_sources + rows.source
    found, cell = np.unique(code, return_inverse=True)
    sums, counts = group_sums(taken, np.arange(len(rows)), cell, len(found))
    if counts.max() > 1:
        sums /= counts[:, None].astype(np.float32)
    prompts, source = np.divmod(found, n_sources)
    cluster, prompt = np.divmod(prompts, n_prompts)
    return Cells(sums, source, prompt, cluster, counts, n_sources, len(rows.clusters))


def differences(x: Side, y: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both sides' mean answer to each proposition, over the prompts that both were given.

    returns: (n, D) and (n, D) float32, and the clusters' codes (n,)
    """
    if len(x.prompt) == len(y.prompt) and (x.prompt == y.prompt).all():
        of_x = of_y = np.arange(len(x.prompt))
    else:
        _, of_x, of_y = np.intersect1d(x.prompt, y.prompt, assume_unique=True, return_indices=True)
        order = np.argsort(of_x)
        of_x, of_y = of_x[order], of_y[order]
    left, codes = _cluster_means(x.embeddings[of_x], x.cluster[of_x])
    right, _ = _cluster_means(y.embeddings[of_y], x.cluster[of_x])
    return left, right, codes


def by_proposition(x: Side, y: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same over all prompts of each side, whether shared or not."""
    (left, of_left), (right, of_right) = (_cluster_means(s.embeddings, s.cluster) for s in (x, y))
    codes, of_x, of_y = np.intersect1d(of_left, of_right, assume_unique=True, return_indices=True)
    return left[of_x], right[of_y], codes


def matched(x: Side, y: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """What `differences` gives, else `by_proposition`, and how: one of PAIRINGS; n = 0 for "unpaired"."""
    left, right, codes = differences(x, y)
    if len(codes) >= MIN_SHARED:
        return left, right, codes, "prompt"
    loose = by_proposition(x, y)
    if len(loose[2]) >= MIN_SHARED:
        return *loose, "proposition"
    return left, right, codes, "prompt" if len(codes) else "unpaired"


def distance(x: Side, y: Side) -> tuple[Interval, str]:
    """(D2 with its interval, one of PAIRINGS). NaN where one proposition alone is shared."""
    left, right, codes, how = matched(x, y)
    if len(codes) >= MIN_SHARED:
        return paired(left, right), how
    if len(codes):
        return Interval(float("nan"), None, None, len(codes)), how
    found = unpaired(x.by_cluster(), y.by_cluster())
    smaller = min(len(np.unique(x.cluster)), len(np.unique(y.cluster)))
    return Interval(found.estimate, found.low, found.high, smaller, found.se), how


def distances(cells: Cells) -> tuple[DistanceMatrix, np.ndarray]:
    """D2 of all pairs of sources, and how each is paired, (S, S) int64 into PAIRINGS.

    Every proposition counts once, over the prompts that both answered.
    """
    s, c = cells.n_sources, cells.n_clusters
    if len(cells.source) == s * c and (cells.cluster.reshape(c, s) == np.arange(c)[:, None]).all():
        return all_pairs(cells.embeddings.reshape(c, s, -1)), np.zeros((s, s), np.int64)
    sides = [cells.of(source) for source in range(s)]
    d2, se = np.full((s, s), np.nan), np.full((s, s), np.nan)
    questions, pairing = np.zeros((s, s), np.int64), np.zeros((s, s), np.int64)
    for a in range(s):
        for b in range(a + 1, s):
            found, how = distance(sides[a], sides[b])
            for i, j in ((a, b), (b, a)):
                d2[i, j], questions[i, j], pairing[i, j] = found.estimate, found.clusters, PAIRINGS.index(how)
                se[i, j] = np.nan if found.se is None else found.se
    np.fill_diagonal(d2, 0.0)
    np.fill_diagonal(questions, [len(np.unique(side.cluster)) for side in sides])
    return DistanceMatrix(d2, se, questions), pairing


def _cluster_means(embeddings: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((n, D) float32 means, (n,) codes) of rows ordered by cluster."""
    if not len(clusters):
        return embeddings, clusters
    starts = np.flatnonzero(np.concatenate([[True], clusters[1:] != clusters[:-1]]))
    counts = np.diff(np.concatenate([starts, [len(clusters)]]))
    if counts.max() == 1:
        return embeddings, clusters
    sums = np.add.reduceat(embeddings, starts, axis=0)
    return sums / counts[:, None].astype(np.float32), clusters[starts]
