"""Two encoders on the same rows: matched by row, compared question by question, against the past."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.evaluate.conftest import qa_rows
from univar.errors import DataError, UsageError
from univar.evaluate import compare, evaluate
from univar.evaluate.compare import read_report
from univar.evaluate.metrics import Difference, sign_flip_p

MODELS = ["a", "b", "c", "d"]
TRAIN, EVAL = qa_rows(range(30), MODELS), qa_rows(range(30, 50), MODELS)
FAST = {"k": (5,), "bootstrap": 200, "permutations": 0, "targets": ("model",), "bags": ()}


@pytest.fixture
def better(pair, other):
    """A report of an encoder that knows the models, beside one that knows less."""
    return evaluate(*pair(TRAIN, EVAL, signal=3), against={"other": other(TRAIN, EVAL, signal=0.3)}, **FAST)


def test_the_other_encoder_is_measured_on_the_same_rows(better, other):
    alone = evaluate(*other(TRAIN, EVAL, signal=0.3), **FAST)
    beside = better.overall["model"].scores.against["other"]
    assert beside.knn[5] == alone.overall["model"].scores.knn[5]
    assert beside.probe.accuracy[1].value == alone.overall["model"].scores.probe.accuracy[1].value
    assert better.against["other"]["id"] == "other"


@pytest.mark.parametrize("classifier", ["knn", "probe"])
def test_a_better_encoder_is_better_with_a_small_p(better, classifier):
    found = better.overall["model"].scores.against["other"].comparison.difference[classifier]
    assert found.p < 0.01
    assert 0 < found.low < found.value < found.high


@pytest.mark.parametrize("classifier", ["knn", "probe"])
def test_it_is_said_how_many_times_as_often_it_is_right(better, classifier):
    ours = better.overall["model"].scores
    theirs = ours.against["other"]
    ratio = theirs.comparison.times[classifier]
    found = [place.knn[5] if classifier == "knn" else place.probe for place in (ours, theirs)]
    values = [scores.accuracy[1].value for scores in found]
    assert ratio.value == pytest.approx(values[0] / values[1])
    assert 1 < ratio.low < ratio.value < ratio.high


def test_an_encoder_is_no_better_than_itself(pair, other):
    report = evaluate(*other(TRAIN, EVAL, 0.5), against={"copy": other(TRAIN, EVAL, 0.5)}, **FAST)
    found = report.overall["model"].scores.against["copy"].comparison.difference["knn"]
    assert found == Difference(0.0, None, None, 1.0)


def test_rows_that_the_other_encoder_lacks_are_a_data_error(pair, other):
    stores = pair(TRAIN, EVAL)
    with pytest.raises(DataError, match="4 of 80 rows"):
        evaluate(*stores, against={"other": other(TRAIN, EVAL[4:])}, **FAST)


def test_two_encoders_of_one_name_are_a_usage_error(pair, other):
    stores = pair(TRAIN, EVAL)
    with pytest.raises(UsageError, match="name the other differently"):
        evaluate(*stores, against={"tiny": other(TRAIN, EVAL)}, **FAST)


def test_the_sign_flip_test_is_the_sign_test_for_differences_of_one_size():
    for ups, downs in ((9, 1), (14, 6), (30, 10), (5, 5)):
        differences = np.array([1.0] * ups + [-1.0] * downs + [0.0] * 7)
        expected = binomtest(ups, ups + downs).pvalue
        assert sign_flip_p(differences, seed=0) == pytest.approx(expected, abs=0.02)


def test_without_a_difference_the_p_value_is_uniform():
    rng = np.random.default_rng(0)
    small = sum(sign_flip_p(rng.standard_normal(40), seed=seed) < 0.1 for seed in range(200))
    assert 8 <= small <= 36


def test_the_same_report_is_not_worse(better):
    found = compare(better, better)["model"]
    assert found["knn"].difference == Difference(0.0, None, None, 1.0)
    assert not found["knn"].worse
    assert found["probe"].old == found["probe"].new


def test_a_fall_is_worse_and_a_rise_is_not(pair, better):
    weak = evaluate(*pair(TRAIN, EVAL, signal=0.3), **FAST)
    assert compare(weak, better)["model"]["knn"].worse
    assert not compare(better, weak)["model"]["knn"].worse


def test_reports_are_compared_on_their_common_questions(pair, better):
    part = evaluate(*pair(TRAIN, EVAL[: 12 * 4], signal=3), **FAST)
    assert compare(part, better)["model"]["knn"].questions == 12
    elsewhere = evaluate(*pair(TRAIN, qa_rows(range(90, 99), MODELS), signal=3), **FAST)
    with pytest.raises(DataError, match="no question in common"):
        compare(elsewhere, better)


def test_reports_made_in_different_ways_are_not_compared(better):
    other_way = replace(better, settings=replace(better.settings, within="language"))
    with pytest.raises(DataError, match=r"differ in within: None now, 'language' then"):
        compare(better, other_way)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({"format": "univar-evaluation/1"}),
        json.dumps({"format": "univar-evaluation/3", "settings": {}, "overall": {"model": {}}}),
    ],
)
def test_a_file_that_is_no_report_is_a_data_error(tmp_path, content):
    (tmp_path / "old.json").write_text(content)
    with pytest.raises(DataError, match=r"old\.json"):
        read_report(tmp_path / "old.json")


def test_p_values_are_corrected_for_all_that_is_compared(pair, better):
    found = [change for changes in compare(better, better).values() for change in changes.values()]
    assert all(change.p_holm == 1.0 for change in found)
    weak = evaluate(*pair(TRAIN, EVAL, signal=0.3), **FAST)
    changes = compare(weak, better)["model"]
    smallest = min(change.difference.p for change in changes.values())
    assert min(change.p_holm for change in changes.values()) == pytest.approx(len(changes) * smallest)


def test_a_fall_that_is_less_than_the_least_is_not_worse(pair, better):
    weak = evaluate(*pair(TRAIN, EVAL, signal=0.3), **FAST)
    assert not compare(weak, better, least=0.9)["model"]["knn"].worse


def test_intervals_are_over_clusters_of_questions(pair):
    """Ten propositions in five wordings each are ten observations."""
    train, eval = qa_rows(range(30), MODELS), qa_rows(range(30, 80), MODELS)
    for row in eval:
        row["question_id"] = f"p:{int(row['question_id'].split(':')[1]) // 5}:{row['question_id']}"
    stores = pair(train, eval, signal=0.5)
    fine, coarse = (evaluate(*stores, **FAST, cluster=cluster) for cluster in (None, "question_id:2"))
    rows = [report.overall["model"].by_question for report in (fine, coarse)]
    assert rows[0].clusters is None
    assert len(set(rows[1].clusters)) == 10
    assert coarse.overall["model"].scores.knn[5].at_1 != fine.overall["model"].scores.knn[5].at_1
    with pytest.raises(UsageError, match="question_id:2"):
        evaluate(*stores, **FAST, cluster="question_id:x")
