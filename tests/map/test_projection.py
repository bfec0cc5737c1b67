"""Projection: the same as an SVD of all rows, in blocks, with fixed signs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.conftest import ArrayEmbeddings
from univar.errors import DataError
from univar.map import project, projection


def test_it_equals_a_singular_value_decomposition():
    rows = np.random.default_rng(0).standard_normal((200, 9)) @ np.diag([9, 5, 1, 1, 1, 1, 1, 1, 1])
    coordinates, shares = project(rows)
    centred = rows - rows.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(coordinates), np.abs(centred @ axes[:2].T), atol=1e-8)
    np.testing.assert_allclose(shares, (values**2 / (values**2).sum())[:2])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), flips=st.lists(st.booleans(), min_size=5, max_size=5))
def test_signs_are_fixed_by_the_largest_weight(seed, flips):
    rows = np.random.default_rng(seed).standard_normal((40, 5)) @ np.diag([8, 4, 1, 1, 1])
    mirrored = rows * np.where(flips, -1, 1)
    first, second = project(rows)[0], project(mirrored)[0]
    for axis, weight in ((0, 0), (1, 1)):  # the first two columns carry the components
        sign = -1 if flips[weight] else 1
        np.testing.assert_allclose(second[:, axis], sign * first[:, axis], atol=1e-6)
        assert np.corrcoef(first[:, axis], rows[:, weight])[0, 1] > 0


def test_blocks_give_the_same_coordinates(monkeypatch):
    rows = np.random.default_rng(1).standard_normal((50, 6)).astype(np.float16)
    whole = project(rows)[0]
    monkeypatch.setattr(projection, "_BLOCK_ROWS", 7)
    np.testing.assert_allclose(project(ArrayEmbeddings(rows))[0], whole, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 4), (5, 1), (3, 2)])
def test_small_inputs_have_two_finite_coordinates(shape):
    coordinates, shares = project(np.ones(shape))
    assert coordinates.shape == (shape[0], 2)
    assert np.isfinite(coordinates).all()
    assert shares.tolist() == [0, 0]


def test_nothing_to_project_is_a_data_error():
    with pytest.raises(DataError):
        project(np.empty((0, 4)))
