"""Rows minus what other sources answered to the same question."""

from __future__ import annotations

import numpy as np
import pytest

from univar.statistics.centring import LEAST, Panel, centre


def plain(embeddings, sources, questions, clusters, least):
    """The same, row by row, in float64."""
    exact = embeddings.astype(np.float64)
    out, level = exact.copy(), np.zeros(len(exact), int)
    for row in range(len(exact)):
        for code, groups in ((1, questions), (2, clusters)):
            if groups is None or groups[row] < 0:
                continue
            others = (groups == groups[row]) & (sources != sources[row])
            if others.sum() >= least:
                out[row] -= exact[others].mean(axis=0)
                level[row] = code
                break
    return out, level


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("with_clusters", [False, True])
def test_centring_is_the_row_by_row_mean_of_other_sources(seed: int, with_clusters: bool) -> None:
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((300, 7)).astype(np.float16)
    sources, questions = rng.integers(0, 6, 300), rng.integers(-1, 60, 300)
    clusters = np.where(questions >= 0, questions // 4, -1) if with_clusters else None
    centred = centre(embeddings, sources, questions, clusters)
    expected, level = plain(embeddings, sources, questions, clusters, LEAST)
    np.testing.assert_array_equal(centred.level, level)
    np.testing.assert_allclose(centred.embeddings, expected, atol=2e-6)
    assert 0 < centred.share < 1 or with_clusters


def test_more_groups_than_a_stripe_holds() -> None:
    rng = np.random.default_rng(1)
    questions = np.repeat(np.arange(1500), 4)
    sources = np.tile(np.arange(4), 1500)
    embeddings = rng.standard_normal((6000, 3)).astype(np.float32)
    centred = centre(embeddings, sources, questions)
    expected, _ = plain(embeddings, sources, questions, None, LEAST)
    assert centred.is_centred.all()
    np.testing.assert_allclose(centred.embeddings, expected, atol=2e-6)


def test_a_source_never_centres_itself() -> None:
    embeddings = np.eye(4, dtype=np.float32)
    centred = centre(embeddings, np.zeros(4, int), np.zeros(4, int))
    assert not centred.is_centred.any()
    np.testing.assert_array_equal(centred.embeddings, embeddings)
    assert "0 rows by question, 0 by proposition; 4 left as they are" in centred.note()


def test_a_question_effect_shared_by_all_sources_is_gone_and_what_is_a_source_s_own_stays() -> None:
    rng = np.random.default_rng(2)
    questions, sources = np.repeat(np.arange(200), 5), np.tile(np.arange(5), 200)
    own = rng.standard_normal((5, 8))
    topics = 10 * rng.standard_normal((200, 8))
    embeddings = (topics[questions] + own[sources]).astype(np.float32)
    centred = centre(embeddings, sources, questions).embeddings
    expected = own - np.array([np.delete(own, source, 0).mean(0) for source in range(5)])
    np.testing.assert_allclose(centred, expected[sources], atol=1e-4)


def test_a_query_of_no_known_source_takes_all_answers_of_the_index() -> None:
    index = np.arange(8, dtype=np.float32).reshape(4, 2)
    panel = Panel(index, np.array([0, 1, 2, 3]), np.array([7, 7, 7, 9]))
    unknown = np.array([-1, -1, -1])
    np.testing.assert_array_equal(panel.others(unknown, np.array([7, 9, 8])), [3, 1, 0])
    np.testing.assert_allclose(panel.means(unknown[:1], np.array([7])), [[2, 3]])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="3 rows, but 2 sources and 3 groups"):
        centre(np.zeros((3, 2), np.float32), np.zeros(2, int), np.zeros(3, int))


def test_no_rows() -> None:
    centred = centre(np.zeros((0, 4), np.float16), np.zeros(0, int), np.zeros(0, int))
    assert centred.embeddings.shape == (0, 4)
    assert centred.share == 0.0
