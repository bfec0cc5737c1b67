"""Files of other tools become rows, and files that are something else are told apart."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from univar.answers.importers import IMPORTERS, Origin, import_rows
from univar.errors import DataError, UsageError


def rows(path: Path, kind: str, **origin: Any) -> list[dict[str, str]]:
    return list(import_rows(str(path), kind, Origin(**{"language": "en", **origin})))


def dump(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_alpaca_eval_outputs(tmp_path: Path) -> None:
    entry = {"instruction": "Why?", "output": "So.", "generator": "gpt-x", "dataset": "koala"}
    path = dump(tmp_path / "model_outputs.json", [entry, entry | {"output": "Otherwise."}])
    first, second = rows(path, "alpaca-eval")
    assert first == {
        "model": "gpt-x",
        "language": "eng",
        "question_id": first["question_id"],
        "question": "Why?",
        "answer": "So.",
        "source_corpus": "koala",
    }
    assert second["question_id"] == first["question_id"]
    assert rows(path, "alpaca-eval", model="mine")[0]["model"] == "mine"


def test_mt_bench_answers_find_their_questions(tmp_path: Path) -> None:
    dump(tmp_path / "question.jsonl", {"question_id": 81, "turns": ["First?", "Then?"]})
    answer = {"question_id": 81, "model_id": "m", "choices": [{"index": 0, "turns": ["One.", "Two."]}]}
    path = dump(tmp_path / "model_answer" / "m.jsonl", answer)
    assert [(row["question"], row["answer"], row["model"]) for row in rows(path, "mt-bench")] == [
        ("First?", "One.", "m"),
        ("Then?", "Two.", "m"),
    ]
    (tmp_path / "question.jsonl").unlink()
    with pytest.raises(UsageError, match="--questions"):
        rows(path, "mt-bench")


def inspect_sample(number: int) -> dict[str, Any]:
    parts = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": f"Answer {number}."}]
    return {
        "id": number,
        "input": [
            {"role": "system", "content": "Be calm."},
            {"role": "user", "content": f"Question {number}?"},
        ],
        "output": {"choices": [{"message": {"role": "assistant", "content": parts}}]},
    }


def test_inspect_logs_as_json_and_as_archives(tmp_path: Path) -> None:
    header = {"eval": {"task": "dilemmas", "model": "openai/gpt-x"}}
    plain = dump(tmp_path / "log.json", {**header, "samples": [inspect_sample(1), inspect_sample(2)]})
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("header.json", json.dumps(header))
        for number in (1, 2):
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(inspect_sample(number)))
    found = rows(plain, "inspect")
    assert [(row["question_id"], row["question"], row["answer"]) for row in found] == [
        ("dilemmas:1", "Question 1?", "Answer 1."),
        ("dilemmas:2", "Question 2?", "Answer 2."),
    ]
    assert rows(tmp_path / "log.eval", "inspect") == found


@pytest.mark.parametrize("arguments", [[["Prompt?", {}]], {"gen_args_0": {"arg_0": "Prompt?", "arg_1": {}}}])
def test_lm_eval_samples_need_a_model(arguments: Any, tmp_path: Path) -> None:
    sample = {"doc_id": 3, "arguments": arguments, "resps": [["An answer."]], "target": ""}
    path = dump(tmp_path / "samples_moral_2026-01-01T00.jsonl", sample)
    (row,) = rows(path, "lm-eval", model="m")
    assert (row["question_id"], row["question"], row["answer"]) == ("moral:3", "Prompt?", "An answer.")
    with pytest.raises(UsageError, match="--model"):
        rows(path, "lm-eval")


@pytest.mark.parametrize("kind", IMPORTERS)
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'[{"instruction": 1}]', b"\xff\xfe", b"[" * 5000, b"PK\x03\x04"]
)
def test_files_of_another_kind_are_bad_data(kind: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "question.jsonl").write_bytes(b"")
    for name in ("a.json", "a.eval"):
        (tmp_path / name).write_bytes(content)
        try:
            found = rows(tmp_path / name, kind, model="m")
        except DataError as error:
            found = []
            told = str(error)
        else:
            told = name
        assert found == []
        assert name in told or "question" in told


def test_unknown_kinds_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="alpaca-eval"):
        rows(tmp_path / "x", "excel")
    with pytest.raises(DataError, match="cannot be read"):
        rows(tmp_path / "x", "inspect")
