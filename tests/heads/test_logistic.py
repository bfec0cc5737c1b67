"""Several logistic regressions at once: the same as scikit-learn's, and a strength chosen inside the rows."""

from __future__ import annotations

import numpy as np
import pytest

from univar.heads import logistic
from univar.statistics import auc


def rows(seed: int, n: int = 300, dims: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dims)).astype(np.float32)
    labels = x @ rng.standard_normal((dims, 3)) + rng.standard_normal((n, 3)) > 0.5
    return x, labels, rng.integers(0, 40, n)


def macro(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    return auc.within_question(scores, labels, groups).macro().estimate


@pytest.mark.parametrize("c", [0.1, 10.0])
def test_fits_are_those_of_scikit_learn(c: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, labels, _ = rows(0)
    found = logistic.fit(x, labels, c).log_odds(x)
    for value in range(3):
        model = linear_model.LogisticRegression(C=c, max_iter=1000, tol=1e-8).fit(x, labels[:, value])
        np.testing.assert_allclose(found[:, value], model.decision_function(x), atol=0.02)


def test_a_label_that_nobody_has_is_fitted_too() -> None:
    x, labels, _ = rows(1)
    labels[:, 1] = False
    found = logistic.fit(x, labels, 1.0).log_odds(x)
    assert np.isfinite(found).all()
    assert found[:, 1].max() < 0


def test_noise_is_regularised_and_signal_is_not() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 15)
    noise = rng.standard_normal((300, 100)).astype(np.float32)
    faint = rng.random((300, 2)) < 1 / (1 + np.exp(-0.7 * noise[:, :2]))
    clear = noise[:, :2] * 3 + rng.standard_normal((300, 2)) > 0
    weak = logistic.choose(noise, faint, groups, macro, choices=(0.001, 1000.0))
    strong = logistic.choose(noise[:, :2], clear, groups, macro, choices=(1e-9, 10.0))
    assert (weak, strong) == (0.001, 10.0)


def test_held_out_scores_never_saw_their_group() -> None:
    """Labels that are a code of the group can be learnt by heart, but not from other groups."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), 10)
    x = np.eye(30, dtype=np.float32)[groups] + 0.01 * rng.standard_normal((300, 30)).astype(np.float32)
    labels = (rng.random(30) < 0.5)[groups][:, None]
    by_heart = logistic.fit(x, labels, 30.0).log_odds(x)
    held_out, chosen = logistic.nested(
        x, labels, groups, lambda s, t, g: auc.plain(s[:, 0], t[:, 0], g).estimate
    )
    assert auc.plain(by_heart[:, 0], labels[:, 0], groups).estimate == 1.0
    assert auc.plain(held_out[:, 0], labels[:, 0], groups).estimate < 0.7
    assert len(chosen) == 5
