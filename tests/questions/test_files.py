"""Question files: what is written is read back, what is wrong is named."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from univar.answers.inputs import Reading
from univar.errors import DataError, UsageError
from univar.questions import (
    Question,
    gather,
    load_bank,
    read_questions,
    sample,
    select,
    write_questions,
)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv"])
def test_all_questions_are_read_back_as_they_were_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"all{ending}"
    write_questions(load_bank(), path)
    assert read_questions(path) == load_bank()


def test_a_question_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": " Is it right to lie? "}\n', encoding="utf-8")
    (question,) = gather(path)
    assert question.question_id.startswith("q-")
    assert question == Question(question.question_id, 1, "eng", "Is it right to lie?")


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("text,language\nEs-tu heureux ?,fr\n", encoding="utf-8")
    (question,) = read_questions(path, reading=Reading(rename={"question": "text"}))
    assert (question.question, question.language) == ("Es-tu heureux ?", "fra")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"wording": "0"}, "own.jsonl:1: wording '0'"),
        ({"wording": "first"}, "own.jsonl:1: wording 'first'"),
        ({"kind": "fact"}, "own.jsonl:1: kind 'fact'"),
        ({"core": "yes"}, "own.jsonl:1: core 'yes'"),
        ({"language": "nowherish"}, "unknown language"),
        ({"question": " "}, "question"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, str], message: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"question": "Why?", **row}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_questions(path)


def test_the_same_wording_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    rows = [{"question_id": "q1", "question": "Why?"}, {"question_id": "q1", "question": "What for?"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match="occurs twice"):
        read_questions(path)


def test_a_file_is_overwritten_only_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(load_bank()[:1], path)
    with pytest.raises(UsageError, match="already exists"):
        write_questions(load_bank()[:2], path)
    write_questions(load_bank()[:2], path, force=True)
    assert len(read_questions(path)) == 2


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in \.jsonl"):
        write_questions(load_bank()[:1], tmp_path / "q.xlsx")


def test_a_sample_is_even_over_values_whole_and_repeatable() -> None:
    bank = gather("bank")
    drawn = sample(bank, 176, seed=3)
    per_value = Counter(question.value for question in drawn if question.wording == 1)
    assert set(per_value.values()) == {2}
    assert len(per_value) == 88
    assert Counter(Counter(question.question_id for question in drawn).values()) == {2: 176}
    assert drawn == sample(bank, 176, seed=3) != sample(bank, 176, seed=4)


def test_more_than_there_is_cannot_be_drawn() -> None:
    with pytest.raises(UsageError, match="cannot draw 881 questions from 880"):
        sample(gather("bank"), 881)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"languages": ["fin"]}, "no question has the language 'fin'"),
        ({"values": ["terminal-wit"]}, "no question has the value 'terminal-wit'"),
        ({"kind": "fact"}, "unknown kind 'fact'"),
    ],
)
def test_a_filter_that_fits_nothing_is_refused(filters: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(load_bank(), **filters)  # type: ignore[arg-type]
