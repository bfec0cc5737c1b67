"""Seen and unseen questions and models, bags of answers, the paper's split, the non-value control."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluate.conftest import qa_rows
from univar.errors import UsageError
from univar.evaluate import evaluate, protocol
from univar.evaluate.bags import bag_accuracy
from univar.evaluate.classifiers import paper_probe, shuffled_within
from univar.evaluate.predictions import Key
from univar.evaluate.report import Counts

MODELS = ["a", "b", "c", "d"]
FAST = {"k": (5,), "bootstrap": 200, "permutations": 10, "targets": ("model",), "bags": (5,)}


ALL_BAGS = {**FAST, "bags": (1, 5, 20)}


def test_more_answers_of_a_source_are_easier_to_attribute(pair):
    report = evaluate(
        *pair(qa_rows(range(60), MODELS), qa_rows(range(60, 120), MODELS), signal=0.35), **ALL_BAGS
    )
    bags = report.groups[0].targets["model"].bags
    assert [bags[size].bags for size in (1, 5, 20)] == [240, 48, 12]
    for classifier in ("knn", "probe"):
        values = [getattr(bags[size], classifier).value for size in (1, 5, 20)]
        assert values == sorted(values)
        assert values[2] > values[0] + 0.2


def test_a_bag_of_one_answer_is_the_answer():
    scores = np.random.default_rng(0).random((60, 3))
    truth = np.arange(60) % 3
    found = bag_accuracy({Key(None, "knn"): scores}, truth, np.arange(60) // 3, (1,), seed=0)[1]
    assert found.knn.value == pytest.approx((scores.argmax(axis=1) == truth).mean())
    assert found.bags == 60


def test_a_bag_holds_answers_of_one_label():
    """Some answers speak for the wrong label, and only the sum over a label's answers does not."""
    truth = np.repeat(np.arange(2), 40)
    scores = np.zeros((80, 2))
    scores[np.arange(80), truth] = 1.0
    scores[::3, 1] += 1.2
    found = bag_accuracy({Key(None, "knn"): scores}, truth, np.arange(80), (1, 40), seed=0)
    assert found[1].knn.value < 1.0
    assert found[40].knn.value == 1.0


def test_bags_larger_than_any_source_are_left_out(pair):
    report = evaluate(*pair(qa_rows(range(20), MODELS), qa_rows(range(20, 28), MODELS)), **ALL_BAGS)
    assert list(report.groups[0].targets["model"].bags) == [1, 5]


def test_models_that_train_lacks_are_compared_among_themselves(pair):
    new = ["x", "y", "z"]
    eval = qa_rows(range(30, 50), MODELS) + qa_rows(range(60), new)
    report = evaluate(*pair(qa_rows(range(30), MODELS), eval, signal=3), **FAST)
    facts = report.other_settings["unseen_model"].overall["model"]
    assert facts.rows == 30 * 3
    assert facts.scores.chance == pytest.approx(1 / 3)
    assert facts.scores.knn[5].accuracy[1].value > 0.95
    found = report.unseen_model_bags[5].together
    assert found.models == 3
    assert found.chance == pytest.approx(1 / 3, abs=0.02)
    assert found.same_model.value > 0.95


def test_without_signal_unseen_models_are_at_chance(pair, other):
    train, eval = qa_rows(range(5), MODELS), qa_rows(range(5, 85), ["x", "y", "z"])
    report = evaluate(*pair(train, eval), against={"other": other(train, eval)}, **ALL_BAGS)
    found = report.unseen_model_bags[20].together
    assert found.same_model.low < found.chance < found.same_model.high
    assert found.against["other"].ratio.low < 1 < found.against["other"].ratio.high


def test_no_question_is_on_both_sides_of_unseen_models(pair):
    train, eval = pair(qa_rows(range(5), MODELS), qa_rows(range(40), ["x", "y"]))
    (group,) = protocol.unseen_models(train, eval, None, seed=0).groups
    questions = eval.column("question_id")
    assert not set(questions[group.train]) & set(questions[group.eval])
    assert len(group.train) == len(group.eval) == 40


def test_seen_rows_come_from_train_alone(pair):
    report = evaluate(*pair(qa_rows(range(40), MODELS), qa_rows(range(40, 50), MODELS), signal=3), **FAST)
    (group,) = report.other_settings["seen"].groups
    assert group.train_rows + group.eval_rows == 160
    assert group.eval_rows == 40


def test_the_papers_split_is_by_row_within_each_source(pair):
    store, _ = pair(qa_rows(range(50), MODELS), qa_rows(range(2), MODELS), signal=3)
    report = evaluate(store, protocol="paper", **FAST)
    assert report.counts == Counts(train_rows=160, eval_rows=40)
    facts = report.overall["model"].scores
    assert facts.probe.weighted_recall == facts.probe.accuracy[1].value
    assert 0.9 < facts.knn[5].weighted_precision <= 1
    (group,) = protocol.paper_rows(store, None, seed=0).groups
    assert set(store.column("question_id")[group.eval]) <= set(store.column("question_id")[group.train])


def test_the_papers_probe_learns_in_its_twenty_epochs():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 16))
    labels = np.repeat(np.arange(4), 1000)
    rows = (centres[labels] + 0.3 * rng.standard_normal((4000, 16))).astype(np.float32)
    scores = paper_probe(rows, rows[::7]).scores(labels, 4, np.arange(len(rows[::7])), seed=0)
    assert (scores.argmax(axis=1) == labels[::7]).mean() > 0.95
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, rtol=1e-5)


