"""Answers and stores that leave little to work with: a clear error, or less output and a sentence on why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.conftest import answer_rows, write_jsonl


def embedded(univar: Run, folder: Path, rows: list[dict[str, str]], encoder: Path) -> Path:
    source = write_jsonl(folder / "rows.jsonl", rows)
    done = univar("embed", source, "-o", folder / "s", "-e", encoder, "-q")
    assert done.exit_code == 0, done.stderr
    return folder / "s"


def test_rows_without_an_answer_are_counted_and_the_rest_is_embedded(
    tmp_path: Path, univar: Run, tiny_bert: Path
) -> None:
    rows = answer_rows(4)
    rows[1]["answer"], rows[2]["answer"] = "", "  "
    source = write_jsonl(tmp_path / "rows.jsonl", rows)
    done = univar("embed", source, "-o", tmp_path / "s", "-e", tiny_bert, "--json")
    facts = json.loads(done.stdout)
    assert (facts["embedded"], facts["rejected"]) == (2, 2)
    assert "answer" in done.stderr


def test_a_row_without_a_question_is_named_and_rejected(tmp_path: Path, univar: Run, tiny_bert: Path) -> None:
    rows = answer_rows(3)
    rows[0]["question"] = ""
    source = write_jsonl(tmp_path / "rows.jsonl", rows)
    done = univar("embed", source, "-o", tmp_path / "s", "-e", tiny_bert, "--json")
    facts = json.loads(done.stdout)
    assert facts["embedded"] + facts["rejected"] == 3
    assert facts["rejected"] == 0 or "question" in done.stderr


def test_of_an_answer_of_a_megabyte_sixteen_pieces_are_read_and_it_is_counted(
    tmp_path: Path, univar: Run, tiny_bert: Path
) -> None:
    rows = answer_rows(2)
    rows[0]["answer"] = "we care for work and rest. " * 40_000
    source = write_jsonl(tmp_path / "rows.jsonl", rows)
    done = univar("embed", source, "-o", tmp_path / "s", "-e", tiny_bert, "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["embedded"], facts["truncated"]) == (2, 1)
    assert facts["answer_tokens"] > 250_000
    assert facts["answer_tokens_read"] < 0.01 * facts["answer_tokens"]


def test_one_source_is_indexed_without_heads_and_attributed_by_votes(
    tmp_path: Path, univar: Run, tiny_bert: Path
) -> None:
    rows = [{**row, "model": "m", "language": "eng"} for row in answer_rows(12)]
    store = embedded(univar, tmp_path, rows, tiny_bert)
    done = univar("index", store)
    assert done.exit_code == 0, done.stderr
    assert "the store has one source, and a head needs two" in done.stderr
    done = univar("attribute", store, tmp_path / "rows.jsonl", "-e", tiny_bert, "--json")
    assert done.exit_code == 0, done.stderr
    assert "no source heads" in done.stderr
    assert len(done.stdout.splitlines()) == 12


def test_a_language_with_one_row_is_indexed_and_attributed_with_the_others(
    tmp_path: Path, univar: Run, tiny_bert: Path
) -> None:
    rows = [{**row, "language": "eng"} for row in answer_rows(40)]
    rows.append({**rows[0], "id": "alone", "language": "fra", "answer": "we work"})
    store = embedded(univar, tmp_path, rows, tiny_bert)
    done = univar("index", store, "--json")
    assert done.exit_code == 0, done.stderr
    sources = json.loads(done.stdout)["sources"]
    assert sources["rows_by_question"] + sources["rows_by_proposition"] + sources["rows_uncentred"] == 41
    done = univar("attribute", store, tmp_path / "rows.jsonl", "-e", tiny_bert, "--json")
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 41


def test_two_answers_of_each_source_are_indexed_without_heads(
    tmp_path: Path, univar: Run, tiny_bert: Path
) -> None:
    store = embedded(univar, tmp_path, answer_rows(8), tiny_bert)
    done = univar("index", store)
    assert done.exit_code == 0, done.stderr
    assert "no source heads" in done.stderr


@pytest.mark.parametrize(("command", "stores"), [("compare", 1), ("profile", 1), ("same", 2)])
def test_a_part_that_is_not_there_is_named(univar: Run, store: Path, command: str, stores: int) -> None:
    done = univar(command, *[store] * stores, "--part", "nowhere")
    assert "has no part 'nowhere'" in done.stderr + done.stdout
