"""Temperature, scores and prediction sets on planted truth."""

from __future__ import annotations

import numpy as np
import pytest

from univar.heads.calibration import (
    MIN_QUESTIONS,
    brier,
    classwise_ece,
    conformal_p,
    fit_temperature,
    log_softmax,
    nll,
    question_weights,
    set_scores,
    set_threshold,
)


def drawn(rng: np.random.Generator, log_odds: np.ndarray) -> np.ndarray:
    """A class of each row, drawn with the probabilities of its log-odds."""
    p = np.exp(log_softmax(log_odds))
    return (rng.random(len(p))[:, None] > np.cumsum(p, axis=1)).sum(1).clip(max=p.shape[1] - 1)


@pytest.mark.parametrize("planted", [0.3, 1.0, 4.0])
def test_the_planted_temperature_is_found(planted: float) -> None:
    rng = np.random.default_rng(0)
    odds = 2 * rng.standard_normal((20_000, 6))
    y = drawn(rng, odds)
    assert fit_temperature(odds * planted, y) == pytest.approx(planted, rel=0.05)


def test_a_class_the_head_does_not_know_is_left_out() -> None:
    odds = np.array([[1.0, 0.0, -np.inf], [0.0, 1.0, -np.inf], [0.5, 0.5, -np.inf]])
    assert fit_temperature(odds, np.array([0, 1, 2])) == fit_temperature(odds[:2], np.array([0, 1]))
    with pytest.raises(ValueError, match="nothing to calibrate on"):
        fit_temperature(odds[:1], np.array([2]))


def test_every_question_weighs_the_same() -> None:
    weights = question_weights(np.array([5, 5, 5, 9]))
    np.testing.assert_allclose(weights, [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_scores_of_known_probabilities() -> None:
    log_p = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    y = np.array([0, 1])
    np.testing.assert_allclose(nll(log_p, y), [-np.log(0.7), -np.log(0.25)])
    np.testing.assert_allclose(brier(log_p, y), [0.09 + 0.04 + 0.01, 0.0625 + 0.5625 + 0.25])
    assert nll(np.array([[-np.inf, 0.0]]), np.array([0]))[0] == pytest.approx(-np.log(1e-6))


def test_calibrated_probabilities_have_little_error_and_sharpened_ones_more() -> None:
    rng = np.random.default_rng(1)
    odds = rng.standard_normal((20_000, 4))
    y = drawn(rng, odds)
    assert classwise_ece(log_softmax(odds), y) < 0.01
    assert classwise_ece(log_softmax(odds, 0.25), y) > 0.08


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_sets_cover_new_questions_at_their_level(level: float) -> None:
    """Answers of a question share an error; a set that took rows as exchangeable would cover too little."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(400):
        questions = np.repeat(np.arange(60), 5)
        odds = 1.5 * rng.standard_normal((300, 5)) + 1.5 * rng.standard_normal((60, 5))[questions]
        y = drawn(rng, odds)
        hidden = odds + 1.0 * rng.standard_normal((60, 5))[questions]  # what the head sees
        scores = set_scores(log_softmax(hidden))
        true = scores[np.arange(300), y]
        seen = questions < 40
        threshold = set_threshold(true[seen], questions[seen], level)
        covered.append(np.mean(true[~seen] <= threshold))
    standard_error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) == pytest.approx(level + 0.5 / 41, abs=0.5 / 41 + 4 * standard_error)


def test_too_few_questions_give_no_set() -> None:
    with pytest.raises(ValueError, match=f"19 calibration questions: .* at least {MIN_QUESTIONS}"):
        set_threshold(np.zeros(19), np.arange(19), 0.9)


def test_a_level_beyond_what_the_questions_resolve_takes_all_classes() -> None:
    assert set_threshold(np.linspace(0, 1, 20), np.arange(20), 0.99) == np.inf


def test_the_likeliest_class_is_in_every_set() -> None:
    scores = set_scores(np.log(np.array([[0.5, 0.3, 0.2]])))
    np.testing.assert_allclose(scores, [[0.0, 0.5, 0.8]])


def test_p_values_of_the_like_are_uniform() -> None:
    rng = np.random.default_rng(3)
    p = np.concatenate([conformal_p(rng.random(1), rng.random(39)) for _ in range(4000)])
    for level in (0.05, 0.25, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.03)
    assert conformal_p(2.0, np.array([0.1, np.nan, 0.3])) == pytest.approx(1 / 3)
