"""The report as JSON and as tables: pinned, readable one schema back, and narrow enough for any terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.evaluate.conftest import qa_rows, vectors
from tests.search.stores import write_store
from univar.evaluate import Report, compare, evaluate
from univar.evaluate.compare import read_report
from univar.evaluate.text import tables
from univar.store import Store
from univar.tables import Table

GOLDEN = Path(__file__).with_name("report.json")
MODELS = ["a", "b", "c"]


def stores(folder: Path, name: str, signal: float) -> tuple[Store, Store]:
    """Two corpora; eval has a model that train lacks, and questions of train."""
    made = []
    for side, start, end, models in (("train", 0, 12, MODELS), ("eval", 11, 20, [*MODELS, "new", "newer"])):
        rows = qa_rows(range(start, end), models, "values") + qa_rows(range(start, end), models, "facts")
        for row in rows[::8]:
            row["answer"] = "I'm sorry, but I can't help with that."
        made.append(
            write_store(folder / f"{name}-{side}", rows, vectors(rows, signal, seed=len(side)), id=name)
        )
    return made[0], made[1]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return evaluate(
        *stores(tmp_path, "tiny", 4.0),
        against={"other": stores(tmp_path, "other", 1.0)},
        within="source_corpus",
        non_value=("facts",),
        targets=("model",),
        k=(5,),
        bags=(1, 3),
        bootstrap=20,
        permutations=3,
    )


def plain(value: Any, folder: Path) -> Any:
    """JSON that is the same on every machine: three digits, no folders, no fingerprints."""
    if isinstance(value, dict):
        return {key: plain(part, folder) for key, part in value.items() if key != "fingerprint"}
    if isinstance(value, list):
        return [plain(part, folder) for part in value]
    if isinstance(value, str):
        return value.replace(str(folder), "FOLDER")
    return round(value, 3) if isinstance(value, float) else value


def test_the_json_is_the_golden_one(report: Report, tmp_path: Path) -> None:
    """A change of the report's keys or figures is seen here; write the file anew if it is meant."""
    found = plain(report.to_json(), tmp_path)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8")), f"the report is now\n{text}"


def test_renamed_keys_stand_beside_the_old_ones(report: Report) -> None:
    facts = report.to_json()
    assert facts["counts"]["overlap_rows"] == facts["counts"]["leaked_rows"] == 10
    assert facts["counts"]["overlap_questions"] == facts["counts"]["leaked_questions"] == 2
    scores = facts["overall"]["model"]
    assert scores["declined"] == scores["refusal"]
    assert facts["schema"] == 3


def test_a_report_of_the_schema_before_is_compared(report: Report, tmp_path: Path) -> None:
    facts = report.to_json()
    old = {name: facts[name] for name in ("settings", "overall", "groups", "counts")}
    old["format"] = "univar-evaluation/2"
    (tmp_path / "old.json").write_text(json.dumps(old))
    (change, *_) = compare(report, read_report(tmp_path / "old.json"))["model"].values()
    assert change.new == change.old
    assert change.difference.p == 1.0


def test_every_table_has_its_columns(report: Report) -> None:
    for block in tables(report):
        if isinstance(block, Table):
            assert all(len(row) == len(block.headers) for row in block.rows), block.title
            assert len(block.csv().splitlines()) == len(block.rows) + 1
            assert block.markdown().count("|") == (len(block.rows) + 2) * (len(block.headers) + 1)
            assert block.latex().count("&") == (len(block.rows) + 1) * (len(block.headers) - 1)


@pytest.mark.parametrize("width", [*(pytest.param(it, marks=pytest.mark.slow) for it in (60, 200)), 80])
def test_tables_keep_to_the_width_of_the_terminal(univar, monkeypatch, tmp_path, width):  # noqa: F811
    paths = [store.path for store in stores(tmp_path, "tiny", 4.0)]
    monkeypatch.setenv("COLUMNS", str(width))
    done = univar("evaluate", *paths, "-q", "--within", "source-corpus", "--bootstrap", "20", "-k", "5")
    assert done.exit_code == 0
    tabular = [line for line in done.stdout.splitlines() if "[" in line]
    assert max(map(len, tabular)) <= width
    whole = re.compile(r"\[95 %\]|\d\.\d{3} \[[-+]?\d\.\d{3}, [-+]?\d\.\d{3}\]")
    assert all(line.count("[") == len(whole.findall(line)) for line in tabular)


def test_tables_are_printed_for_other_programs(univar, tmp_path):  # noqa: F811
    paths = [store.path for store in stores(tmp_path, "tiny", 4.0)]
    fast = ("-q", "--bootstrap", "20", "--no-baseline", "--bags", "", "--target", "model")
    assert "group,target,labels" in univar("evaluate", *paths, *fast, "--as", "csv").stdout
    assert "| group | target |" in univar("evaluate", *paths, *fast, "--as", "markdown").stdout
    assert r"\begin{tabular}{llrr" in univar("evaluate", *paths, *fast, "--as", "latex").stdout


def test_a_lower_accuracy_on_seen_questions_is_explained(tmp_path: Path) -> None:
    """Answers lie near the other answers to their question, where it is in train."""
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((60, 24))
    made = []
    for side, questions in (("train", range(40)), ("eval", range(40, 60))):
        rows = qa_rows(questions, MODELS)
        topic = np.array([topics[int(row["question_id"].split(":")[1])] for row in rows])
        made.append(write_store(tmp_path / side, rows, vectors(rows, 1.0) * 0.5 + 3 * topic))
    found = evaluate(
        *made, k=(5,), bags=(), bootstrap=20, permutations=0, baselines=False, targets=("model",)
    )
    (split,) = (
        block for block in tables(found) if isinstance(block, Table) and block.title.startswith("seen")
    )
    assert "Questions seen can score below questions new" in split.notes[0]


def test_a_papers_probe_that_is_hardly_trained_is_explained(tmp_path: Path) -> None:
    train, _ = stores(tmp_path, "tiny", 4.0)
    found = evaluate(train, protocol="paper", k=(5,), bags=(), bootstrap=20, permutations=0)
    (main, *_) = (block for block in tables(found) if isinstance(block, Table))
    assert any("The paper's probe gets 20 updates" in note for note in main.notes)
