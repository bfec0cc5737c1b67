"""Files of other tools become rows, and files that are something else are told apart."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from univar.answers.importers import IMPORTERS, Origin, Skipped, import_rows
from univar.errors import DataError, UsageError


def rows(path: Path, kind: str, **origin: Any) -> list[dict[str, str]]:
    return [found for found in everything(path, kind, **origin) if not isinstance(found, Skipped)]


def everything(path: Path, kind: str, **origin: Any) -> list[Any]:
    return list(import_rows(str(path), kind, Origin(**{"language": "en", **origin})))


def skipped(path: Path, kind: str, **origin: Any) -> list[str]:
    found = everything(path, kind, **origin)
    return [f"{one.place}: {one.reason}" for one in found if isinstance(one, Skipped)]


def dump(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_alpaca_eval_outputs(tmp_path: Path) -> None:
    entry = {"instruction": "Why?", "output": "So.", "generator": "gpt-x", "dataset": "koala"}
    path = dump(tmp_path / "model_outputs.json", [entry, entry | {"output": "Otherwise."}])
    first, second = rows(path, "alpaca-eval")
    assert first == {
        "id": f"{first['question_id']}/gpt-x/eng/0",
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


ANSWER = {"instruction": "Why?", "output": "So.", "generator": "m"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"output": None}, "the answer is null"),
        ({"output": 3}, "the answer is a number, not text"),
        ({"output": "$ERROR$"}, "the answer is the error marker '$ERROR$'"),
        ({"instruction": 3}, "the question is a number, not text"),
    ],
)
def test_one_output_that_is_none_does_not_cost_the_others(tmp_path: Path, change: Any, reason: str) -> None:
    path = dump(tmp_path / "a.json", [ANSWER, ANSWER | change, ANSWER | {"output": "Yes."}])
    assert [row["answer"] for row in rows(path, "alpaca-eval")] == ["So.", "Yes."]
    assert skipped(path, "alpaca-eval") == [f"entry 2: {reason}"]


def test_what_every_entry_lacks_is_told_in_words(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.json", [{"prompt": "Why?", "text": "So."}])
    with pytest.raises(DataError, match=r"entry 1: has no 'instruction'; it has 'prompt', 'text'"):
        rows(path, "alpaca-eval")


def test_annotations_hold_two_outputs_each(tmp_path: Path) -> None:
    entry = {
        "instruction": "Why?",
        "output_1": "A.",
        "generator_1": "x",
        "output_2": "B.",
        "generator_2": "y",
    }
    path = dump(tmp_path / "annotations.json", [entry])
    assert [(row["model"], row["answer"]) for row in rows(path, "alpaca-eval")] == [("x", "A."), ("y", "B.")]


def sample(number: int, *answers: Any, **more: Any) -> dict[str, Any]:
    choices = [{"message": {"role": "assistant", "content": answer}} for answer in answers]
    return {"id": number, "input": f"Question {number}?", "output": {"choices": choices}, **more}


def log(*samples: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "eval": {"task": "fair", "model": "m"}, "samples": list(samples), **more}


def test_every_choice_and_epoch_is_a_row_of_its_own(tmp_path: Path) -> None:
    path = dump(tmp_path / "log.json", log(sample(1, "A.", "B.", epoch=1), sample(1, "A.", epoch=2)))
    found = rows(path, "inspect")
    assert [row["answer"] for row in found] == ["A.", "B.", "A."]
    assert len({row["id"] for row in found}) == 3
    assert len({row["question_id"] for row in found}) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"id": 2, "input": "Why?"}, "the sample has no output"),
        (sample(2), "the sample has no output"),
        (sample(2, None), "the answer is null"),
        (sample(2, "x", error={"message": "rate\nlimit"}), "the sample failed: rate limit"),
        ({"input": "Why?", "output": {}}, "has no 'id'; it has 'input', 'output'"),
        ({"id": 2, "input": [{"role": "system", "content": "x"}]}, "the chat has no message of a user"),
        (7, "is a number, not an object"),
    ],
)
def test_a_sample_without_an_answer_is_skipped_with_its_reason(tmp_path: Path, bad: Any, reason: str) -> None:
    path = dump(tmp_path / "log.json", log(sample(1, "A."), bad, sample(3, "C.")))
    assert [row["answer"] for row in rows(path, "inspect")] == ["A.", "C."]
    assert skipped(path, "inspect") == [f"sample 2: {reason}"]


@pytest.mark.parametrize("samples", [{}, {"samples": None}, {"samples": []}])
def test_a_failed_log_says_that_it_has_no_samples(tmp_path: Path, samples: Any) -> None:
    path = dump(tmp_path / "log.json", {"status": "error", "eval": {"task": "t", "model": "m"}} | samples)
    with pytest.raises(DataError, match=r"the log has no samples \(status error\)"):
        rows(path, "inspect")


def zipped(path: Path, members: dict[str, Any], method: int = 93) -> Path:
    """An archive whose members are compressed by Zstandard, as inspect_ai writes them."""
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        for name, value in members.items():
            data = pa.BufferOutputStream()
            with pa.CompressedOutputStream(data, "zstd") as stream:
                stream.write(json.dumps(value).encode())
            archive.writestr(name, data.getvalue().to_pybytes())
    raw = bytearray(plain.getvalue())
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = 0
        while (start := raw.find(mark, start)) >= 0:
            raw[start + place : start + place + 2] = method.to_bytes(2, "little")
            start += 4
    path.write_bytes(raw)
    return path


def test_archives_compressed_by_zstandard(tmp_path: Path) -> None:
    members = {"header.json": log(), "samples/1_epoch_1.json": sample(1, "A.")}
    path = zipped(tmp_path / "log.eval", members | {"samples/2_epoch_1.json": sample(2, "B.")})
    assert [row["answer"] for row in rows(path, "inspect")] == ["A.", "B."]
    with pytest.raises(DataError, match=r"compressed by a method of zip that is not read \(98\)"):
        rows(zipped(tmp_path / "other.eval", members, method=98), "inspect")
    with pytest.raises(DataError, match=r"no samples \(status started\)"):
        rows(zipped(tmp_path / "none.eval", {"_journal/start.json": {"eval": {"task": "t"}}}), "inspect")


CHAT = [{"role": "system", "content": "Be calm."}, {"role": "user", "content": "Why?"}]


@pytest.mark.parametrize(
    "asked", ["Why?", json.dumps(CHAT), [json.dumps(CHAT)], CHAT, {"messages": CHAT}, [*CHAT[:1], *CHAT]]
)
def test_the_user_s_question_is_taken_from_a_chat(tmp_path: Path, asked: Any) -> None:
    record = {"doc_id": 0, "arguments": {"gen_args_0": {"arg_0": asked}}, "resps": [["So."]]}
    path = dump(tmp_path / "samples_t_2026.jsonl", record)
    assert [row["question"] for row in rows(path, "lm-eval", model="m")] == ["Why?"]


def test_every_repeat_is_a_row_and_filters_are_not_told_twice(tmp_path: Path) -> None:
    record = {"doc_id": 0, "arguments": [["Why?", {}]], "resps": [["A.", "B."], ["C."]], "filter": "x"}
    scores = {
        "doc_id": 1,
        "arguments": [["Why?", " Yes"], ["Why?", " No"]],
        "resps": [[[-1.0, True]], [[-2, False]]],
    }
    path = tmp_path / "samples_t_2026.jsonl"
    path.write_text("\n".join(map(json.dumps, [record, record | {"filter": "y"}, scores])))
    found = rows(path, "lm-eval", model="m")
    assert [row["answer"] for row in found] == ["A.", "B.", "C."]
    assert len({row["id"] for row in found}) == 3
    assert skipped(path, "lm-eval", model="m") == [
        "line 2: the same answers are there under another filter",
        "line 3: the sample holds log-likelihoods of choices, not an answer",
    ]


def test_every_choice_of_mt_bench_is_a_row(tmp_path: Path) -> None:
    dump(tmp_path / "question.jsonl", {"question_id": 81, "turns": ["First?", "Then?"]})
    choices = [{"turns": ["One.", "Two."]}, {"turns": ["$ERROR$", "Deux."]}]
    path = dump(tmp_path / "m.jsonl", {"question_id": 81, "model_id": "m", "choices": choices})
    found = rows(path, "mt-bench")
    assert [row["answer"] for row in found] == ["One.", "Two.", "Deux."]
    assert skipped(path, "mt-bench") == ["line 1: the answer is the error marker '$ERROR$'"]
    old = dump(tmp_path / "old.jsonl", {"question_id": 81, "text": "One.", "model_id": "m"})
    assert [(row["question"], row["answer"]) for row in rows(old, "mt-bench")] == [("First?", "One.")]
    other = dump(tmp_path / "other.jsonl", {"question_id": 5, "model_id": "m", "choices": choices})
    with pytest.raises(DataError, match=r"question 5 is not in question\.jsonl"):
        rows(other, "mt-bench")


THOUGHT = "<think>\nHonesty matters.\n</think>\n\nNo, one brings it back."


def test_reasoning_is_kept_apart_and_an_answer_that_ends_in_it_is_none(tmp_path: Path) -> None:
    path = dump(
        tmp_path / "a.json",
        [ANSWER | {"output": output} for output in (THOUGHT, "<think>\nLet me see", "So.")],
    )
    found = rows(path, "alpaca-eval")
    assert [(row["answer"], row.get("reasoning", "")) for row in found] == [
        ("No, one brings it back.", "Honesty matters."),
        ("So.", ""),
    ]
    assert skipped(path, "alpaca-eval") == ["entry 2: the answer ends inside the model's reasoning"]


@pytest.mark.parametrize(
    "answer",
    [
        "No.<|im_end|>",
        "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>No.",
    ],
)
def test_template_tokens_are_no_part_of_an_answer(tmp_path: Path, answer: str) -> None:
    path = dump(tmp_path / "a.json", [ANSWER | {"output": answer}])
    assert [row["answer"] for row in rows(path, "alpaca-eval")] == ["No."]
