"""Answers split by question: every row on one side, no question on both, the same sides every time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.conftest import answer_rows, write_jsonl
from univar.answers import read_rows
from univar.answers.split import split_rows
from univar.errors import DataError, UsageError


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def split(folder: Path, rows: list[dict[str, str]], **options) -> dict[str, list[dict[str, str]]]:
    path = write_jsonl(folder / "answers.jsonl", rows)
    split_rows(read_rows([path], on_rejected=pytest.fail), folder / "split", force=True, **options)
    return {side: lines(folder / "split" / f"{side}.jsonl") for side in ("train", "eval")}


def test_no_question_is_on_both_sides_and_no_row_is_lost(tmp_path):
    found = split(tmp_path, answer_rows(120), share=0.4)
    questions = {side: {row["question_id"] for row in rows} for side, rows in found.items()}
    assert not questions["train"] & questions["eval"]
    assert sum(map(len, found.values())) == 120


def test_a_question_stays_on_its_side_when_answers_are_added(tmp_path):
    few, many = (split(tmp_path, answer_rows(n), share=0.5) for n in (60, 120))
    assert {row["id"] for row in few["eval"]} <= {row["id"] for row in many["eval"]}


def test_another_column_is_kept_on_one_side(tmp_path):
    found = split(tmp_path, answer_rows(120), by="model", share=0.5, seed=3)
    models = [{row["model"] for row in rows} for rows in found.values()]
    assert not models[0] & models[1]


@pytest.mark.parametrize("share", [0.0, 1.0, -2.0])
def test_a_share_out_of_range_is_a_usage_error(tmp_path, share):
    with pytest.raises(UsageError, match="between 0 and 1"):
        split(tmp_path, answer_rows(4), share=share)


def test_an_empty_side_is_a_data_error_and_leaves_no_file(tmp_path):
    with pytest.raises(DataError, match="fell on one side"):
        split(tmp_path, answer_rows(4), share=1e-9)
    assert not list((tmp_path / "split").glob("*.jsonl"))


def test_the_command_writes_both_files(univar, tmp_path):  # noqa: F811
    path = write_jsonl(tmp_path / "a.jsonl", [*answer_rows(60), {"model": "", "answer": "x"}])
    done = univar("split", path, "-o", tmp_path / "s", "--share", "0.5", "--json")
    assert done.exit_code == 4
    facts = json.loads(done.stdout)
    assert sum(facts["rows"].values()) == 60
    assert facts["rejected"] == 1
    assert univar("split", path, "-o", tmp_path / "s").exit_code == 2
