"""Shrunk discriminants beside scikit-learn's, and their held-out log-odds."""

from __future__ import annotations

import numpy as np
import pytest

from univar.heads.geometry import Geometry
from univar.heads.lda import Moments, fit_lda, held_out_log_odds


def classes(seed: int = 0, n: int = 400, dims: int = 12, n_classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    mixing = rng.standard_normal((dims, dims))
    x = (2 * rng.standard_normal((n_classes, dims))[y] + rng.standard_normal((n, dims))) @ mixing
    return x.astype(np.float32), y


@pytest.mark.parametrize("shrinkage", [0.05, 0.3, 1.0])
def test_fit_is_scikit_learn_s_with_the_pooled_covariance(shrinkage: float) -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    covariance = pytest.importorskip("sklearn.covariance")

    class Shrunk:
        def __init__(self) -> None:
            self.covariance_ = np.empty(0)

        def fit(self, x):
            self.covariance_ = covariance.shrunk_covariance(np.cov(x.T, bias=True), shrinkage)
            return self

    x, y = classes()
    means = np.array([x[y == label].mean(0) for label in range(5)])
    pooled = covariance.shrunk_covariance(np.cov((x - means[y]).T, bias=True), shrinkage)
    expected = np.linalg.solve(pooled.astype(np.float64), means.T.astype(np.float64))
    head = fit_lda(Moments.of(x, y, 5), shrinkage)
    np.testing.assert_allclose(head.weights, expected, rtol=2e-3, atol=2e-4)
    theirs = discriminant.LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage=shrinkage, priors=np.full(5, 0.2)
    ).fit(x, y)
    agree = np.mean(theirs.predict(x) == head.log_odds(x).argmax(1))
    assert agree > 0.97


def test_moments_add_and_subtract_exactly_enough() -> None:
    x, y = classes(1)
    whole, left, right = Moments.of(x, y, 5), Moments.of(x[:150], y[:150], 5), Moments.of(x[150:], y[150:], 5)
    for made in (left + right, whole - right + right):
        np.testing.assert_array_equal(made.counts, whole.counts)
        np.testing.assert_allclose(made.products, whole.products, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose((whole - right).sums, left.sums, atol=1e-3)


def test_held_out_log_odds_are_those_of_a_fit_without_the_fold() -> None:
    x, y = classes(2)
    folds = np.arange(400) % 4
    held_out, head = held_out_log_odds(x, y, 5, folds)
    for fold in range(4):
        seen = folds != fold
        expected = fit_lda(Moments.of(x[seen], y[seen], 5)).log_odds(x[~seen])
        np.testing.assert_allclose(held_out[~seen], expected, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(head.weights, fit_lda(Moments.of(x, y, 5)).weights, rtol=1e-2, atol=1e-3)


def test_a_class_without_rows_is_never_named() -> None:
    x, y = classes(3)
    head = fit_lda(Moments.of(x, y, 7))
    odds = head.log_odds(x)
    assert np.isneginf(odds[:, 5:]).all()
    assert np.isfinite(odds[:, :5]).all()


def test_more_dims_than_rows() -> None:
    rng = np.random.default_rng(4)
    y = np.repeat([0, 1, 2], 5)
    x = (rng.standard_normal((3, 200))[y] + 0.1 * rng.standard_normal((15, 200))).astype(np.float16)
    head = fit_lda(Moments.of(x, y, 3))
    assert (head.log_odds(x).argmax(1) == y).all()


def test_priors_move_the_odds_by_their_logarithm() -> None:
    x, y = classes(5)
    moments = Moments.of(x, y, 5)
    priors = np.array([0.6, 0.1, 0.1, 0.1, 0.1])
    moved = fit_lda(moments, priors=priors).log_odds(x) - fit_lda(moments).log_odds(x)
    np.testing.assert_allclose(moved, np.broadcast_to(np.log(priors), moved.shape), atol=1e-3)


@pytest.mark.parametrize(
    ("y", "message"),
    [(np.zeros(6, int), "1 classes have rows: a discriminant needs two"), (np.arange(6), "one row")],
)
def test_what_cannot_be_fitted_says_so(y: np.ndarray, message: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        fit_lda(Moments.of(x, y, 6))


def test_places_in_the_space_of_the_classes_keep_the_whitened_distances_between_class_means() -> None:
    x, y = classes()
    moments = Moments.of(x, y, 5)
    head = fit_lda(moments)
    geometry = Geometry.of(moments, head)
    means = moments.sums / moments.counts[:, None]
    within = (moments.products - (means.T * moments.counts) @ means) / len(x)
    shrunk = 0.7 * within + 0.3 * np.trace(within) / x.shape[1] * np.eye(x.shape[1])
    places = geometry.coordinates(geometry.products(head.log_odds(means)))
    apart = means[:, None] - means[None]
    expected = np.einsum("abi,ij,abj->ab", apart, np.linalg.inv(shrunk), apart)
    found = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
    assert places.shape == (5, 4)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-3)
