"""The C++ search equals one in float64, by every instruction set, for shapes and numbers of all kinds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from univar import knn
from univar._native import cpu_features, exact_search, search_isa
from univar.errors import DataError, UsageError
from univar.search.exact import ArrayEmbeddings, ExactSearch, TopK, search_plainly

FLAGS = {"portable": None, "avx2": "avx2", "avx512": "avx512", "avx512_bf16": "avx512_bf16"}
ISAS = [isa for isa, flag in FLAGS.items() if flag is None or cpu_features()[flag]]


def in_float64(queries: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = (queries.astype(np.float64) @ rows.astype(np.float64).T).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


def assert_exact(queries: np.ndarray, rows: np.ndarray, k: int, isa: str, threads: int) -> None:
    scores, indices, outcome, _ = exact_search(queries, rows, k, threads=threads, isa=isa)
    expected_scores, expected = in_float64(queries, rows, k)
    found = min(k, len(rows))
    assert outcome == "found"
    np.testing.assert_array_equal(indices[:, :found], expected)
    np.testing.assert_allclose(scores[:, :found], expected_scores, rtol=2e-7, atol=1e-30)
    assert (indices[:, found:] == -1).all()
    assert np.isneginf(scores[:, found:]).all()


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_neighbours_equal_those_of_float64(isa: str, data: st.DataObject) -> None:
    n_queries, n_rows = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 300))
    dim, k = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 9999)))
    scale = 10.0 ** data.draw(st.integers(-3, 3))
    rows = (scale * rng.standard_normal((n_rows, dim))).astype(data.draw(st.sampled_from(["f2", "f4"])))
    queries = rng.standard_normal((n_queries, dim)).astype(data.draw(st.sampled_from(["f2", "f4"])))
    twins = data.draw(st.integers(0, n_rows - 1))
    rows[rng.integers(0, n_rows, twins)] = rows[0]  # equal rows: ties go to the lower one
    rows[rng.integers(0, n_rows, twins // 4)] = 0
    assert_exact(queries, rows, k, isa, data.draw(st.integers(1, 4)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 3, 64])
def test_many_rows_and_threads(isa: str, threads: int) -> None:
    rng = np.random.default_rng(threads)
    rows = rng.standard_normal((20_000, 48)).astype(np.float16)
    queries = rows[rng.integers(0, len(rows), 50)].astype(np.float32)
    queries += 0.3 * rng.standard_normal(queries.shape).astype(np.float32)
    assert_exact(queries, rows, 10, isa, threads)
    assert_exact(queries[:2], rows, 10, isa, threads)


@pytest.mark.parametrize("isa", ISAS)
def test_rows_that_hardly_differ_are_told_apart(isa: str) -> None:
    rng = np.random.default_rng(3)
    base = rng.standard_normal(64)
    rows = (base + 1e-6 * rng.standard_normal((3000, 64))).astype(np.float32)
    assert_exact(rng.standard_normal((9, 64)).astype(np.float32), rows, 25, isa, 2)


def test_a_thousand_equal_rows_need_no_memory_and_come_in_order() -> None:
    rows = np.tile(np.linspace(-1, 1, 16, dtype=np.float16), (50_000, 1))
    scores, indices, _, _ = exact_search(np.ones((20, 16), np.float32), rows, 7, threads=2)
    assert (indices == np.arange(7)).all()
    assert len(np.unique(scores)) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_queries", [1, 9])
def test_numbers_that_are_none_are_named(bad: float, n_queries: int) -> None:
    rows, queries = np.ones((700, 8), np.float16), np.ones((n_queries, 8), np.float32)
    rows[[345, 600], 3] = bad
    with pytest.raises(DataError, match="345"):
        knn(queries, rows, 3, device="cpu")
    queries[-1, 0] = bad
    with pytest.raises(DataError, match=f"query.*{n_queries - 1}|row {n_queries - 1} of the quer"):
        knn(queries, rows[:300], 3, device="cpu")


@pytest.mark.parametrize("size", [1e-30, 1e25, 3e38])
def test_numbers_beyond_what_float_products_hold_are_searched_plainly(size: float) -> None:
    rng = np.random.default_rng(5)
    rows = (size * rng.uniform(0.1, 1.0, (40, 6))).astype(np.float32)
    queries = (rng.uniform(0.1, 1.0, (5, 6)) / max(size, 1)).astype(np.float32)
    scores, indices = knn(queries, rows, 4, device="cpu")
    expected_scores, expected = in_float64(queries, rows, 4)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-6)


def test_the_plain_search_is_its_reference() -> None:
    rng = np.random.default_rng(7)
    rows, queries = rng.standard_normal((900, 24)).astype(np.float16), rng.standard_normal((30, 24))
    best = TopK(30, 11)
    search_plainly(queries.astype(np.float32), 0, rows, 11, best)
    scores, indices = ExactSearch(ArrayEmbeddings(rows), 24).search(queries.astype(np.float32), 11)
    np.testing.assert_array_equal(indices, best.indices)
    np.testing.assert_array_equal(scores, best.scores)


def test_wrong_arguments_are_refused() -> None:
    rows = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match="contiguous"):
        exact_search(rows[:, ::-1], rows, 1, threads=1)
    with pytest.raises(ValueError, match="queries have 2 numbers a row, rows 3"):
        exact_search(np.ones((1, 2), np.float32), rows, 1, threads=1)
    with pytest.raises(ValueError, match="no sse9"):
        exact_search(rows, rows, 1, threads=1, isa="sse9")
    with pytest.raises(UsageError, match="threads must be at least 1"):
        knn(rows, rows, 1, device="cpu", threads=0)
    assert search_isa() in ISAS


def test_empty_sides() -> None:
    none, rows = np.empty((0, 3), np.float32), np.ones((4, 3), np.float32)
    assert knn(none, rows, 2, device="cpu")[1].shape == (0, 2)
    scores, indices = knn(rows, none, 2, device="cpu")
    assert (indices == -1).all()
    assert np.isneginf(scores).all()
