"""The folders of UniVaR's own data."""

from __future__ import annotations

from pathlib import Path

import pytest

from univar.answers import estimate_rows, read_rows
from univar.errors import DataError

HEADER = "qid,question,answer,lang,model,mt_lang\n"


def corpus(folder: Path, kind: str, *models: str) -> None:
    (folder / kind).mkdir(parents=True)
    for model in models:
        lines = "".join(f"{n},why {n}?,because {kind} {n},zho,{model},eng\n" for n in range(3))
        (folder / kind / f"{model}.csv").write_text(HEADER + lines)


def rows(*inputs: Path) -> list[dict[str, str]]:
    rejected: list[object] = []
    found = [
        row for batch in read_rows(inputs, on_rejected=rejected.append) for row in batch.table.to_pylist()
    ]
    assert not rejected
    return found


def test_every_file_of_every_corpus_is_read(tmp_path):
    corpus(tmp_path / "WVS", "qa_translated", "a", "b")
    corpus(tmp_path / "LIMA", "qa_translated", "a")
    found = rows(tmp_path)
    assert [(row["source_corpus"], row["model"]) for row in found[::3]] == [
        ("LIMA", "a"),
        ("WVS", "a"),
        ("WVS", "b"),
    ]
    assert found[0]["question_id"] == "LIMA:0"
    assert found[0]["language"] == "zho"
    assert found[0]["mt_lang"] == "eng"
    assert estimate_rows([tmp_path]) == pytest.approx(9, abs=3)


def test_one_corpus_may_be_named(tmp_path):
    corpus(tmp_path / "WVS", "qa_translated", "a")
    assert {row["source_corpus"] for row in rows(tmp_path / "WVS")} == {"WVS"}


def test_translated_answers_come_before_original_ones(tmp_path):
    corpus(tmp_path / "WVS", "qa", "a")
    assert rows(tmp_path)[0]["answer"] == "because qa 0"
    corpus(tmp_path / "WVS", "qa_translated", "a")
    assert {row["answer"] for row in rows(tmp_path)} == {f"because qa_translated {n}" for n in range(3)}


def test_a_file_of_another_layout_in_it_is_named(tmp_path):
    (tmp_path / "WVS" / "qa").mkdir(parents=True)
    (tmp_path / "WVS" / "qa" / "a.csv").write_text("question,answer\nwhy?,because\n")
    with pytest.raises(DataError, match=r"a\.csv.*'qid'"):
        rows(tmp_path)
