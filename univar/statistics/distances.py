"""Unbiased distances between sources: zero on average for two samples of one source, whatever their size.

Over n questions that both answered, with d_q = x_q - y_q and several answers to a question averaged first,
D2 = (|sum d|^2 - sum |d_q|^2) / (n (n - 1)) estimates |E d|^2 without the noise that a distance of centroids
carries. It may be negative, and is then printed so. Where the questions differ, the unpaired U-statistic is
unbiased too, with several times the spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.statistics.intervals import Interval, by_cluster, jackknife_t


@dataclass(frozen=True)
class Answers:
    """A source's answers, one row a question.

    questions: (n,) sorted, unique; embeddings: (n, D) float32, the mean of the answers to each question
    clusters:  (n,) the proposition of each question; by default the question itself
    """

    questions: np.ndarray
    embeddings: np.ndarray
    clusters: np.ndarray


def by_question(embeddings: np.ndarray, questions: np.ndarray, clusters: np.ndarray | None = None) -> Answers:
    """Average several answers to one question. embeddings: (N, D); questions, clusters: (N,)."""
    codes, first, places = np.unique(questions, return_index=True, return_inverse=True)
    counts = np.bincount(places, minlength=len(codes))
    sums = np.zeros((len(codes), embeddings.shape[1]), np.float32)
    np.add.at(sums, places, embeddings.astype(np.float32))
    of_question = codes if clusters is None else clusters[first]
    return Answers(codes, sums / counts[:, None].astype(np.float32), of_question)


def shared(x: Answers, y: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers to the questions of both, (n, D) and (n, D), and the questions' clusters (n,)."""
    _, of_x, of_y = np.intersect1d(x.questions, y.questions, assume_unique=True, return_indices=True)
    return x.embeddings[of_x], y.embeddings[of_y], x.clusters[of_x]


