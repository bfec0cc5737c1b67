"""Logistic regressions of several labels at once, their C chosen inside the rows.

One L-BFGS run fits all V labels: each step is two matrix products over the rows instead of 2 V matrix-vector
products, and along a path of C each fit starts from the one before. scikit-learn's LogisticRegression,
label by label, is the reference in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from univar.heads.lda import LinearHead

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""C, the weight of the loss against |w|^2 / 2, that are tried."""

INNER_FOLDS = 3
_ITERATIONS = 300


def fit(x: Any, labels: np.ndarray, c: float, start: LinearHead | None = None) -> LinearHead:
    """V logistic regressions: C sum of log-losses + |w|^2 / 2, bias free.

    x: (N, D), or a sparse matrix of scipy; labels: (N, V) bool; start: where to begin, e.g. the fit of a
    nearby C
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    (n, dims), values = x.shape, labels.shape[1]
    rows = x if hasattr(x, "tocsr") else np.ascontiguousarray(x, np.float32)
    wanted = labels.astype(np.float32)
    prior = np.clip(labels.mean(axis=0), 1 / (n + 2), 1 - 1 / (n + 2))
    first = np.zeros((dims + 1, values)) if start is None else np.vstack([start.weights, start.bias])
    if start is None:
        first[-1] = np.log(prior / (1 - prior))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(dims + 1, values)
        odds = rows @ w[:-1].astype(np.float32) + w[-1].astype(np.float32)
        value = float((np.logaddexp(0, odds) - wanted * odds).sum(dtype=np.float64))
        slope = expit(odds) - wanted
        gradient = np.vstack([rows.T @ slope, slope.sum(axis=0)]).astype(np.float64)
        gradient[:-1] += w[:-1] / c
        return value + float((w[:-1] ** 2).sum()) / (2 * c), gradient.ravel()

    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    w = found.x.reshape(dims + 1, values).astype(np.float32)
    return LinearHead(w[:-1], w[-1])


def path(x: Any, labels: np.ndarray, choices: tuple[float, ...]) -> Iterator[tuple[float, LinearHead]]:
    """(C, fit) from the least to the greatest C, each started from the one before."""
    head: LinearHead | None = None
    for c in sorted(choices):
        head = fit(x, labels, c, head)
        yield c, head


def _odds(head: LinearHead, x: Any) -> np.ndarray:
    """Log-odds of dense or sparse rows."""
    odds: np.ndarray = x @ head.weights + head.bias
    return odds


def group_folds(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(N,) int64, a random fold for each row; rows of one group are in one fold."""
    names, number = np.unique(groups, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % folds)[number]


Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""(scores (n, V), labels (n, V), groups (n,)) -> how good they are, higher is better."""


def choose(
    x: Any,
    labels: np.ndarray,
    groups: np.ndarray,
    measure: Measure,
    *,
    choices: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
) -> float:
    """The C whose held-out scores measure best, one for all labels.

    x: (N, D); labels: (N, V) bool; groups: (N,), never parted between fitting and scoring
    """
    fold = group_folds(groups, INNER_FOLDS, seed)
    scores = {c: np.zeros(labels.shape, np.float32) for c in choices}
    for number in range(INNER_FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for c, head in path(x[train], labels[train], choices):
            scores[c][test] = _odds(head, x[test])
    return max(sorted(choices), key=lambda c: measure(scores[c], labels, groups))


def nested(
    x: Any,
    labels: np.ndarray,
    groups: np.ndarray,
    measure: Measure,
    *,
    folds: int = 5,
    choices: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
) -> tuple[np.ndarray, list[float]]:
    """Scores of every row by a fit that saw none of its group, and the C that each fold chose inside itself.

    returns: (N, V) float32 log-odds; C of each fold. The C of a fold is chosen without the fold's rows.
    """
    fold = group_folds(groups, folds, seed)
    scores, chosen = np.zeros(labels.shape, np.float32), []
    for number in range(folds):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(test):
            continue
        c = choose(x[train], labels[train], groups[train], measure, choices=choices, seed=seed + 1)
        chosen.append(c)
        scores[test] = _odds(fit(x[train], labels[train], c), x[test])
    return scores, chosen
