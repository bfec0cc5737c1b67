"""A clean copy has the rows in which nothing was found; the report names the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.answers.conftest import GOOD, lines
from univar.answers.check import check_rows
from univar.answers.clean import CleanCopy
from univar.errors import DataError, UsageError

FINE = GOOD | {"answer": "because it is so"}


def jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_with_findings_are_left_out_and_reported(tmp_path: Path) -> None:
    refusal = FINE | {"answer": "I'm sorry, but I can't help with that."}
    path = lines(tmp_path / "a.jsonl", FINE, refusal, FINE, b"{", FINE | {"model": "n", "topic": 3})
    with CleanCopy(tmp_path / "clean.jsonl") as copy:
        check_rows(path, copy=copy)
    assert [(row["model"], row.get("topic")) for row in jsonl(tmp_path / "clean.jsonl")] == [
        ("m", ""),
        ("n", "3"),
    ]
    report = {row["row"]: row["reasons"] for row in jsonl(tmp_path / "clean.jsonl.dropped.jsonl")}
    assert report.pop(4)[0].startswith("not JSON")
    assert report == {2: ["declined"], 3: ["duplicates"]}
    assert (copy.kept, copy.dropped) == (2, {"declined": 1, "duplicates": 1, "rejected": 1})


def test_only_the_kinds_asked_for_are_left_out(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", FINE, FINE, FINE | {"answer": "no"})
    with CleanCopy(tmp_path / "clean.jsonl", ["short_answers"]) as copy:
        check_rows(path, copy=copy)
    assert (copy.kept, copy.dropped) == (2, {"short_answers": 1})


def test_nothing_is_left_behind_when_reading_fails(tmp_path: Path) -> None:
    with pytest.raises(DataError), CleanCopy(tmp_path / "clean.jsonl") as copy:
        check_rows(lines(tmp_path / "a.jsonl", b"{"), copy=copy)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_wrong_kinds_endings_and_existing_files_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "there.jsonl").touch()
    for name, kinds in (("c.jsonl", ["boring"]), ("c.csv", []), ("there.jsonl", [])):
        with pytest.raises(UsageError):
            CleanCopy(tmp_path / name, kinds)
