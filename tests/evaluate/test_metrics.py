"""Metrics and intervals, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from univar.evaluate.classifiers import tfidf, tokens
from univar.evaluate.metrics import (
    NEVER,
    Intervals,
    Prediction,
    accuracy,
    f1,
    label_counts,
    predict,
    two_sources,
)


def prediction(truth: np.ndarray, guess: np.ndarray, n_labels: int) -> Prediction:
    return Prediction(truth, guess, np.where(truth == guess, 0, 1), n_labels, truth == guess)


def counts(truth, guess, n_labels, questions=None) -> np.ndarray:
    questions = np.zeros_like(truth) if questions is None else questions
    return label_counts(prediction(truth, guess, n_labels), questions, int(questions.max()) + 1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_labels=st.integers(2, 6))
@pytest.mark.filterwarnings("ignore")
def test_f1_equals_scikit_learn(seed, n_labels):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, n_labels, (2, 30))
    expected = [
        sklearn_metrics.f1_score(truth, guess, average=how, zero_division=0) for how in ("macro", "weighted")
    ]
    assert f1(counts(truth, guess, n_labels).sum(axis=1)) == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_f1_with_weights_equals_f1_of_repeated_rows(seed):
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, 4, (2, 20))
    weight = rng.integers(0, 3, 20)
    weight[0] = 1
    repeated = f1(counts(np.repeat(truth, weight), np.repeat(guess, weight), 4).sum(axis=1))
    by_row = counts(truth, guess, 4, questions=np.arange(20))
    assert f1(np.einsum("q,cql->cl", weight, by_row)) == pytest.approx(repeated)


def test_the_rank_counts_better_labels_and_equal_ones_before():
    scores = np.array([[0.2, 0.9, 0.2, 0.2]] * 4)
    found = predict(scores, np.arange(4))
    assert found.best.tolist() == [1] * 4
    assert found.rank.tolist() == [1, 0, 2, 3]


def test_a_label_without_a_vote_is_never_a_hit():
    scores = np.array([[0.5, 0.0]])
    found = predict(scores, np.array([1]), scores > 0)
    assert found.rank.tolist() == [NEVER]
    measured = accuracy(found, Intervals(np.zeros(1)))
    assert {at: figure.value for at, figure in measured.items()} == {1: 0.0, 3: 0.0, 5: 0.0, 10: 0.0}


def test_the_interval_is_over_questions_not_rows():
    """Ten questions with a hundred equal rows each are ten observations, not a thousand."""
    questions = np.repeat(np.arange(10), 100)
    found = Intervals(questions).of_mean(questions < 5)
    assert found.low == pytest.approx(0.12, abs=0.05)  # t with 9 degrees of freedom, sd 0.5 / 3
    assert found.high == pytest.approx(0.88, abs=0.05)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        found = Intervals(np.arange(80)).of_mean(rng.random(80) < 0.3)
        covered += found.low <= 0.3 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_an_interval_of_some_rows_equals_that_of_a_set_of_its_own():
    questions = np.repeat(np.arange(6), 2)
    values = np.array([1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1])
    over = Intervals(questions)
    some, all = over.of_share(np.arange(12), values), over.of_mean(values)
    assert [some.value, some.low, some.high] == pytest.approx([all.value, all.low, all.high])


def test_an_interval_of_some_rows_leaves_out_the_others():
    questions = np.repeat(np.arange(8), 2)
    some = Intervals(questions).of_share(np.arange(12), np.arange(12) % 3)
    assert some == Intervals(questions[:12]).of_mean(np.arange(12) % 3)


@pytest.mark.parametrize("clusters", [1, 4])
def test_a_few_questions_give_no_interval(clusters):
    found = Intervals(np.repeat(np.arange(clusters), 3)).of_mean(np.arange(3 * clusters) % 2)
    assert (found.low, found.high) == (None, None)


def test_figures_that_never_vary_have_no_interval():
    found = Intervals(np.arange(20)).of_mean(np.ones(20))
    assert (found.value, found.low, found.high) == (1.0, None, None)


def test_on_a_scale_of_two_sources_chance_is_one_half():
    rng = np.random.default_rng(0)
    for n_labels in (2, 5, 40):
        found = predict(rng.random((4000, n_labels)), rng.integers(0, n_labels, 4000))
        assert two_sources(found, Intervals(np.arange(4000))).value == pytest.approx(0.5, abs=0.03)
    ties = predict(np.zeros((4, 3)), np.arange(4) % 3)
    assert ties.beats.tolist() == [0.5] * 4


def test_f1_intervals_hold_the_value():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 90)
    guess = np.where(rng.random(90) < 0.6, truth, rng.integers(0, 3, 90))
    for found in Intervals(np.arange(90) // 3).of_f1(prediction(truth, guess, 3)):
        assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It isn't **so**!\n\nYes", ["It", "isn", "'", "t", "**", "so", "**!", "\n\n", "Yes"]),
        ("自由は大事", ["自", "由", "は", "大", "事"]),
        ("GPT-4 说：好", ["GPT", "-", "4", "说", "：", "好"]),
        ("자유는 중요", ["자유는", "중요"]),
        ("Привет мир", ["Привет", "мир"]),
    ],
)
def test_tokens_of_all_scripts(text, expected):
    assert tokens(text) == expected


@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_baseline_knows_its_labels_in_any_order(n_labels):
    pytest.importorskip("sklearn")
    answers = [f"word{label} of {n}" for n in range(8) for label in range(n_labels)]
    labels = np.array([label for _ in range(8) for label in range(n_labels)])
    surface = tfidf(answers, [f"say word{label}" for label in range(n_labels)])
    rows = np.arange(n_labels)
    assert surface.scores(labels, n_labels, rows, seed=0).argmax(axis=1).tolist() == rows.tolist()
    turned = surface.scores(n_labels - 1 - labels, n_labels, rows, seed=0).argmax(axis=1)
    assert turned.tolist() == (n_labels - 1 - rows).tolist()
    assert len(surface._known) == 1
