"""`univar evaluate --heads`: planted sources are named, calibrated, covered, and strange when unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.search.planted import planted, planted_rows, planted_vectors
from tests.search.stores import write_store
from univar.errors import DataError, UsageError
from univar.evaluate import evaluate
from univar.evaluate.head_scores import HeadScores
from univar.evaluate.report import Report
from univar.store import Store

QUICK = {"permutations": 1, "baselines": False}


def weak(path: Path, questions: range, signal: float, seed: int) -> Store:
    """Sources that differ by a weak direction and by no word."""
    rows = planted_rows(questions, seed=seed)
    for row in rows:
        row["answer"] = f"an answer to {row['question']}"
    return write_store(path, rows, planted_vectors(rows, signal=signal, seed=seed))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    folder = tmp_path_factory.mktemp("heads")
    return weak(folder / "train", range(1000, 1130), 0.25, 0), weak(folder / "eval", range(100, 148), 0.25, 1)


@pytest.fixture(scope="module")
def report(pair: tuple[Store, Store]) -> Report:
    return evaluate(*pair, heads=True, **QUICK)


def head(report: Report, name: str) -> HeadScores:
    return next(it for it in report.heads if it.head == name)


def test_single_answers_are_scored_with_both_heads(report: Report) -> None:
    for name in ("uncentred", "centred"):
        found = head(report, name)
        assert found.rows == 4 * 48
        assert found.accuracy.low > 0.25  # chance
        assert found.nll.high < np.log(4)  # of knowing nothing
        assert 0 <= found.ece < 0.2
        assert found.brier < 0.75
    assert head(report, "centred").nll.value < head(report, "uncentred").nll.value


def test_sets_hold_the_source_as_often_as_they_say(report: Report) -> None:
    for level, found in head(report, "centred").coverage.items():
        assert found == pytest.approx(level, abs=0.06)


def test_more_answers_name_the_source_more_often(report: Report) -> None:
    bags = head(report, "centred").bags
    assert [bag.size for bag in bags] == [1, 5, 20]  # no source answered 50 propositions
    assert bags[0].summed < bags[1].summed <= bags[2].summed
    assert bags[2].summed > 0.95
    assert bags[2].nll < bags[0].nll


def test_bags_of_sources_left_out_look_strange_and_known_ones_do_not(report: Report) -> None:
    found = head(report, "centred")
    assert [one.size for one in found.unknown] == [5, 10, 20]
    assert found.unknown[-1].auroc.value > 0.85
    assert found.false_alarms < 0.15


def test_sources_without_a_difference_are_not_told_apart(tmp_path: Path) -> None:
    pair = weak(tmp_path / "train", range(40), 0.0, 2), weak(tmp_path / "eval", range(100, 140), 0.0, 3)
    found = head(evaluate(*pair, heads=True, **QUICK), "uncentred")
    assert found.accuracy.low < 0.25 < found.accuracy.high + 0.05
    assert found.nll.value == pytest.approx(np.log(4), abs=0.08)
    assert all(one.auroc.value < 0.7 for one in found.unknown)


def test_the_report_prints_and_writes_them(pair: tuple[Store, Store], univar: Run, report: Report) -> None:
    paths = [store.path for store in pair]
    done = univar("evaluate", *paths, "--heads", "--no-baseline", "--permutations", "1", "-q", "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)["heads"]
    assert [it["head"] for it in facts] == ["uncentred", "centred"]
    assert facts[1]["coverage"].keys() == {"0.8", "0.9", "0.95"}
    assert facts[1]["bags"][0]["summed"] == pytest.approx(head(report, "centred").bags[0].summed)
    assert "heads" not in json.loads(univar("evaluate", *paths, "--no-baseline", "-q", "--json").stdout)
    text = univar("evaluate", *paths, "--heads", "--no-baseline", "--permutations", "1", "-q").stdout
    assert "source heads: one answer to a question that the heads did not see" in text
    assert "AUROC" in text


def test_heads_need_two_stores_and_two_sources(pair: tuple[Store, Store], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give two stores"):
        evaluate(pair[0], folds=5, heads=True, **QUICK)
    one = planted(tmp_path / "one", range(20), models=1)
    with pytest.raises(DataError, match="too few sources"):
        evaluate(one, pair[1], heads=True, **QUICK)
