"""A logistic probe of the sources: scikit-learn's, for indexes small enough to wait for it."""

from __future__ import annotations

import warnings

import numpy as np

from univar.heads.lda import LinearHead

PROBE_ROWS = 10_000
"""Rows up to which the probe is tried."""
_C = 10.0
_ROUNDS = 100


def fit_probe(x: np.ndarray, y: np.ndarray, n_classes: int) -> LinearHead:
    """A multinomial logistic regression with L2 penalty. x: (N, D) float32; y: (N,) in [0, n_classes)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(C=_C, max_iter=_ROUNDS).fit(x, y)
    weights = np.zeros((x.shape[1], n_classes), np.float32)
    bias = np.full(n_classes, -np.inf, np.float32)
    if len(probe.classes_) == 2:  # scikit-learn keeps the second class's side only
        weights[:, probe.classes_[1]] = probe.coef_[0]
        bias[probe.classes_] = 0.0, probe.intercept_[0]
    else:
        weights[:, probe.classes_] = probe.coef_.T
        bias[probe.classes_] = probe.intercept_
    return LinearHead(weights, bias)


def held_out_probe(x: np.ndarray, y: np.ndarray, folds: np.ndarray, n_classes: int) -> np.ndarray:
    """(N, C) float32 log-odds of every row by a probe that did not see the row's fold."""
    odds = np.empty((len(x), n_classes), np.float32)
    for fold in range(int(folds.max()) + 1):
        own = folds == fold
        odds[own] = fit_probe(x[~own], y[~own], n_classes).log_odds(x[own])
    return odds
