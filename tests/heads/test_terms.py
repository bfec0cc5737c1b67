"""A classifier of all terms: planted terms are found, held-out margins see no fold of their own, and a blend
of two scores is no worse than either.
"""

from __future__ import annotations

import numpy as np
import pytest

from univar.heads import calibration
from univar.heads.source import fit_source_head
from univar.heads.terms import blend, fit_terms, term_odds

sparse = pytest.importorskip("scipy.sparse")
pytest.importorskip("sklearn", reason="a classifier of terms needs scikit-learn")


def answers(n: int = 240, classes: int = 3, seed: int = 0):
    """Rows of 40 common terms and, in most of them, one of a class's own two."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = (rng.random((n, 40 + 2 * classes)) < 0.2).astype(np.float32)
    x[:, 40:] = 0
    own = 40 + 2 * y + rng.integers(0, 2, n)
    x[np.arange(n), own] = rng.random(n) < 0.8
    return sparse.csr_matrix(x / np.linalg.norm(x, axis=1, keepdims=True).clip(1)), y


@pytest.mark.parametrize("classes", [2, 3])
def test_terms_of_a_class_are_found(classes: int) -> None:
    x, y = answers(classes=classes)
    head = fit_terms(x[:150], y[:150], classes)
    guessed = (x[150:] @ head.weights + head.bias).argmax(axis=1)
    assert np.mean(guessed == y[150:]) > 0.75


def test_a_class_without_rows_is_not_named() -> None:
    x, y = answers()
    head = fit_terms(x, y, 4)
    assert not ((x @ head.weights + head.bias).argmax(axis=1) == 3).any()


def test_held_out_margins_are_those_of_a_fit_without_the_fold() -> None:
    x, y = answers()
    folds = np.arange(len(y)) // 60
    found = term_odds(x, y, folds, 3)
    without = fit_terms(x[folds != 1], y[folds != 1], 3)
    np.testing.assert_allclose(found.held_out[folds == 1], x[folds == 1] @ without.weights + without.bias)
    whole = fit_terms(x, y, 3)
    np.testing.assert_array_equal(found.head.weights, whole.weights)


def test_two_independent_scores_are_better_together() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 3000)
    truth = np.eye(3)[y]
    first, second = (2 * truth + rng.standard_normal(truth.shape) for _ in range(2))
    weights = np.full(len(y), 1 / len(y))
    a, b = blend(first, 10 * second, y, weights)  # the right answer: 2 and .2
    assert (a, b) == (pytest.approx(2, abs=0.3), pytest.approx(0.2, abs=0.03))

    def loss(odds: np.ndarray) -> float:
        return float(calibration.nll(calibration.log_softmax(odds), y).mean())

    assert loss(a * first + 10 * b * second) < min(loss(2 * first), loss(2 * second)) - 0.05


def test_a_head_takes_margins_that_tell_more_than_its_rows() -> None:
    rng = np.random.default_rng(1)
    terms, y = answers(600)
    x = (0.5 * np.eye(3)[y] @ rng.standard_normal((3, 8)) + rng.standard_normal((600, 8))).astype(np.float32)
    clusters = np.arange(600) // 6
    margins = term_odds(terms, y, clusters % 5, 3)
    head = fit_source_head(x, y, clusters, 3, None, terms=margins)
    without = fit_source_head(x, y, clusters, 3, None)
    assert head is not None
    assert without is not None
    assert head.terms_weight > 0
    assert "terms" in head.tried[0]["name"]
    assert head.nll < without.nll - 0.1
    assert without.terms_weight == 0
