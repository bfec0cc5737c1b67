"""`univar evaluate`: table, JSON, file, exit codes."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.evaluate.conftest import qa_rows

FAST = ("-k", "5,20", "--bags", "5", "--no-baseline", "--bootstrap", "50", "--permutations", "5")


@pytest.fixture
def stores(pair):
    train = qa_rows(range(20), ["a", "b"], "c1") + qa_rows(range(20), ["a", "x\x1b[2J"], "c2")
    eval = qa_rows(range(18, 30), ["a", "b", "new"], "c1") + qa_rows(range(20, 30), ["a", "x\x1b[2J"], "c2")
    return [store.path for store in pair(train, eval, signal=9)]


def test_the_table_names_groups_and_what_was_left_out(univar, stores):  # noqa: F811
    done = univar("evaluate", *stores, *FAST, "--within", "source-corpus")
    assert done.exit_code == 0
    assert "[1.000, 1.000]" not in done.stdout  # nothing varies: no interval
    assert [line.split()[0] for line in done.stdout.splitlines() if " model " in line][:3] == [
        "c1",
        "c2",
        "together",
    ]
    assert "6 of 56 rows dropped" in done.stdout
    assert "c1, model: 10 rows left out" in done.stdout
    assert "c1, language: not evaluated, only one label" in done.stdout
    assert "\x1b" not in done.stdout


def test_json_and_the_file_hold_the_same_report(univar, stores, tmp_path):  # noqa: F811
    out = tmp_path / "report.json"
    done = univar("evaluate", *stores, *FAST, "--target", "model", "-k", "5,20", "--json", "--out", out)
    report = json.loads(done.stdout)
    assert report == json.loads(out.read_text())
    assert report["settings"]["k"] == [5, 20]
    assert list(report["overall"]) == ["model"]


def test_a_file_is_not_overwritten_without_force(univar, stores, tmp_path):  # noqa: F811
    out = tmp_path / "report.json"
    out.write_text("mine")
    assert univar("evaluate", *stores, *FAST, "--out", out).exit_code == 2
    assert out.read_text() == "mine"
    assert univar("evaluate", *stores, *FAST, "--out", out, "--force").exit_code == 0
    assert json.loads(out.read_text())["format"] == "univar-evaluation/3"


@pytest.mark.parametrize(("limit", "exit_code"), [("model=0.9", 0), ("model=1.01", 10), ("language=0.1", 10)])
def test_fail_under_decides_the_exit_code(univar, stores, limit, exit_code):  # noqa: F811
    done = univar("evaluate", *stores, *FAST, "--fail-under", limit)
    assert done.exit_code == exit_code
    assert ("below" in done.stderr) == bool(exit_code)


@pytest.mark.parametrize(
    "wrong",
    [("-k", "five"), ("--fail-under", "model"), ("--fail-under", "colour=0.5"), ("--within", "colour")],
)
def test_wrong_usage_exits_2(univar, stores, wrong):  # noqa: F811
    done = univar("evaluate", *stores, *FAST, *wrong)
    assert done.exit_code == 2
    assert done.stdout == ""


def test_a_report_is_compared_with_an_older_one(univar, stores, pair, tmp_path):  # noqa: F811
    from univar.store import Store

    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    rows = [Store(path).iter_tables() for path in stores]
    weak = [store.path for store in pair(*([row for t in side for row in t.to_pylist()] for side in rows))]
    assert univar("evaluate", *stores, *FAST, "--out", good).exit_code == 0
    assert univar("evaluate", *weak, *FAST, "--out", bad).exit_code == 0
    same = univar("evaluate", *stores, *FAST, "--compare", good)
    assert (same.exit_code, "+0.000" in same.stdout) == (0, True)
    assert univar("evaluate", *stores, *FAST, "--compare", bad).exit_code == 0
    fallen = univar("evaluate", *weak, *FAST, "--compare", good)
    assert fallen.exit_code == 10
    assert "model: knn accuracy fell from 1.0000" in fallen.stderr


def test_another_encoder_stands_in_the_table(univar, stores, other):  # noqa: F811
    from univar.store import Store

    rows = [[row for t in Store(path).iter_tables() for row in t.to_pylist()] for path in stores]
    beside = ",".join(str(store.path) for store in other(*rows, signal=0.0))
    done = univar(
        "evaluate", *stores, *FAST, "--against", beside, "--within", "source-corpus", "--non-value", "c2"
    )
    assert done.exit_code == 0
    assert "tiny against other" in done.stdout
    assert "control: gain on corpora that are not about values (c2)" in done.stdout


def test_the_papers_protocol_takes_one_store(univar, stores):  # noqa: F811
    assert univar("evaluate", stores[0], *FAST, "--protocol", "paper").exit_code == 0
    assert univar("evaluate", *stores, *FAST, "--protocol", "paper").exit_code == 2
    assert univar("evaluate", stores[0], *FAST).exit_code == 2
