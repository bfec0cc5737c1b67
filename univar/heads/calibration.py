"""Probabilities that mean what they say: one temperature, proper scores, prediction sets by question.

Rows of one question are not exchangeable with each other's neighbours, so every quantity is averaged within a
question first; the question is the unit of all counts and quantiles.
"""

from __future__ import annotations

import numpy as np

MIN_QUESTIONS = 20
"""Calibration questions below which no prediction set at 90 % is given."""


def log_softmax(log_odds: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(n, C) float64 log-probabilities. log_odds: (n, C), at least one finite in a row; temperature > 0."""
    scaled = np.asarray(log_odds, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


def question_weights(questions: np.ndarray) -> np.ndarray:
    """(n,) float64 that sum to 1: every question weighs the same, its rows share its weight."""
    _, group, counts = np.unique(questions, return_inverse=True, return_counts=True)
    weights: np.ndarray = 1.0 / (len(counts) * counts[group])
    return weights


def fit_temperature(
    log_odds: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, *, pull: float = 0.0
) -> float:
    """The temperature under which the true classes are likeliest (least weighted NLL), in [0.01, 1000].

    log_odds: (n, C) of rows that the head did not see; y: (n,) true classes; weights: (n,) that sum to 1
    pull: pull / 2 (log temperature)^2 is added to the NLL, e.g. one over the number of questions: rows
    without an error would else ask for a temperature of 0, and the first new error would cost without bound
    Rows whose true class has no finite log-odds cannot be made likelier and are left out. Raises ValueError
    where no row is left.
    """
    from scipy.optimize import minimize_scalar

    true = log_odds[np.arange(len(y)), y]
    kept = np.isfinite(true)
    if not kept.any():
        raise ValueError("no row's true class was known to the head: nothing to calibrate on")
    odds, labels = log_odds[kept], y[kept]
    shares = np.full(len(labels), 1 / len(labels)) if weights is None else weights[kept] / weights[kept].sum()

    def nll(log_temperature: float) -> float:
        log_p = log_softmax(odds, float(np.exp(log_temperature)))
        return float(-(shares * log_p[np.arange(len(labels)), labels]).sum()) + pull * log_temperature**2 / 2

    found = minimize_scalar(nll, bounds=(np.log(0.01), np.log(1000.0)), method="bounded")
    return float(np.exp(found.x))


def nll(log_p: np.ndarray, y: np.ndarray, floor: float = 1e-6) -> np.ndarray:
    """(n,) negative log-likelihood of the true classes; a probability below `floor` counts as `floor`."""
    losses: np.ndarray = -np.maximum(log_p[np.arange(len(y)), y], np.log(floor))
    return losses


def brier(log_p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) Brier scores in [0, 2]: squared distance of the probabilities to the truth."""
    p = np.exp(log_p)
    scores: np.ndarray = (p**2).sum(axis=1) - 2 * p[np.arange(len(y)), y] + 1
    return scores


def classwise_ece(log_p: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error, each class against the rest, averaged over classes (equal-width bins)."""
    p = np.exp(log_p)
    errors = []
    for label in range(p.shape[1]):
        place = np.minimum((p[:, label] * bins).astype(int), bins - 1)
        gap = np.bincount(place, p[:, label] - (y == label), minlength=bins)
        errors.append(np.abs(gap).sum() / len(y))
    return float(np.mean(errors))


def set_threshold(scores: np.ndarray, questions: np.ndarray, level: float) -> float:
    """The score below which a new question's true class lies with probability `level`; inf: cannot be said.

    Hierarchical conformal prediction (Lee, Barber and Willett 2023): each of Q calibration questions has
    weight 1 / (Q + 1), shared by its rows; the rest, 1 / (Q + 1), stands at infinity for the new question.

    scores: (n,) nonconformity of the true class, higher is stranger; questions: (n,) codes; level: in (0, 1)
    Raises ValueError below MIN_QUESTIONS questions.
    """
    n_questions = len(np.unique(questions))
    if n_questions < MIN_QUESTIONS:
        raise ValueError(
            f"{n_questions} calibration questions: prediction sets need at least {MIN_QUESTIONS}"
        )
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(question_weights(questions)[order]) * n_questions / (n_questions + 1)
    place = int(np.searchsorted(below, level - 1e-12))
    return float(scores[order[place]]) if place < len(scores) else float("inf")


def set_scores(log_p: np.ndarray) -> np.ndarray:
    """(n, C) nonconformity of every class: the probability of all classes likelier than it.

    A set {score <= threshold} is never empty: the likeliest class has score 0.
    """
    p = np.exp(log_p)
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    scores = np.empty_like(p)
    np.put_along_axis(scores, order, before, axis=1)
    return scores


def conformal_p(strangeness: float | np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """p-value of being like the calibration cases: (1 + #{calibration >= strangeness}) / (1 + m).

    strangeness: () or (n,); calibration: (m,), NaN left out
    """
    known = np.sort(calibration[~np.isnan(calibration)])
    at_least = len(known) - np.searchsorted(known, strangeness, side="left")
    p: np.ndarray = (1 + np.asarray(at_least)) / (1 + len(known))
    return p
