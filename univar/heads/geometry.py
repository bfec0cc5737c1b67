"""Distances in the space that a discriminant spans: how strange the mean of a bag is to every known source.

With S the shrunk within-class covariance and m the mean of the class means, the whitened class means span a
space of at most C - 1 dims. A vector x is known there by its inner products a_c = (x - m)' S^-1 (mu_c - m),
which the discriminant's log-odds give, and G_cd = (mu_c - m)' S^-1 (mu_d - m) are those of the classes. The
squared distance of x to class c is a' G+ a - 2 a_c + G_cc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.heads.lda import LinearHead, Moments


@dataclass(frozen=True)
class Geometry:
    """The class means of a discriminant, as seen from each other.

    classes: (K,) int64, classes that had rows; gram: (K, K) float32, G; offset: (K,) float32, what turns
    log-odds into inner products
    """

    classes: np.ndarray
    gram: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, moments: Moments, head: LinearHead) -> Geometry:
        """The geometry of a head fitted from these moments with equal priors."""
        classes = np.flatnonzero(moments.counts)
        means = moments.sums[classes] / moments.counts[classes, None]
        middle = means.mean(axis=0)
        weights = head.weights[:, classes].astype(np.float64)
        own = weights - weights.mean(axis=1, keepdims=True)
        gram = (means - middle) @ own
        bias = head.bias[classes].astype(np.float64)
        offset = -(bias - bias.mean()) - middle @ own
        return cls(classes, ((gram + gram.T) / 2).astype(np.float32), offset.astype(np.float32))

    def products(self, log_odds: np.ndarray) -> np.ndarray:
        """(n, K) float64 inner products of rows with the classes. log_odds: (n, C), not tempered."""
        odds = log_odds[:, self.classes].astype(np.float64)
        missing = ~np.isfinite(odds)
        if missing.any():  # a class that a held-out head did not know: as far as its other classes on average
            odds = np.where(missing, np.nan, odds)
            odds = np.where(missing, np.nanmean(odds, axis=1, keepdims=True), odds)
        out: np.ndarray = odds - odds.mean(axis=1, keepdims=True) + self.offset
        return out

    def coordinates(self, products: np.ndarray) -> np.ndarray:
        """(n, R) float64 places of rows in the space of the classes, R <= K - 1, on orthogonal axes.

        products: (n, K). Inner products of places are those of the whitened rows within that space.
        """
        values, axes = np.linalg.eigh(self.gram.astype(np.float64))
        kept = values > 1e-6 * values.max(initial=0.0)
        out: np.ndarray = products @ (axes[:, kept] / np.sqrt(values[kept]))
        return out

    def strangeness(self, products: np.ndarray) -> np.ndarray:
        """(n,) squared distance to the nearest class. products: (n, K), of rows or of means of bags."""
        gram = self.gram.astype(np.float64)
        inverse = np.linalg.pinv(gram, rcond=1e-6, hermitian=True)
        lengths = np.einsum("nk,kl,nl->n", products, inverse, products, optimize=True)
        nearest: np.ndarray = lengths + (np.diag(gram) - 2 * products).min(axis=1)
        return nearest
