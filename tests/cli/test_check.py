"""`univar check`: what it prints and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.conftest import answer_rows, write_jsonl


def test_clean_file_exits_0(univar: Run, answers: Path) -> None:
    finished = univar("check", answers)
    assert finished.exit_code == 0
    assert ["model-3", "spa", "10", "10"] in [line.split()[:4] for line in finished.stdout.splitlines()]
    assert finished.stderr == ""


def test_refused_rows_exit_4_and_are_named(univar: Run, tmp_path: Path) -> None:
    rows = answer_rows(5)
    path = write_jsonl(tmp_path / "a.jsonl", [*rows, rows[0] | {"answer": ""}])
    finished = univar("check", path)
    assert finished.exit_code == 4
    assert f"rejected {path}:6: answer is empty" in finished.stdout


def test_unusable_file_exits_3(univar: Run, tmp_path: Path) -> None:
    finished = univar("check", write_jsonl(tmp_path / "a.jsonl", []))
    assert finished.exit_code == 3
    assert finished.stdout == ""
    assert finished.stderr.startswith("univar: ")
    assert finished.stderr.count("\n") == 1


def test_json_is_one_object_with_all_findings(univar: Run, tmp_path: Path) -> None:
    rows = answer_rows(8)
    data = "".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]).encode()
    finished = univar("check", "-", "--json", stdin=data)
    assert finished.exit_code == 0
    facts = json.loads(finished.stdout)
    assert facts["rows"] == 9
    assert facts["duplicates"] == {"count": 1, "first": [{"file": "stdin", "row": 9}]}
    assert {source["model"] for source in facts["sources"]} == {f"model-{number}" for number in range(4)}


def test_map_reads_columns_of_other_names(univar: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("llm,language,question,reply\nm,eng,why?,because it is so\n")
    arguments = ("check", tmp_path / "a.csv", "--map", "answer=reply")
    assert "no column 'model'" in univar(*arguments).stderr
    assert univar(*arguments, "--map", "model=llm").exit_code == 0


def test_wrong_map_is_wrong_usage(univar: Run, answers: Path) -> None:
    for pairs in (["answer"], ["=reply"], ["answer=a", "answer=b"]):
        finished = univar("check", answers, *(word for pair in pairs for word in ("--map", pair)))
        assert finished.exit_code == 2
        assert "--map" in finished.stderr


def test_control_characters_of_strangers_are_not_printed(univar: Run, tmp_path: Path) -> None:
    rows = answer_rows(2)
    path = write_jsonl(
        tmp_path / "a.jsonl", [rows[0] | {"model": "m\u001b[31m"}, rows[1] | {"language": "\u001b]0;x"}]
    )
    finished = univar("check", path)
    assert "\u001b" not in finished.stdout
    assert "m\\u001b" in finished.stdout


def test_control_characters_are_escaped_in_json_too(univar: Run, tmp_path: Path) -> None:
    rows = [row | {"model": f"{row['model']}\u009b2J\u202e"} for row in answer_rows(4)]
    finished = univar("check", write_jsonl(tmp_path / "a.jsonl", rows), "--json")
    assert not {"\u009b", "\u202e"} & set(finished.stdout)
    assert json.loads(finished.stdout)["sources"][0]["model"].endswith("\u009b2J\u202e")


def test_shares_by_model_and_a_gate(tmp_path: Path, univar: Run) -> None:
    refusal = "I'm sorry, but I cannot help with that request."
    rows = [
        {
            "model": model,
            "language": "eng",
            "question": f"why {n}?",
            "answer": refusal if model == "shy" else f"Since {n} is so.",
        }
        for model in ("shy", "bold")
        for n in range(4)
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    finished = univar("check", path, "--by", "model", "--fail-over", "declined=0.6")
    assert finished.exit_code == 0
    assert "1.000" in next(
        line for line in finished.stdout.splitlines() if line.startswith("shy ") and "1.000" in line
    )
    over = univar("check", path, "--fail-over", "declined=0.4")
    assert over.exit_code == 10
    assert "declined: 0.500 of the rows, allowed 0.4" in over.stderr
    assert univar("check", path, "--fail-over", "nonsense=0.4").exit_code == 2
