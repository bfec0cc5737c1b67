"""Columns: names, renaming, ids, languages, and what becomes of values that are no text."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.answers.conftest import GOOD, lines, read, written
from univar.answers.inputs import Reading
from univar.answers.parquet import as_text
from univar.errors import DataError, UsageError


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_rename_reads_our_column_from_theirs(tmp_path: Path, ending: str) -> None:
    row = {"llm": "m", "language": "eng", "question": "why?", "response": "because", " note ": "n"}
    reading = read(
        written(tmp_path / f"a.{ending}", [row]),
        rename={"model": "llm", "answer": "response", "remark": "note"},
    )
    assert reading.rows[0] | {"question_id": ""} == GOOD | {"id": "", "question_id": "", "remark": "n"}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rename_onto_a_column_that_is_there_needs_a_name_for_it(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"a.{ending}", [GOOD | {"response": "theirs"}])
    with pytest.raises(
        DataError, match=r"'answer' and 'response' are both 'answer' here.*--map other_answer=answer"
    ):
        read(path, rename={"answer": "response"})
    (row,) = read(path, rename={"answer": "response", "other_answer": "answer"}).rows
    assert (row["answer"], row["other_answer"]) == ("theirs", "because")


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"answer": "x", "question": "x"}, "'x' is mapped twice"),
        ({"a/b": "x"}, "'/'"),
        ({" ": "x"}, "no name"),
    ],
)
def test_impossible_rename_is_told_at_once(rename: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read(lines(tmp_path / "a.jsonl", GOOD), rename=rename)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_source_is_kept_as_source_corpus(tmp_path: Path, ending: str) -> None:
    (row,) = read(written(tmp_path / f"a.{ending}", [GOOD | {"source": "wvs"}])).rows
    assert row["source_corpus"] == "wvs"
    assert "source" not in row


ODD: list[tuple[dict[str, str], str]] = [
    ({"a/b": "1"}, "'a/b' is left out: its name has a '/' or a control character"),
    ({"agreement\n(1 to 7)": "4"}, "left out: its name has a '/' or a control character"),
    ({"How much do you agree with this answer, from one to seven? " * 2: "4"}, "longer than 64 characters"),
    ({"source": "a", "source_corpus": "b"}, "'source_corpus' is left out: there is another 'source_corpus'"),
    ({f"column{n}": "" for n in range(300)}, "left out: a row keeps at most 256 columns"),
]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "json"])
@pytest.mark.parametrize(("odd", "note"), ODD)
def test_a_column_that_cannot_be_kept_is_left_out_and_told_once(
    tmp_path: Path, ending: str, odd: dict[str, str], note: str
) -> None:
    path = tmp_path / f"a.{ending}"
    rows = [GOOD | odd] * 3
    if ending == "json":
        path.write_text(json.dumps(rows))
    else:
        written(path, rows)
    notes: list[str] = []
    reading = read(path, on_note=notes.append)
    assert reading.rejected == []
    assert [{name: row[name] for name in GOOD} for row in reading.rows] == [GOOD] * 3
    assert [told for told in notes if note in told]
    assert len(notes) == len(set(notes))
    assert all(str(path) in told for told in notes)


def test_a_long_name_can_be_kept_under_another(tmp_path: Path) -> None:
    long = "How much do you agree with this answer, from one to seven? " * 2
    path = written(tmp_path / "a.csv", [GOOD | {long: "4"}])
    assert read(path, rename={"agreement": long.strip()}, on_note=print).rows[0]["agreement"] == "4"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Model", "LANGUAGE", "Question", "Answer"), []),
        (("model_name", "lang", "prompt", "response"), []),
        (("model id", "lang", "instruction", "completion"), []),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_common_names_of_our_columns_are_read_and_told(
    tmp_path: Path, names: tuple[str, ...], expected: list[str], ending: str
) -> None:
    notes: list[str] = []
    path = written(tmp_path / f"a.{ending}", [dict(zip(names, GOOD.values(), strict=True))])
    (row,) = read(path, on_note=notes.append).rows
    assert {name: row[name] for name in GOOD} == GOOD
    assert any(f"{names[3]!r} is read as 'answer'" in note for note in notes)


def test_our_own_name_comes_before_a_common_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [GOOD | {"response": "HTTP 200", "Answer": "no"}])
    (row,) = read(path, on_note=print).rows
    assert (row["answer"], row["response"], row["Answer"]) == ("because", "HTTP 200", "no")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_mapping_from_a_column_that_is_not_there_is_an_error_even_where_ours_is(
    tmp_path: Path, ending: str
) -> None:
    path = written(tmp_path / f"a.{ending}", [GOOD])
    with pytest.raises(DataError, match="no column 'nope' to map to 'model'"):
        read(path, rename={"model": "nope"})


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_constant_is_every_row_s_value(tmp_path: Path, ending: str) -> None:
    rows = [{"model": "m", "question": "why?", "answer": "because"}] * 2
    path = written(tmp_path / f"answers_fin.{ending}", rows)
    for constant in ({"language": "fra"}, {"language": "@name"}):
        found = {row["language"] for row in read(path, reading=Reading(constant=constant)).rows}
        assert found == ({"fra"} if constant["language"] == "fra" else {"fin"})
    with pytest.raises(DataError, match="there is a column 'model'"):
        reading = read(path, reading=Reading(constant={"model": "x", "language": "fra"}))
        raise DataError(reading.reasons[1])


def test_a_file_s_name_without_a_language_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.csv", [{"model": "m", "question": "why?", "answer": "because"}])
    with pytest.raises(DataError, match="no part of the file's name is a language code"):
        read(path, reading=Reading(constant={"language": "@name"}))


@pytest.mark.parametrize("given", ["en", "eng", "EN", " eng ", "eng_Latn", "en-US"])
def test_language_becomes_iso_639_3(tmp_path: Path, given: str) -> None:
    assert read(lines(tmp_path / "a.jsonl", GOOD | {"language": given})).rows[0]["language"] == "eng"


def test_a_question_without_id_gets_one_from_its_text(tmp_path: Path) -> None:
    rows = [{}, {"question": "  why?\n"}, {"question_id": "q7"}, {"question_id": " "}, {"question": "how?"}]
    ids = [
        row["question_id"] for row in read(lines(tmp_path / "a.jsonl", *(GOOD | row for row in rows))).rows
    ]
    expected = "q-" + hashlib.blake2b(b"why?", digest_size=8).hexdigest()
    assert ids[:4] == [expected, expected, "q7", expected]
    assert ids[4] not in (expected, "")


def test_model_is_stripped_and_texts_are_not(tmp_path: Path) -> None:
    (row,) = read(lines(tmp_path / "a.jsonl", GOOD | {"model": " org/m ", "answer": " a\n"})).rows
    assert (row["model"], row["answer"]) == ("org/m", " a\n")


def test_values_of_other_columns_become_json_text(tmp_path: Path) -> None:
    values = {
        "id": 17,
        "number": 0.5,
        "flag": False,
        "none": None,
        "text": "é",
        "nested": {"b": [1, None], "a": "é"},
    }
    texts = ["17", "0.5", "false", "", "é", '{"a": "é", "b": [1, null]}']
    (row,) = read(lines(tmp_path / "a.jsonl", GOOD | values)).rows
    assert [row[name] for name in values] == texts


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([17]), "17"),
        (pa.array([17], pa.uint8()), "17"),
        (pa.array([17.0]), "17.0"),
        (pa.array([math.nan]), "NaN"),
        (pa.array([0.7], pa.float32()), "0.7"),
        (pa.array([True]), "true"),
        (pa.array([None]), ""),
        (pa.array([None], pa.int64()), ""),
        (pa.array([[1, 2]]), "[1, 2]"),
        (pa.array([{"b": "é", "a": None}]), '{"a": null, "b": "é"}'),
        (pa.array([["x"]]), '["x"]'),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pa.array([17]).dictionary_encode(), "17"),
        (pa.array(["x"], pa.large_string()), "x"),
        (pa.array(["x"], pa.string_view()), "x"),
        (pa.array([datetime.date(2026, 11, 22)]), "2026-11-22"),
        (pa.array([decimal.Decimal("1.50")]), "1.50"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
@pytest.mark.parametrize("store_schema", [True, False])
def test_parquet_types_become_text(tmp_path: Path, values: pa.Array, text: str, store_schema: bool) -> None:
    table = pa.Table.from_pylist([GOOD]).append_column("extra", values)
    pq.write_table(table, tmp_path / "a.parquet", store_schema=store_schema)
    assert read(tmp_path / "a.parquet").rows[0]["extra"] == text


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("answer", pa.array([3]), "int64"),
        ("answer", pa.array([["because"]]), "list"),
        ("model", pa.array([{"name": "m"}]), "struct"),
        ("question", pa.array([b"why?"]), "binary"),
    ],
)
def test_a_required_column_that_is_no_text_names_its_type(
    tmp_path: Path, column: str, values: pa.Array, kind: str
) -> None:
    table = pa.Table.from_pylist([GOOD | {"extra": "x"}])
    pq.write_table(
        table.set_column(table.schema.get_field_index(column), column, values), tmp_path / "a.parquet"
    )
    with pytest.raises(DataError, match=rf"a\.parquet: column '{column}' has type {kind}"):
        read(tmp_path / "a.parquet")


def test_a_code_outside_of_its_dictionary_is_an_error_not_wrong_text() -> None:
    codes = pa.array([0, 2, None], pa.int32())
    broken = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b"]), safe=False)
    for values in (broken, pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), broken)):
        with pytest.raises(DataError, match="damaged"):
            as_text("topic", values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([b"\x00\x01"]), "has type binary, which a row cannot keep"),
        (pa.array([bytes(16)], pa.uuid()), "has type fixed_size_binary"),
        (pa.array([b"\x00\x01"], pa.binary(2)), "has type fixed_size_binary"),
        (pa.array([{"bytes": b"\xff"}]), "holds values that have no JSON text"),
        (pa.array([[2**60]], pa.list_(pa.timestamp("ms"))), "has values without a text"),
        (pa.array([{"when": 2**60}], pa.struct([("when", pa.timestamp("ms"))])), "has values without a text"),
    ],
)
def test_an_unneeded_column_without_text_is_left_out_and_told(
    tmp_path: Path, values: pa.Array, reason: str
) -> None:
    table = pa.Table.from_pylist([GOOD | {"kept": "x"}]).add_column(0, "extra", values)
    pq.write_table(table, tmp_path / "a.parquet")
    notes: list[str] = []
    reading = read(tmp_path / "a.parquet", on_note=notes.append)
    assert [{name: row[name] for name in (*GOOD, "kept")} for row in reading.rows] == [GOOD | {"kept": "x"}]
    assert "extra" not in reading.rows[0]
    assert reason in notes[0]


def test_nameless_csv_column_is_called_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",model,language,question,answer\n0,m,eng,why?,because\n")
    assert read(tmp_path / "a.csv").rows[0]["unnamed_1"] == "0"


def test_columns_of_rows_that_differ_are_empty_where_missing(tmp_path: Path) -> None:
    reading = read(lines(tmp_path / "a.jsonl", GOOD | {"a": "1"}, GOOD | {"b": "2"}))
    assert [(row["a"], row["b"]) for row in reading.rows] == [("1", ""), ("", "2")]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_answers_of_unknown_sources_need_nothing_else(tmp_path: Path, ending: str) -> None:
    reading = read(written(tmp_path / f"a.{ending}", [{"answer": "because"}]), required=("answer",))
    assert reading.rows == [
        {"id": "", "model": "", "language": "", "question_id": "", "question": "", "answer": "because"}
    ]


def test_optional_columns_are_still_checked_when_they_say_something(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"language": "xx"}, {"question": 7}, {"language": "fi"}, {"model": None}]
    reading = read(
        lines(tmp_path / "a.jsonl", *({"answer": "a"} | row for row in rows)), required=("answer",)
    )
    assert list(reading.reasons) == [1, 2]
    assert [row["language"] for row in reading.rows] == ["fin", ""]


@pytest.mark.parametrize(
    ("stem", "language"),
    [
        ("answers_zh-TW", "zho_Hant"),
        ("gpt4_zho_Hant", "zho_Hant"),
        ("paper-sr-Latn_v2", "srp_Latn"),
        ("answers-pt-BR", "por"),
        ("fin_answers_EN", "eng"),
        ("model-x_arb_Arab", "arb"),
    ],
)
def test_a_language_in_a_file_s_name_keeps_its_script(tmp_path: Path, stem: str, language: str) -> None:
    path = written(tmp_path / f"{stem}.csv", [{"model": "m", "question": "why?", "answer": "because"}])
    assert [row["language"] for row in read(path, reading=Reading(constant={"language": "@name"})).rows] == [
        language
    ]
