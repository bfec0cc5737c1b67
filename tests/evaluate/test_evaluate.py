"""Evaluation on data of known difficulty: perfect, hopeless, leaking, unseen, in groups."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.evaluate.conftest import qa_rows
from tests.search.stores import write_store
from univar.errors import DataError, UsageError
from univar.evaluate import evaluate
from univar.evaluate.metrics import Estimate
from univar.evaluate.report import Target

FAST: dict[str, Any] = {"k": (5, 20), "bags": (), "bootstrap": 200, "permutations": 20, "baselines": False}
MODELS = ["a", "b", "c", "d"]


def accuracy(report, target="model", k=20, at=1):
    return report.overall[target].scores.knn[k].accuracy[at]


def test_separate_models_are_all_told_apart(pair):
    report = evaluate(*pair(qa_rows(range(30), MODELS), qa_rows(range(30, 40), MODELS), signal=9), **FAST)
    assert accuracy(report) == Estimate(1.0, None, None)
    facts = report.groups[0].targets["model"].scores
    assert facts.knn[20].macro_f1.value == pytest.approx(1)
    assert facts.knn[20].weighted_f1.value == pytest.approx(1)
    assert {line.accuracy.value for line in report.groups[0].targets["model"].per_label} == {1.0}


def test_without_signal_the_interval_holds_the_chance_level(pair):
    report = evaluate(*pair(qa_rows(range(60), MODELS), qa_rows(range(60, 120), MODELS)), **FAST)
    found = accuracy(report)
    assert found.low < report.overall["model"].scores.chance == 0.25 < found.high
    assert found.high - found.low > 0.05


def test_shuffled_labels_give_chance_however_good_the_neighbours(pair):
    report = evaluate(*pair(qa_rows(range(40), MODELS), qa_rows(range(40, 60), MODELS), signal=9), **FAST)
    level = report.overall["model"].scores.permutation
    assert level.mean == pytest.approx(0.25, abs=0.06)
    assert level.mean < level.p95 < 1


def test_accuracy_among_more_labels_is_higher(pair):
    report = evaluate(*pair(qa_rows(range(40), MODELS), qa_rows(range(40, 60), MODELS), signal=0.4), **FAST)
    values = [accuracy(report, at=at).value for at in (1, 3, 5)]
    assert values == sorted(values)
    assert values[2] == 1  # four labels


def test_questions_that_are_in_train_are_dropped_and_counted(pair):
    train = qa_rows(range(20), MODELS)
    same_id = qa_rows(range(18, 24), MODELS)
    same_text = [
        {**row, "id": f"x{row['id']}", "question_id": "new", "question": f"  {row['question'].upper()} "}
        for row in qa_rows(range(3, 4), MODELS)
    ]
    counts = evaluate(*pair(train, same_id + same_text), **FAST).counts
    assert counts.overlap_rows == 2 * 4 + 4
    assert counts.overlap_questions == 3
    assert counts.evaluated_rows == 4 * 4


def test_a_leak_does_not_lift_the_accuracy(pair):
    train = qa_rows(range(20), MODELS)
    fresh = qa_rows(range(20, 40), MODELS)
    both = evaluate(*pair(train, fresh + train), **FAST)
    assert both.overall["model"].rows == len(fresh)


def test_labels_without_train_rows_are_left_out_and_counted(pair):
    report = evaluate(
        *pair(qa_rows(range(20), MODELS), qa_rows(range(20, 30), [*MODELS, "new"]), signal=9), **FAST
    )
    facts = report.groups[0].targets["model"]
    assert facts.unseen_label_rows == 10
    assert facts.rows == 40
    assert accuracy(report).value == 1.0
    assert report.groups[0].targets["language"] == Target(1, 50, 10, 0, "only one label")


def test_neighbours_never_come_from_another_group(pair, tmp_path):
    """Where model a lies in one corpus, b lies in the other: only groups tell them apart."""
    stores = []
    for name, questions in (("train", range(20)), ("eval", range(20, 30))):
        rows = qa_rows(questions, ["a", "b"], "c1") + qa_rows(questions, ["a", "b"], "c2")
        place = [(row["model"] == "a") ^ (row["source_corpus"] == "c1") for row in rows]
        stores.append(write_store(tmp_path / f"mixed-{name}", rows, np.eye(2)[np.array(place, dtype=int)]))
    within = evaluate(*stores, within="source_corpus", **FAST)
    assert accuracy(within).value == 1.0
    assert accuracy(evaluate(*stores, **FAST)).value == 0.5
    assert [group.group for group in within.groups] == ["c1", "c2"]
    assert [group.train_rows for group in within.groups] == [40, 40]
    assert within.overall["model"].groups == 2


def test_a_group_without_train_rows_is_counted_not_evaluated(pair):
    eval = qa_rows(range(20, 30), MODELS, "c1") + qa_rows(range(5), MODELS, "c9")
    report = evaluate(*pair(qa_rows(range(20), MODELS, "c1"), eval), within="source_corpus", **FAST)
    assert report.counts.rows_without_train_group == 20
    assert report.groups[1].targets["model"].skipped == "no train rows in this group"
    assert report.overall["model"].rows == 40


def test_the_same_seed_gives_the_same_report(pair):
    stores = pair(qa_rows(range(20), MODELS), qa_rows(range(20, 30), MODELS), signal=0.5)
    options = {**FAST, "baselines": True}
    first, second, other = (
        json.dumps(evaluate(*stores, **options, seed=seed).to_json()) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_the_report_survives_json(pair):
    report = evaluate(*pair(qa_rows(range(20), MODELS), qa_rows(range(20, 24), MODELS)), **FAST)
    facts = report.to_json()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["settings"]["headline_k"] == report.settings.headline_k == 20
    assert report.encoder["id"] == "tiny"


def test_the_baseline_reads_the_answers(pair):
    stores = pair(qa_rows(range(30), MODELS), qa_rows(range(30, 40), MODELS))
    report = evaluate(*stores, **{**FAST, "baselines": True})
    baseline = report.overall["model"].scores.tfidf
    assert baseline.scores.accuracy[1].value == 1.0
    assert baseline.comparison.difference["knn"].high < 0
    assert baseline.comparison.difference["knn"].p < 0.01
    assert accuracy(report).value < 0.6


def test_fewer_train_rows_than_neighbours(pair):
    report = evaluate(
        *pair(qa_rows(range(2), MODELS), qa_rows(range(2, 6), MODELS), signal=9), **{**FAST, "k": (50,)}
    )
    assert report.settings.headline_k == 50
    assert accuracy(report, k=50).value <= 1


def test_confusions_are_named(pair):
    train = qa_rows(range(20), ["a", "b"])
    report = evaluate(*pair(train, qa_rows(range(20, 30), ["a", "b"]), signal=9), **FAST)
    lines = report.groups[0].targets["model"].per_label
    assert [line.label for line in lines] == ["a", "b"]
    assert lines[0].taken_for is None
    mixed = pair(train, qa_rows(range(20, 30), ["a", "b"]), signal=0)
    lines = evaluate(*mixed, **FAST).groups[0].targets["model"].per_label
    assert {line.label: line.taken_for for line in lines} == {"a": "b", "b": "a"}


def test_nothing_left_is_a_data_error(pair):
    rows = qa_rows(range(5), MODELS)
    with pytest.raises(DataError, match="split the answers by question"):
        evaluate(*pair(rows, rows), **FAST)


def test_stores_of_two_encoders_are_refused(pair, tmp_path):
    train, _ = pair(qa_rows(range(5), MODELS), qa_rows(range(5), MODELS))
    rows = qa_rows(range(9, 12), MODELS)
    other = write_store(tmp_path / "other", rows, np.eye(24)[: len(rows)], revision="r2")
    with pytest.raises(DataError, match=r"revision.*'r1' and 'r2'"):
        evaluate(train, other, **FAST)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": ()},
        {"k": (0,)},
        {"targets": ()},
        {"bootstrap": 0},
        {"within": "colour"},
        {"targets": ("x",)},
        {"epochs": 3},
        {"bags": (0,)},
        {"non_value": ("c1",)},
    ],
)
def test_senseless_calls_are_usage_errors(pair, wrong):
    stores = pair(qa_rows(range(3), MODELS), qa_rows(range(3, 5), MODELS))
    with pytest.raises(UsageError):
        evaluate(*stores, **{**FAST, **wrong})
