"""Files as Excel, pandas, R and old editors write them: delimiters, quotes, encodings, line ends, arrays."""

from __future__ import annotations

import codecs
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answers.conftest import GOOD, read
from univar.answers.inputs import Reading
from univar.errors import DataError, UsageError

ROWS = [
    {
        "model": "alpha",
        "language": "eng",
        "question": "Is thrift good?",
        "answer": "It helps; it has limits, too.",
    },
    {"model": "beta", "language": "fra", "question": "Et ça ?", "answer": 'Il dit « oui »,\npuis "non".'},
    {"model": "gamma", "language": "zho", "question": "节俭好吗？", "answer": "好，\t但不总是。"},
]
relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def table(rows: list[dict[str, str]], **dialect: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def ours(reading: Any) -> list[dict[str, str]]:
    return [{name: row[name] for name in GOOD} for row in reading.rows]


@pytest.mark.parametrize("first", ["", "sep={}\r\n", '"sep={}"\r\n', "SEP={}\n"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
def test_any_delimiter_with_or_without_a_sep_line(
    tmp_path: Path, first: str, delimiter: str, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_text("\ufeff" + first.format(delimiter) + table(ROWS, delimiter=delimiter), newline="")
    reading = read(path)
    assert (ours(reading), reading.rejected) == (ROWS, [])
    assert reading.numbers[0] == (3 if first else 2)


def test_a_format_given_alone_holds_beside_a_reading(tmp_path: Path) -> None:
    path = tmp_path / "answers.data"
    path.write_text(table(ROWS, delimiter="^"), newline="")
    assert ours(read(path, reading=Reading(delimiter="^"), format="csv")) == ROWS


def test_a_delimiter_nobody_guesses_is_given(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table(ROWS, delimiter="^"), newline="")
    assert ours(read(path, reading=Reading(delimiter="^"))) == ROWS
    with pytest.raises(UsageError, match="must be one character"):
        read(path, reading=Reading(delimiter="::"))


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_quoted_fields_in_every_style(tmp_path: Path, quoting: Any, delimiter: str) -> None:
    path = tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv")
    path.write_text(table(ROWS, delimiter=delimiter, quoting=quoting), newline="")
    assert ours(read(path)) == ROWS


def test_a_tsv_without_quoting_keeps_quote_signs_as_text(tmp_path: Path) -> None:
    lines = ["model\tlanguage\tquestion\tanswer", 'alpha\teng\tWhy?\t"To be honest, I would not.']
    lines += [f"beta\teng\tWhy {n}?\tBecause {n}." for n in range(5)]
    lines += ['gamma\teng\tWhy?\tA wise man said it is sweet."', 'delta\teng\tWhy?\t"All of it."']
    path = tmp_path / "a.tsv"
    path.write_text("\n".join(lines) + "\n")
    reading = read(path)
    assert (len(reading.rows), reading.rejected) == (8, [])
    assert reading.rows[0]["answer"] == '"To be honest, I would not.'
    assert reading.rows[-1]["answer"] == '"All of it."'


def test_quotes_are_seen_in_a_file_longer_than_what_is_looked_at(tmp_path: Path) -> None:
    rows = [GOOD | {"answer": f"one {n}\ntwo\nthree"} for n in range(1500)]
    path = tmp_path / "a.tsv"
    path.write_text(table(rows, delimiter="\t"), newline="")
    reading = read(path)
    assert (ours(reading), reading.rejected) == (rows, [])


def test_quoting_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('model\tlanguage\tquestion\tanswer\nm\teng\tWhy?\t"So."\n')
    assert read(path).rows[0]["answer"] == '"So."'
    assert read(path, reading=Reading(quoting="double")).rows[0]["answer"] == "So."
    with pytest.raises(UsageError, match="unknown quoting"):
        read(path, reading=Reading(quoting="single"))


@pytest.mark.parametrize(
    "bad",
    [
        'm,eng,why?,"opens and never closes',
        'm,eng,why?,"closes" too early',
        'm,eng,"why?,opens in the question',
    ],
)
def test_a_quote_that_does_not_match_costs_one_row(tmp_path: Path, bad: str) -> None:
    good = [f"m{n},eng,why {n}?,because {n}" for n in range(6)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["model,language,question,answer", *good[:3], bad, *good[3:]]) + "\n")
    reading = read(path)
    assert [row["model"] for row in reading.rows] == [f"m{n}" for n in range(6)]
    assert [row.row for row in reading.rejected] == [5]
    assert reading.numbers == [2, 3, 4, 6, 7, 8]


def test_a_quote_that_closes_in_a_later_row_swallows_none(tmp_path: Path) -> None:
    lines = ["model,language,question,answer", 'm1,eng,why?,"To be honest I would not']
    lines += [f"m{n},eng,why?,because" for n in range(2, 5)] + ['m5,eng,why?,a wise man said it is sweet"']
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n")
    reading = read(path)
    assert [row["model"] for row in reading.rows] == ["m2", "m3", "m4", "m5"]
    assert reading.reasons == {2: "a quote opens in this row and closes in a later row"}


def test_an_answer_of_many_lines_is_one_row(tmp_path: Path) -> None:
    answer = "First, of all, listen, well\nSecond, of all, think, hard\nThird, of all, speak, up"
    path = tmp_path / "a.csv"
    path.write_text(table([GOOD | {"answer": answer}] * 2), newline="")
    reading = read(path)
    assert [row["answer"] for row in reading.rows] == [answer, answer]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-16-be-mark", "utf-32", "twice"]
)
def test_encodings_with_marks_are_read(tmp_path: Path, ending: str, encoding: str) -> None:
    delimiter = {"csv": ",", "tsv": "\t"}.get(ending)
    text = table(ROWS, delimiter=delimiter) if delimiter else json.dumps(ROWS)
    if ending == "jsonl":
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    raw = {
        "utf-16-be-mark": codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        "twice": codecs.BOM_UTF8 * 2 + text.encode(),
    }.get(encoding) or text.encode(encoding)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(raw)
    reading = read(path)
    assert (ours(reading), reading.rejected) == (ROWS, [])


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp1252", "déjà vu"), ("gb18030", "节俭"), ("shift_jis", "節約")]
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_other_encodings_are_named_and_until_then_told_by_row(
    tmp_path: Path, encoding: str, text: str, ending: str
) -> None:
    rows = [GOOD, GOOD | {"answer": text}, GOOD]
    raw = table(rows) if ending == "csv" else "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(raw.encode(encoding))
    reading = read(path)
    assert len(reading.rows) == 2
    (reason,) = reading.reasons.values()
    assert "not UTF-8: byte 0x" in reason
    assert "--encoding" in reason
    assert ours(read(path, reading=Reading(encoding=encoding))) == rows


def test_bytes_that_the_named_encoding_lacks_reject_their_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"model,language,question,answer\nm,eng,why?,a\x81b\nm,eng,why?,fine\n")
    reading = read(path, reading=Reading(encoding="cp1252"))
    assert [row["answer"] for row in reading.rows] == ["fine"]
    assert list(reading.reasons) == [2]
    with pytest.raises(UsageError, match="unknown encoding 'klingon'"):
        read(path, reading=Reading(encoding="klingon"))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_carriage_returns_alone_end_lines(tmp_path: Path, ending: str) -> None:
    rows = [GOOD | {"answer": f"because {n}"} for n in range(4)]
    delimiter = {"csv": ",", "tsv": "\t"}.get(ending)
    text = (
        table(rows, delimiter=delimiter, lineterminator="\r")
        if delimiter
        else "\r".join(map(json.dumps, rows))
    )
    path = tmp_path / f"a.{ending}"
    path.write_text(text, newline="")
    assert ours(read(path)) == rows


def test_line_feeds_in_cells_of_a_file_with_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('model,language,question,answer\rm,eng,why?,"one\ntwo"\rm,eng,why?,three\r', newline="")
    assert [row["answer"] for row in read(path).rows] == ["one\ntwo", "three"]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
def test_a_json_array_is_rows(tmp_path: Path, indent: int | None, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(ROWS, indent=indent), encoding="utf-8")
    reading = read(path)
    assert ours(reading) == ROWS
    assert reading.numbers == [1, 2, 3]


def test_elements_that_are_no_rows_are_rejected_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([GOOD, 3, None, [GOOD], GOOD | {"answer": ""}, GOOD]))
    reading = read(path)
    assert reading.numbers == [1, 6]
    assert list(reading.reasons) == [2, 3, 4, 5]


