"""Agreement of layouts: planted agreement is found, kinship alone is not called agreement."""

from __future__ import annotations

import numpy as np
import pytest

from univar.statistics.mantel import agreement, principal_coordinates, procrustes, residuals, spectral_draws


def distances(points: np.ndarray) -> np.ndarray:
    apart: np.ndarray = np.linalg.norm(points[:, None] - points[None], axis=2)
    return apart


def chain(n: int) -> np.ndarray:
    """Similarities along a line."""
    return np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 3)


def test_planted_agreement_is_found_beyond_kinship() -> None:
    rng = np.random.default_rng(0)
    kin = chain(12)
    scores = rng.standard_normal((12, 2))
    noisy = scores + 0.2 * rng.standard_normal((12, 2))
    found = agreement(distances(noisy), scores, [1 - kin], kin)
    assert found.partial > 0.8
    assert found.partial_p < 0.01
    assert found.procrustes > 0.8
    assert found.procrustes_p < 0.01


def test_what_only_follows_kinship_is_not_called_agreement() -> None:
    """Both sides are smooth along the chain, at other ranges than the kinship that the test is given."""
    n, called, naive = 12, 0, 0
    smooth = np.linalg.cholesky(np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 8))
    for seed in range(150):
        rng = np.random.default_rng([1, seed])
        x, y = smooth @ rng.standard_normal((n, 6)), smooth @ rng.standard_normal((n, 2))
        found = agreement(distances(x), y, [1 - chain(n)], chain(n), seed)
        called += found.partial_p <= 0.05
        upper = np.triu_indices(n, 1)
        target = residuals(distances(y)[upper])
        orders = [rng.permutation(n) for _ in range(99)]
        r = residuals(distances(x)[upper]) @ target
        naive += sum(residuals(distances(x)[np.ix_(o, o)][upper]) @ target >= r for o in orders) < 5
    assert called <= 15  # 7.5 expected of 150; 15 is 2.8 standard errors above
    assert naive > 2 * called


def test_signs_keep_what_the_kinship_diagonalises() -> None:
    rng = np.random.default_rng(2)
    kin, points = chain(6), rng.standard_normal((6, 2))
    points -= points.mean(axis=0)
    draws, least = spectral_draws(points, kin, 0)
    assert len(draws) == 2**4 - 1
    assert least == 1 / 16
    for draw in draws:
        np.testing.assert_allclose(draw.sum(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(draw.T @ draw, points.T @ points, atol=1e-9)  # no column's spread changes
        assert np.abs(draw - points).max() > 1e-6
    many, _ = spectral_draws(rng.standard_normal((20, 2)), chain(20), 0)
    assert len(many) == 4999


def test_controls_that_explain_everything_leave_no_partial() -> None:
    points = np.random.default_rng(3).standard_normal((3, 2))
    found = agreement(distances(points), points, [distances(points)], np.eye(3))
    assert np.isnan(found.partial)
    assert found.r == pytest.approx(1.0)


def test_points_are_found_again_from_their_distances() -> None:
    points = np.random.default_rng(4).standard_normal((7, 2))
    assert procrustes(principal_coordinates(distances(points)), points) == pytest.approx(1.0)
    spatial = pytest.importorskip("scipy.spatial")
    other = np.random.default_rng(5).standard_normal((7, 2))
    assert procrustes(points, other) == pytest.approx(1 - spatial.procrustes(points, other)[2])


def test_residuals_are_those_of_a_regression() -> None:
    rng = np.random.default_rng(6)
    y, x = rng.standard_normal(30), rng.standard_normal((30, 2))
    left = residuals(y, x)
    np.testing.assert_allclose([left.sum(), *(left @ x)], 0, atol=1e-9)
    assert np.linalg.norm(left) == pytest.approx(1)
    assert not residuals(x @ np.array([1.0, 2.0]), x).any()
