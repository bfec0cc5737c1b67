"""A clean copy has the rows in which nothing was found; the report names the others."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.answers.conftest import GOOD, lines
from univar.answers.check import check_rows
from univar.answers.clean import CleanCopy, FlagFile
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


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_each_row_is_told_with_what_was_found_in_it(tmp_path: Path, ending: str) -> None:
    good = {
        "id": "a",
        "model": "m",
        "language": "eng",
        "question": "Why?",
        "answer": "Because we all share it.",
    }
    short, bad = {**good, "id": "b", "answer": "no"}, {**good, "answer": ""}
    name = tmp_path / os.fsdecode(b"answers-\xff, one.jsonl")
    rows = [good, short, bad, short, {**good, "id": 'c"d', "model": "n"}]
    name.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / f"found.{ending}"
    with FlagFile(path) as flags, CleanCopy(tmp_path / "clean.jsonl") as copy:
        report = check_rows(name, flags=flags, copy=copy)
    assert (report.rows, copy.kept) == (4, 2)
    text = path.read_text(encoding="utf-8")
    if ending == "csv":
        found = list(csv.DictReader(text.splitlines()))
        told = [(int(row["row"]), row["id"], row["findings"].split(";")) for row in found]
        told = [(row, own, [kind for kind in kinds if kind]) for row, own, kinds in told]
    else:
        found = [json.loads(line) for line in text.splitlines()]
        told = [(row["row"], row["id"], row["findings"]) for row in found]
    assert sorted(told) == [
        (1, "a", []),
        (2, "b", ["short_answers"]),
        (3, "", ["rejected"]),
        (4, "b", ["duplicates", "short_answers"]),
        (5, 'c"d', ["shared_answers"]),
    ]
    assert all(row["file"].endswith("answers-\\udcff, one.jsonl") for row in found)
    with pytest.raises(UsageError, match="already exists"):
        FlagFile(path)
    with pytest.raises(UsageError, match=r"neither \.jsonl nor \.csv"):
        FlagFile(tmp_path / "found.txt")