def test_an_array_larger_than_what_is_read_at_once(tmp_path: Path) -> None:
    rows = [GOOD | {"answer": f"{n} " + "x" * 9000} for n in range(400)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    assert ours(read(path)) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{}, ", "cut off after element 1"),
        ('[{"a": 1} {"b": tru', "is not JSON"),
        (json.dumps({"model": {"0": "m"}}, indent=1), "one JSON object, not rows"),
        ("", "is empty"),
    ],
)
def test_json_that_is_no_rows_says_what_it_is(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read(path)


def test_json_lines_in_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    assert ours(read(path)) == ROWS


def test_joined_files_have_marks_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    part = codecs.BOM_UTF8 + "\n".join(map(json.dumps, ROWS)).encode() + b"\n"
    path.write_bytes(part + part)
    assert ours(read(path)) == ROWS + ROWS


def test_a_sheet_is_read(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine", reason="sheets need the extra [excel]")
    openpyxl = pytest.importorskip("openpyxl", reason="the test writes its sheet with openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(list(GOOD))
    sheet.append(["m", "eng", "why?", 42])
    sheet.append([None] * 4)
    sheet.append(list(GOOD.values()))
    book.save(tmp_path / "a.xlsx")
    reading = read(tmp_path / "a.xlsx")
    assert reading.numbers == [2, 4]
    assert [row["answer"] for row in reading.rows] == ["42", "because"]


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n\t",;|'), min_size=1, max_size=20
)
CELL = TEXT.filter(str.strip)


@given(
    rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
@relaxed
def test_what_is_written_is_read_in_every_dialect(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, quoting: Any, encoding: str, end: str
) -> None:
    written = [GOOD | {"question": question, "answer": answer} for question, answer in rows]
    path = tmp_path / "a.csv"
    path.write_bytes(
        table(written, delimiter=delimiter, quoting=quoting, lineterminator=end).encode(encoding)
    )
    reading = read(path, reading=Reading(quoting="double"))
    assert (ours(reading), reading.rejected) == (written, [])


@given(data=st.binary(max_size=300), place=st.integers(0, 400), cut=st.integers(0, 400))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_files_never_raise_anything_but_a_sentence(
    tmp_path: Path, data: bytes, place: int, cut: int
) -> None:
    for ending in ("csv", "tsv", "jsonl", "json"):
        whole = (
            json.dumps(ROWS) if ending == "json" else table(ROWS, delimiter="\t" if ending == "tsv" else ",")
        )
        if ending == "jsonl":
            whole = "\n".join(map(json.dumps, ROWS))
        raw = whole.encode()
        path = tmp_path / f"a.{ending}"
        path.write_bytes((raw[:place] + data + raw[place:])[: max(len(raw) - cut, 0)])
        try:
            reading = read(path)
        except DataError as error:
            told = str(error)
        else:
            told = ""
            assert len(reading.rows) + len(reading.rejected) > 0
        assert "\n" not in told
