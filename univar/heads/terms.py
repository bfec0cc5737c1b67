"""A linear classifier over all terms of an answer: what 256 dims of words leave out.

Weighted counts of terms are long and sparse, so the classifier is fitted by stochastic gradients, one source
against the rest. Its margins stand beside a discriminant's log-odds; how much of each is taken is chosen on
answers to questions that neither has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.heads import calibration
from univar.heads.lda import LinearHead

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_ALPHA = 1e-5
_EPOCHS = 5
_NEVER = -1000.0
"""Margin of a class that no row had: finite, so that it may be multiplied by 0."""


@dataclass(frozen=True)
class TermOdds:
    """Margins of the rows of a head by a classifier of their terms.

    held_out: (n, C) float32, of each row by a fit without its fold; head: the fit of all rows, weights (V, C)
    """

    held_out: np.ndarray
    head: LinearHead


def fit_terms(x: csr_matrix, y: np.ndarray, n_classes: int) -> LinearHead:
    """One logistic regression a class. x: (n, V) float32; y: (n,) in [0, n_classes), two classes at least.

    A class without rows is never named.
    """
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(loss="log_loss", alpha=_ALPHA, max_iter=_EPOCHS, tol=None, random_state=0)
    model.fit(x, y)
    rows, bias = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    if len(model.classes_) == 2:  # scikit-learn keeps the second class's side only
        rows, bias = np.concatenate([-rows, rows]), np.concatenate([-bias, bias])
    weights = np.zeros((x.shape[1], n_classes), np.float32)
    offsets = np.full(n_classes, _NEVER, np.float32)
    weights[:, model.classes_], offsets[model.classes_] = rows.T, bias
    return LinearHead(weights, offsets)


def term_odds(x: csr_matrix, y: np.ndarray, folds: np.ndarray, n_classes: int) -> TermOdds:
    """Margins without each row's fold, and the fit of all rows. x: (n, V); y, folds: (n,)."""
    held_out = np.empty((len(y), n_classes), np.float32)
    for fold in np.unique(folds).tolist():
        own = np.flatnonzero(folds == fold)
        others = np.flatnonzero(folds != fold)
        head = fit_terms(x[others], y[others], n_classes)
        held_out[own] = x[own] @ head.weights + head.bias
    return TermOdds(held_out, fit_terms(x, y, n_classes))


def blend(
    log_odds: np.ndarray, margins: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """(a, b), both > 0, under which a log_odds + b margins makes the true classes likeliest.

    log_odds, margins: (n, C) of rows that neither fit saw; y: (n,); weights: (n,) that sum to 1
    """
    from scipy.optimize import minimize

    used = np.flatnonzero(weights)
    odds, terms, labels, shares = log_odds[used], margins[used], y[used], weights[used]

    def loss(logs: np.ndarray) -> float:
        a, b = np.exp(np.clip(logs, -8.0, 4.0))
        losses = calibration.nll(calibration.log_softmax(a * odds + b * terms), labels)
        return float((losses * shares).sum() + 1e-3 * (logs**2).sum() * shares.max())

    found = minimize(loss, [-1.0, -1.0], method="Nelder-Mead", options={"maxiter": 200, "xatol": 1e-2})
    a, b = np.exp(np.clip(found.x, -8.0, 4.0))
    return float(a), float(b)