def test_a_papers_corpus_has_the_papers_numbers(pair):
    store, _ = pair(qa_rows(range(168), ["a"], corpus="PVQ-RR"), qa_rows(range(2), MODELS))
    (group,) = protocol.paper_rows(store, "source_corpus", seed=0).groups
    assert (len(group.train), len(group.eval)) == (128, 40)


@pytest.mark.parametrize("stores", [1, 2])
def test_each_protocol_wants_its_number_of_stores(pair, stores):
    given = pair(qa_rows(range(9), MODELS), qa_rows(range(9, 12), MODELS))[:stores]
    with pytest.raises(UsageError, match="one store"):
        evaluate(*given, protocol="paper" if stores == 2 else "questions", **FAST)


def test_a_gain_that_is_the_same_without_values_fails_the_control(pair, other):
    train = qa_rows(range(40), MODELS, "values") + qa_rows(range(40), MODELS, "facts")
    eval = qa_rows(range(40, 70), MODELS, "values") + qa_rows(range(40, 70), MODELS, "facts")
    stores = pair(train, eval, signal=2)
    options = {**FAST, "within": "source_corpus", "non_value": ("facts",)}
    found = evaluate(*stores, against={"other": other(train, eval)}, **options).non_value["model"]["other"]
    assert found["knn"].ratio.low < 1 < found["knn"].ratio.high
    assert not found["knn"].holds


def test_a_gain_on_values_alone_passes_the_control(pair, tmp_path):
    from tests.evaluate.conftest import vectors
    from tests.search.stores import write_store

    def stores(name: str, signals: dict[str, float]):
        made = []
        for side, questions in (("train", range(40)), ("eval", range(40, 70))):
            parts = [qa_rows(questions, MODELS, corpus) for corpus in signals]
            matrices = [  # noise of its own for each part: rows that share it are neighbours
                vectors(rows, signals[rows[0]["source_corpus"]], seed=2 * len(made) + number)
                for number, rows in enumerate(parts)
            ]
            rows = [row for part in parts for row in part]
            made.append(write_store(tmp_path / f"{name}-{side}", rows, np.concatenate(matrices), id=name))
        return tuple(made)

    options = {**FAST, "within": "source_corpus", "non_value": ("facts",)}
    encoders = stores("new", {"values": 2, "facts": 0.1}), stores("base", {"values": 0.1, "facts": 0.1})
    found = evaluate(*encoders[0], against={"base": encoders[1]}, **options).non_value["model"]["base"]
    assert found["knn"].holds
    assert found["probe"].holds
    assert found["knn"].value.low > 0.2  # of 0.5 at most: the scale is of two sources


@pytest.mark.parametrize("names", [("x",), ("c1",)])
def test_non_value_corpora_must_be_some_of_the_groups(pair, names):
    stores = pair(qa_rows(range(9), MODELS), qa_rows(range(9, 12), MODELS))
    with pytest.raises(UsageError, match="must be some of c1"):
        evaluate(*stores, within="source_corpus", non_value=names, **FAST)


def test_length_alone_is_seen_by_its_baseline(pair):
    def rows(questions: range):
        return [
            {**row, "answer": "word " * (1 + 10 * MODELS.index(row["model"]))}
            for row in qa_rows(questions, MODELS)
        ]

    facts = evaluate(*pair(rows(range(30)), rows(range(30, 40))), **FAST).overall["model"].scores
    assert facts.length.accuracy[1].value == 1.0
    assert facts.declined.accuracy[1].value == 0.25
    assert facts.knn[5].accuracy[1].value < 0.5


def test_refusals_alone_are_seen_by_their_baseline(pair):
    def rows(questions: range):
        refusal = "I'm sorry, but I can't help with that."
        return [
            {**row, "answer": refusal} if row["model"] == "a" else row
            for row in qa_rows(questions, ["a", "b"])
        ]

    facts = evaluate(*pair(rows(range(30)), rows(range(30, 40))), **FAST).overall["model"].scores
    assert facts.declined.accuracy[1].value == 1.0


def test_labels_shuffled_within_questions_leave_nothing(pair):
    report = evaluate(*pair(qa_rows(range(60), MODELS), qa_rows(range(60, 90), MODELS), signal=3), **FAST)
    facts = report.overall["model"].scores
    assert facts.probe.accuracy[1].value > 0.95
    assert facts.within_question_knn.mean == pytest.approx(0.25, abs=0.07)
    assert facts.within_question_probe.mean == pytest.approx(0.25, abs=0.17)


def test_shuffling_keeps_the_labels_of_each_stratum():
    labels, strata = np.arange(12), np.array([2, 0, 1] * 4)
    shuffled = shuffled_within(labels, strata, np.random.default_rng(0))
    assert (shuffled != labels).any()
    for stratum in range(3):
        assert set(shuffled[strata == stratum]) == set(labels[strata == stratum])


def test_intervals_of_bags_cover_the_truth():
    """Scores of a bag's answers share their question's luck; the truth is the mean of many corpora."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng([8, seed])
        question = np.repeat(np.arange(30), 4)
        truth = np.tile([0, 1], 60)
        luck = 0.8 * rng.standard_normal((30, 2))[question]
        scores = luck + rng.standard_normal((120, 2)) + 0.5 * np.eye(2)[truth]
        found.append(bag_accuracy({Key(None, "knn"): scores}, truth, question, (5,), seed=seed)[5].knn)
    middle = np.mean([it.value for it in found])
    covered = sum(it.low <= middle <= it.high for it in found)
    assert covered >= 53  # 95 % of 60 are 57; 53 is 2.4 standard errors below
    assert np.mean([it.high - it.low for it in found]) < 0.4
