"""AUC over all answers and over pairs of answers to one question, against counting."""

from __future__ import annotations

import numpy as np
import pytest

from univar.statistics import auc


def planted(seed: int, questions: int = 40, per: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that know the topic alone, labels that depend on it, and the questions."""
    rng = np.random.default_rng(seed)
    question = np.repeat(np.arange(questions), per)
    topic = rng.standard_normal(questions)[question]
    labels = rng.random(len(question)) < 1 / (1 + np.exp(-2 * topic))
    return topic, labels, question


def test_every_pair_of_a_question_is_counted_once() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (60, 2)).astype(float)  # with ties
    labels, question = rng.random((60, 2)) < 0.4, rng.integers(0, 7, 60)
    found = auc.within_question(scores, labels, question)
    for value in range(2):
        won = total = 0.0
        for a in range(60):
            for b in range(60):
                if question[a] == question[b] and labels[a, value] and not labels[b, value]:
                    total += 1
                    won += np.sign(scores[a, value] - scores[b, value]) / 2 + 0.5
        assert found.total[:, value].sum() == total
        assert found.auc(value).estimate == pytest.approx(won / total)


def test_topic_alone_is_worth_nothing_within_a_question() -> None:
    scores, labels, question = planted(1)
    assert auc.plain(scores, labels, question).estimate > 0.75
    within = auc.within_question(scores[:, None], labels[:, None], question)
    assert within.auc(0).estimate == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_areas_equal_scikit_learn_with_ties(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 6, (50, 2)).astype(float), rng.random((50, 2)) < 0.3
    clusters = rng.integers(0, 8, 50)
    found, left_out = auc.areas(scores, labels, clusters)
    expected = [metrics.roc_auc_score(labels[:, v], scores[:, v]) for v in range(2)]
    assert found == pytest.approx(expected)
    for number, cluster in enumerate(np.unique(clusters)):
        rest = clusters != cluster
        without = [metrics.roc_auc_score(labels[rest, v], scores[rest, v]) for v in range(2)]
        assert left_out[number] == pytest.approx(without)


def test_plain_auc_leaves_whole_clusters_out() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    scores, labels, question = (
        rng.integers(0, 9, 90).astype(float),
        rng.random(90) < 0.3,
        np.repeat(range(9), 10),
    )
    found = auc.plain(scores, labels, question)
    assert found.estimate == pytest.approx(metrics.roc_auc_score(labels, scores))
    left = np.array([metrics.roc_auc_score(labels[question != q], scores[question != q]) for q in range(9)])
    assert found.se == pytest.approx(np.sqrt(8 / 9 * ((left - left.mean()) ** 2).sum()))


def test_macro_is_the_mean_of_the_values() -> None:
    rng = np.random.default_rng(3)
    labels, question = rng.random((200, 3)) < 0.4, rng.integers(0, 20, 200)
    found = auc.within_question(rng.standard_normal((200, 3)), labels, question)
    assert found.macro().estimate == pytest.approx(np.mean([found.auc(v).estimate for v in range(3)]))


def test_interval_of_a_chance_score_covers_one_half() -> None:
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng([4, seed])
        _, labels, question = planted(seed)
        found = auc.within_question(rng.standard_normal((len(labels), 1)), labels[:, None], question).auc(0)
        covered += not found.excludes(0.5)
    assert 182 <= covered <= 198  # 95 % of 200, within 2.6 standard errors


def test_without_a_pair_there_is_no_figure() -> None:
    labels = np.repeat([True, False], 5)
    found = auc.within_question(np.ones((10, 1)), labels[:, None], np.repeat([0, 1], 5))
    assert np.isnan(found.auc(0).estimate)
    assert np.isnan(auc.plain(np.ones(4), np.ones(4, bool), np.arange(4)).estimate)