def paired(x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None = None) -> Interval:
    """D2 of two sources over shared questions, with its jackknife-t interval.

    x, y: (n, D) answers to the same questions; clusters: (n,), pairs of questions in one cluster are left out
    of the sums, since their errors are not independent; NaN below two clusters
    """
    d = x.astype(np.float64) - y.astype(np.float64)
    sums, counts, own = _cluster_sums(d, clusters)
    total, n = sums.sum(axis=0), counts.sum()
    pairs = n * n - (counts**2).sum()
    whole = float(total @ total) - float(own.sum())
    without = sums @ total
    left_sums = whole - 2 * (without - own)
    left_pairs = pairs - 2 * counts * (n - counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return jackknife_t(whole / pairs if pairs else np.nan, left_sums / left_pairs)


def _cluster_sums(d: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(G, D) sums, (G,) counts and (G,) squared lengths of the sums of each cluster."""
    if clusters is None:
        sums, counts = d, np.ones(len(d))
    else:
        sums = by_cluster(d, clusters)
        counts = by_cluster(np.ones(len(d)), clusters)
    return sums, counts, np.einsum("gd,gd->g", sums, sums)


def paired_energy(x: np.ndarray, y: np.ndarray) -> Interval:
    """Energy distance over shared questions, unbiased.

    The mean over q != q' of 2|x_q - y_q'| - |x_q - x_q'| - |y_q - y_q'|.

    x, y: (n, D) answers to the same questions. Sensitive to any difference in distribution, not of means
    alone.
    """
    between = _distances(x, y)
    kernel = between + between.T - _distances(x, x) - _distances(y, y)
    np.fill_diagonal(kernel, 0.0)
    n = len(kernel)
    rows, total = kernel.sum(axis=1), float(kernel.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = (total - 2 * rows) / ((n - 1) * (n - 2)) if n > 2 else np.full(n, np.nan)
        return jackknife_t(total / (n * (n - 1)) if n > 1 else np.nan, left_out)


def unpaired(x: np.ndarray, y: np.ndarray) -> Interval:
    """|E x - E y|^2 by the U-statistic where the sides answered different questions.

    x: (n, D); y: (m, D), one row a question. The interval leaves out questions of both sides in turn.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    (xx, yy), (a, b) = (_u(x), _u(y)), (x.sum(axis=0), y.sum(axis=0))
    n, m = len(x), len(y)
    if n < 3 or m < 3:
        return Interval(float("nan"), None, None, n + m)
    estimate = xx + yy - 2 * float(a @ b) / (n * m)
    without_x = _u_without(x) + yy - 2 * ((a - x) @ b) / ((n - 1) * m)
    without_y = xx + _u_without(y) - 2 * ((b - y) @ a) / (n * (m - 1))
    variance = sum((k - 1) / k * ((v - v.mean()) ** 2).sum() for k, v in ((n, without_x), (m, without_y)))
    return _with_se(estimate, float(np.sqrt(variance)), n + m, min(n, m) - 1)


def _with_se(estimate: float, se: float, clusters: int, df: int) -> Interval:
    from scipy.stats import t

    from univar.statistics.intervals import MIN_CLUSTERS

    if df + 1 < MIN_CLUSTERS or se <= 1e-12:
        return Interval(estimate, None, None, clusters)
    reach = float(t.ppf(0.975, df)) * se
    return Interval(estimate, estimate - reach, estimate + reach, clusters, se)


def _u(x: np.ndarray) -> float:
    """Mean of x_i . x_j over i != j; NaN for one row."""
    if len(x) < 2:
        return float("nan")
    total = x.sum(axis=0)
    return float((total @ total - np.einsum("nd,nd->", x, x)) / (len(x) * (len(x) - 1)))


def _u_without(x: np.ndarray) -> np.ndarray:
    """(n,) the same without each row in turn."""
    total, n = x.sum(axis=0), len(x)
    own = np.einsum("nd,nd->n", x, x)
    whole = total @ total - own.sum()
    left: np.ndarray = (whole - 2 * (x @ total - own)) / ((n - 1) * (n - 2))
    return left


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    distances: np.ndarray = cdist(x.astype(np.float64), y.astype(np.float64))
    return distances


@dataclass(frozen=True)
class DistanceMatrix:
    """D2 between all pairs of S sources.

    d2, se:    (S, S) float64, se NaN where no interval can be given
    questions: (S, S) int64 shared by each pair; the smaller number of both sides where they share none
    """

    d2: np.ndarray
    se: np.ndarray
    questions: np.ndarray

    def interval(self, a: int, b: int) -> Interval:
        """D2 of one pair with its interval."""
        n = int(self.questions[a, b])
        se = float(self.se[a, b])
        return _with_se(float(self.d2[a, b]), 0.0 if np.isnan(se) else se, n, n - 1)


def all_pairs(answers: np.ndarray, answered: np.ndarray | None = None) -> DistanceMatrix:
    """D2 of every pair of sources over the questions both answered, each question its own cluster.

    answers:  (Q, S, D) float16 or float32, question by question; read once, or twice where all answered all
    answered: (Q, S) bool; None: all
    Memory beside `answers`: a few (S, S) matrices, and (S, D).
    """
    q, s, _ = answers.shape
    there = np.ones((q, s), bool) if answered is None else answered
    if there.all():
        return _all_pairs_complete(answers)
    out = DistanceMatrix(np.full((s, s), np.nan), np.full((s, s), np.nan), np.zeros((s, s), np.int64))
    for a in range(s):
        for b in range(a + 1, s):
            both = np.flatnonzero(there[:, a] & there[:, b])
            found = paired(answers[both, a], answers[both, b])
            for i, j in ((a, b), (b, a)):
                out.d2[i, j], out.questions[i, j] = found.estimate, len(both)
                out.se[i, j] = np.nan if found.se is None else found.se
    np.fill_diagonal(out.d2, 0.0)
    return out


def _all_pairs_complete(answers: np.ndarray) -> DistanceMatrix:
    """All pairs by Gram matrices: of the sums, of each question, and of the two."""
    q, s, dims = answers.shape
    total = np.zeros((s, dims))
    for question in answers:
        total += question
    squares = np.zeros((s, s))  # sum over q of |a_q - b_q|^2
    whole = _square_distances(total @ total.T)
    first, second = np.zeros((s, s)), np.zeros((s, s))  # sums of the leave-one-out estimates' varying part
    for question in answers:
        rows = question.astype(np.float32)
        own = _square_distances((rows @ rows.T).astype(np.float64))
        cross = (rows @ total.T.astype(np.float32)).astype(np.float64)  # (S, S): a_q . B
        inner = np.diag(cross)[:, None] + np.diag(cross)[None] - cross - cross.T  # (A - B) . (a_q - b_q)
        varying = own - inner
        squares += own
        first += varying
        second += varying**2
    with np.errstate(divide="ignore", invalid="ignore"):
        d2 = (whole - squares) / (q * (q - 1) if q > 1 else np.nan)
        scale = 2 / ((q - 1) * (q - 2)) if q > 2 else np.nan
        spread = np.maximum(second - first**2 / q, 0.0)
        se = np.sqrt((q - 1) / q * spread) * scale
    np.fill_diagonal(d2, 0.0)
    np.fill_diagonal(se, np.nan)
    return DistanceMatrix(d2, se, np.full((s, s), q, np.int64))


def _square_distances(gram: np.ndarray) -> np.ndarray:
    own = np.diag(gram)
    distances: np.ndarray = own[:, None] + own[None] - 2 * gram
    return distances
