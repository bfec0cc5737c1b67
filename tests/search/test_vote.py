"""The vote: shares as in the reference, ties as documented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.stores import write_store
from univar.errors import UsageError
from univar.search import Index, attribute
from univar.search.attribute import NO_LABEL, ranked, votes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_labels=st.integers(1, 9), k=st.integers(1, 20))
def test_shares_equal_the_torch_reference(seed, n_labels, k):
    torch = pytest.importorskip("torch")
    from univar.kernels.reference import knn_vote

    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, n_labels, (7, k))
    scores = np.where(labels == NO_LABEL, -np.inf, rng.uniform(-1, 1, (7, k))).astype(np.float32)
    expected = knn_vote(torch.from_numpy(scores), torch.from_numpy(labels), n_labels).numpy()
    np.testing.assert_allclose(votes(scores, labels, n_labels)[0], expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_labels=st.integers(1, 9), k=st.integers(1, 20))
def test_ranking_is_by_votes_then_similarity_then_label(seed, n_labels, k):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, n_labels, (5, k))
    scores = rng.choice([-0.5, 0.0, 0.25, 0.5], (5, k)).astype(np.float32)  # sums are exact
    order = ranked(votes(scores, labels, n_labels)[1])
    for query in range(5):
        counts = [int((labels[query] == label).sum()) for label in range(n_labels)]
        near = [float(scores[query][labels[query] == label].sum()) for label in range(n_labels)]
        expected = sorted(range(n_labels), key=lambda label: (-counts[label], -near[label], label))
        assert order[query].tolist() == expected


def test_equal_shares_go_to_the_nearer_neighbours():
    scores = np.array([[0.9, 0.8, 0.7, 0.2]], np.float32)
    labels = np.array([[1, 0, 1, 0]])
    assert ranked(votes(scores, labels, 2)[1]).tolist() == [[1, 0]]


def test_without_neighbours_nobody_has_a_share():
    shares, strength = votes(np.full((1, 3), -np.inf, np.float32), np.full((1, 3), NO_LABEL), 2)
    assert shares.tolist() == [[0, 0]]
    assert strength.tolist() == [[0, 0]]


@pytest.fixture
def store(tmp_path):
    """Six rows: a twice in eng near the first axis, b in eng and spa near the second, c near the third."""
    made = [
        ("a", "eng", 0),
        ("a", "eng", 0),
        ("b", "eng", 1),
        ("b", "spa", 1),
        ("b", "spa", 1),
        ("c", "spa", 2),
    ]
    rows = [
        {
            "id": str(n),
            "model": model,
            "language": language,
            "question_id": f"q{n}",
            "question": f"why {n}?",
            "answer": f"\x1b[31m because {model} {n}",
            "source_corpus": "here" if n < 3 else "there",
        }
        for n, (model, language, _) in enumerate(made)
    ]
    embeddings = np.eye(4)[[axis for *_, axis in made]] + 0.01 * np.arange(6)[:, None] * np.eye(4)[3]
    return write_store(tmp_path / "store", rows, embeddings, shards=2)


@pytest.mark.parametrize(
    ("by", "labels", "best"),
    [
        ("source", ["a/eng", "b/eng", "b/spa", "c/spa"], "b/spa"),
        ("model", ["a", "b", "c"], "b"),
        ("language", ["eng", "spa"], "spa"),
        ("source_corpus", ["here", "there"], "there"),
    ],
)
def test_attribution_by_any_column(store, by, labels, best):
    result = attribute(Index.build(store), np.array([[0, 1, 0, 0]], np.float32), k=3, by=by)
    assert result.labels == labels
    assert result.labels[result.ranking[0, 0]] == best
    assert result.shares.sum() == pytest.approx(1)
    assert result.indices.tolist() == [[2, 3, 4]]


def test_fewer_rows_than_k_still_share_one_whole(store):
    result = attribute(Index.build(store), np.eye(4, dtype=np.float32)[:1], k=50)
    assert result.shares.sum() == pytest.approx(1)
    assert (result.indices == -1).sum() == 44


def test_a_column_that_is_not_there_is_a_usage_error(store):
    with pytest.raises(UsageError, match="colour"):
        attribute(Index.build(store), np.eye(4, dtype=np.float32), by="colour")
