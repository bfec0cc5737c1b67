"""Linear discriminant analysis with a shrunk covariance, fitted from sums that can be added and taken apart.

The log-odds of class c are x . w_c + b_c with w_c = S^-1 mu_c, b_c = -mu_c . w_c / 2 + log prior_c, where S
is the mean within-class covariance, shrunk toward a multiple of the identity: (1 - s) S + s tr(S) / D.
Because S and mu come from counts, sums and one (D, D) product, a fit without some questions costs one
subtraction: leave-question-out calibration needs no second pass over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHRINKAGE = 0.3
"""Chosen on the development corpora; between .1 and .5 little changes."""

_STRIPE = 8192
"""Rows that are widened to float32 at once."""


@dataclass(frozen=True)
class Moments:
    """Sufficient statistics of labelled rows.

    counts: (C,) int64 rows of each class; sums: (C, D) float64; products: (D, D) float64, the sum of x x'
    """

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, n_classes: int) -> Moments:
        """x: (N, D) float16 or float32; y: (N,) int in [0, n_classes). Memory: one stripe in float32."""
        counts = np.bincount(y, minlength=n_classes)
        sums = np.zeros((n_classes, x.shape[1]))
        products = np.zeros((x.shape[1], x.shape[1]))
        for first in range(0, len(x), _STRIPE):
            rows = np.asarray(x[first : first + _STRIPE], np.float32)
            products += rows.T @ rows
            labels = y[first : first + _STRIPE]
            order = np.argsort(labels, kind="stable")
            found, starts = np.unique(labels[order], return_index=True)
            sums[found] += np.add.reduceat(rows[order].astype(np.float64), starts, axis=0)
        return cls(counts, sums, products)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.counts + other.counts, self.sums + other.sums, self.products + other.products)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.counts - other.counts, self.sums - other.sums, self.products - other.products)


@dataclass(frozen=True)
class LinearHead:
    """Log-odds of classes as a linear function of a vector.

    weights: (D, C) float32; bias: (C,) float32, -inf for a class that no row had
    """

    weights: np.ndarray
    bias: np.ndarray

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        """(n, C) float32, up to a constant of each row. x: (n, D) float16 or float32."""
        odds: np.ndarray = np.asarray(x, np.float32) @ self.weights + self.bias
        return odds


def fit_lda(
    moments: Moments, shrinkage: float = SHRINKAGE, *, priors: np.ndarray | None = None
) -> LinearHead:
    """The head of these moments.

    shrinkage: in [0, 1]; must be > 0 where there are fewer rows than dims
    priors:    (C,) of each class, > 0; None: equal, since how often a source was asked tells nothing of a new
    row
    Raises ValueError where fewer than two classes have rows, or where no class has two.
    """
    present = np.flatnonzero(moments.counts)
    if len(present) < 2:
        raise ValueError(f"{len(present)} classes have rows: a discriminant needs two")
    rows = int(moments.counts.sum())
    if rows == len(present):
        raise ValueError("every class has one row: no covariance within a class can be estimated")
    means = moments.sums[present] / moments.counts[present, None]
    within = moments.products - (means.T * moments.counts[present]) @ means
    within /= rows
    dims = len(within)
    scale = max(float(np.trace(within)) / dims, float(np.finfo(np.float32).tiny))
    shrunk = (1 - shrinkage) * within
    shrunk[np.diag_indices(dims)] += shrinkage * scale
    solved = np.linalg.solve(shrunk, means.T)  # (D, classes present)
    log_priors = np.zeros(len(present)) if priors is None else np.log(priors[present])
    weights = np.zeros((dims, len(moments.counts)), np.float32)
    bias = np.full(len(moments.counts), -np.inf, np.float32)
    weights[:, present] = solved
    bias[present] = log_priors - 0.5 * np.einsum("cd,dc->c", means, solved)
    return LinearHead(weights, bias)


def held_out_log_odds(
    x: np.ndarray, y: np.ndarray, n_classes: int, folds: np.ndarray, shrinkage: float = SHRINKAGE
) -> tuple[np.ndarray, LinearHead]:
    """Log-odds of every row by a head that did not see the row's fold, and the head of all rows.

    x: (N, D); y: (N,) classes; folds: (N,) int >= 0, all rows of one question in one fold
    returns: (N, C) float32; -inf for classes that only the row's own fold had
    """
    rows_of = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    parts = [Moments.of(x[rows], y[rows], n_classes) for rows in rows_of]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    out = np.empty((len(y), n_classes), np.float32)
    for rows, part in zip(rows_of, parts, strict=True):
        out[rows] = fit_lda(total - part, shrinkage).log_odds(x[rows])
    return out, fit_lda(total, shrinkage)
