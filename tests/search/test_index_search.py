"""Searching: equal to brute force, whatever the blocks; ties, padding and wrong queries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from univar.errors import DataError, UsageError
from univar.search import IVF_FROM_ROWS, Index
from univar.search.approximate import recall
from univar.search.exact import ArrayEmbeddings, ExactSearch
from univar.search.index import resolve

halves = hnp.arrays(
    np.float16,
    st.tuples(st.integers(1, 40), st.just(5)),
    elements=st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]),  # few values: many ties
)


def brute_force(queries, corpus, k):
    scores = (queries.astype(np.float64) @ corpus.astype(np.float64).T).astype(np.float32)
    order = np.lexsort((np.broadcast_to(np.arange(len(corpus)), scores.shape), -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


@settings(max_examples=60, deadline=None)
@given(corpus=halves, queries=halves, k=st.integers(1, 12), block_rows=st.integers(1, 45))
def test_exact_search_equals_brute_force_in_blocks_of_any_size(corpus, queries, k, block_rows):
    queries, k = queries.astype(np.float32), min(k, len(corpus))
    scores, indices = ExactSearch(ArrayEmbeddings(corpus), 5, block_rows).search(queries, k)
    expected_scores, expected = brute_force(queries, corpus, k)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(scores, expected_scores)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corpus=halves, queries=halves, k=st.integers(1, 6))
def test_flat_equals_brute_force_however_many_ties(memory_store, corpus, queries, k):
    queries = queries.astype(np.float32)
    scores, indices = Index.build(memory_store(corpus), "flat").search(queries, k)
    expected_scores, expected = brute_force(queries, corpus, min(k, len(corpus)))
    np.testing.assert_array_equal(indices[:, : len(corpus)], expected)
    np.testing.assert_array_equal(scores[:, : len(corpus)], expected_scores)


@pytest.mark.parametrize("rows", [1, 100, 700, 3000])
def test_blocks_give_the_same_bits_on_real_valued_rows(clustered, queries, rows):
    whole = ExactSearch(ArrayEmbeddings(clustered), 24, 3000).search(queries, 17)
    blocks = ExactSearch(ArrayEmbeddings(clustered), 24, rows).search(queries, 17)
    np.testing.assert_array_equal(whole[1], blocks[1])
    np.testing.assert_array_equal(whole[0], blocks[0])


def test_a_query_gets_the_same_answer_alone_and_in_a_batch(clustered, queries):
    search = ExactSearch(ArrayEmbeddings(clustered), 24)
    together = search.search(queries, 9)[1]
    alone = np.concatenate([search.search(queries[i : i + 1], 9)[1] for i in range(len(queries))])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("kind", ["exact", "flat", "ivf", "hnsw"])
def test_equal_rows_come_in_order_of_rows(memory_store, kind):
    rng = np.random.default_rng(1)
    row = rng.standard_normal((1, 16)).astype(np.float32)
    scores, indices = Index.build(memory_store(np.repeat(row, 30, axis=0)), kind).search(row, 5)
    assert len(set(scores[0].tolist())) == 1
    if kind != "hnsw":  # a graph need not reach the first rows
        assert indices[0].tolist() == [0, 1, 2, 3, 4]
    else:
        assert indices[0].tolist() == sorted(indices[0].tolist())


@pytest.mark.parametrize("kind", ["exact", "flat", "ivf", "hnsw"])
def test_more_neighbours_than_rows_are_padded(memory_store, clustered, kind):
    scores, indices = Index.build(memory_store(clustered[:7]), kind).search(
        clustered[:2].astype(np.float32), 10
    )
    assert scores.shape == indices.shape == (2, 10)
    assert scores.dtype == np.float32
    assert indices.dtype == np.int64
    assert (indices[:, 7:] == -1).all()
    assert np.isneginf(scores[:, 7:]).all()
    assert sorted(indices[0, :7].tolist()) == list(range(7))


def test_a_store_without_rows_finds_nothing(memory_store):
    scores, indices = Index.build(memory_store(np.empty((0, 4), np.float16)), "ivf").search(
        np.ones((2, 4)), 3
    )
    assert (indices == -1).all()
    assert np.isneginf(scores).all()


def test_no_queries_give_no_rows(memory_store, clustered):
    scores, indices = Index.build(memory_store(clustered)).search(np.empty((0, 24), np.float32), 3)
    assert scores.shape == indices.shape == (0, 3)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_approximate_search_reaches_the_recall_it_reports(memory_store, clustered, queries, kind):
    index = Index.build(memory_store(clustered), kind)
    truth = Index.build(memory_store(clustered), "exact").search(queries, 10)[1]
    found = index.search(queries, 10)[1]
    assert index.recall >= 0.95
    assert recall(found, truth, np.full(len(queries), -1)) >= 0.93


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw"])
def test_a_score_is_the_same_number_in_every_type(memory_store, clustered, queries, kind):
    scores, indices = Index.build(memory_store(clustered), kind).search(queries, 4)
    exact_scores, exact_indices = Index.build(memory_store(clustered), "exact").search(queries, 4)
    same = indices == exact_indices
    assert same.mean() > 0.9
    np.testing.assert_array_equal(scores[same], exact_scores[same])


def test_ivf_is_built_the_same_way_each_time(memory_store, clustered, queries):
    first, second = (Index.build(memory_store(clustered), "ivf").search(queries, 10) for _ in range(2))
    np.testing.assert_array_equal(first[1], second[1])


def test_recall_leaves_out_the_row_itself():
    truth, found = np.array([[0, 1, 2]]), np.array([[0, 1, 5]])
    assert recall(found, truth, own=np.array([0])) == 0.5


def test_auto_compares_every_row_until_the_store_is_large():
    assert resolve("auto", IVF_FROM_ROWS - 1) == "exact"
    assert resolve("auto", IVF_FROM_ROWS) == "ivf"


def test_queries_of_other_dimension_name_both_and_the_encoder(memory_store, clustered):
    with pytest.raises(DataError, match=r"\(2, 7\).*24 dims.*tiny"):
        Index.build(memory_store(clustered)).search(np.ones((2, 7), np.float32), 3)


def test_queries_that_are_not_finite_are_refused(memory_store, clustered):
    queries = np.ones((3, 24), np.float32)
    queries[1, 2] = np.nan
    with pytest.raises(DataError, match="query 1"):
        Index.build(memory_store(clustered)).search(queries, 3)


@pytest.mark.parametrize(("kind", "k"), [("annoy", 3), ("exact", 0)])
def test_senseless_calls_are_usage_errors(memory_store, clustered, kind, k):
    with pytest.raises(UsageError):
        Index.build(memory_store(clustered), kind).search(np.ones((1, 24), np.float32), k)
