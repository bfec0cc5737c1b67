"""Every kind of bad row is rejected, with its number and reason, and the rows around it are read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.answers.conftest import GOOD, WRITERS, lines, read, written


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (without("answer"), "answer is missing or null"),
        (GOOD | {"model": None}, "model is missing or null"),
        (GOOD | {"answer": 7}, "answer is a number (7), not text"),
        (GOOD | {"question": ["why?"]}, 'question is a list (["why?"]), not text'),
        (GOOD | {"model": {"name": "m"}}, 'model is an object ({"name": "m"}), not text'),
        (GOOD | {"language": True}, "language is a boolean (true), not text"),
        (GOOD | {"answer": ""}, "answer is empty"),
        (GOOD | {"question": " \n\u3000"}, "question is empty"),
        (GOOD | {"model": "\t"}, "model is empty"),
        (GOOD | {"language": "nowherish"}, "unknown language 'nowherish'"),
        (b'{"model": "m", "answ', "not JSON: Unterminated string"),
        (b'{"model": "m"} {"model": "n"}', "not JSON: more text after the object"),
        (b'["m", "eng"]', "the line is a list, not an object"),
        (b"null", "the line is null, not an object"),
        (json.dumps(GOOD).encode().replace(b"because", b"caf\xe9"), "not UTF-8: byte 0xe9"),
        (json.dumps(GOOD).encode().replace(b"because", rb"\ud800"), r"answer has half of a surrogate pair"),
        (json.dumps(GOOD | {"id": "X"}).encode().replace(b"X", rb"\udfff"), "id has half of a surrogate"),
        (json.dumps(GOOD | {"x": 1}).encode().replace(b"1", b"[" * 100_000), "nested too deeply"),
        (json.dumps(GOOD | {"x": 1}).encode().replace(b"1", b"9" * 10_000), "not usable JSON"),
        (GOOD | {" answer": "other"}, "'answer' and ' answer' are both 'answer' here"),
    ],
)  # fmt: skip
def test_bad_json_line(tmp_path: Path, row: Any, reason: str) -> None:
    reading = read(lines(tmp_path / "a.jsonl", GOOD, GOOD, row, GOOD | {"answer": "after"}))
    assert reading.numbers == [1, 2, 4]
    assert reading.rows[-1]["answer"] == "after"
    assert list(reading.reasons) == [3]
    assert reason in reading.reasons[3]
    assert reading.rejected[0].file == str(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"m,eng,why?", "3 fields, but the header has 4"),
        (b"m,eng,why?,because,of that", "5 fields, but the header has 4"),
        (b"m,eng,why?,", "answer is empty"),
        (b"m,eng,why?,caf\xe9", "not UTF-8: byte 0xe9 in line 3"),
        (b'm,eng,why?,"caf\xe9\ntwo"', "not UTF-8: byte 0xe9 in line 3"),
        (b'm,eng,why?,"be"cause', "not CSV: "),
        (b"m,eng,wh\ry?,because", "not CSV: "),
        (b"m,xx,why?,because", "unknown language 'xx'"),
    ],
)
def test_bad_csv_row(tmp_path: Path, line: bytes, reason: str) -> None:
    good = b"m,eng,why?,because\n"
    (tmp_path / "a.csv").write_bytes(b"model,language,question,answer\n" + good + line + b"\n" + good)
    reading = read(tmp_path / "a.csv")
    assert reading.numbers == [2, 4 + line.count(b"\n")]
    assert list(reading.reasons) == [3]
    assert reason in reading.reasons[3]


@pytest.mark.parametrize("column", ["answer", "topic"])
@pytest.mark.parametrize("coded", [True, False])
def test_parquet_row_that_is_not_utf8(tmp_path: Path, column: str, coded: bool) -> None:
    table = pa.Table.from_pylist([GOOD | {"topic": f"t{n}"} for n in range(4)])
    broken = pa.Array.from_buffers(
        pa.string(), 4, pa.array([b"ok", b"ok", b"\xff\xfe", b"fine"], pa.binary()).buffers()
    )
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, column, broken), tmp_path / "a.parquet", use_dictionary=coded)
    reading = read(tmp_path / "a.parquet")
    assert reading.numbers == [1, 2, 4]
    assert reading.reasons == {3: f"{column} is not UTF-8"}


def test_parquet_nulls_are_refused_where_text_is_required(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"answer": None}, GOOD | {"topic": "t"}]
    table = pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in (*GOOD, "topic")]))
    pq.write_table(table, tmp_path / "a.parquet")
    reading = read(tmp_path / "a.parquet")
    assert reading.reasons == {2: "answer is missing or null"}
    assert [row["topic"] for row in reading.rows] == ["", "t"]


@pytest.mark.parametrize("ending", WRITERS)
def test_refused_rows_come_in_order_and_are_all_told(tmp_path: Path, ending: str) -> None:
    rows = [
        GOOD | {"answer": "" if n % 3 == 0 else "a"} | {"language": "xx" if n % 5 == 0 else "fi"}
        for n in range(100)
    ]
    reading = read(written(tmp_path / f"a.{ending}", rows), batch_rows=7)
    first = 2 if "csv" in ending or "tsv" in ending else 1
    assert [row.row for row in reading.rejected] == [
        n + first for n in range(100) if n % 3 == 0 or n % 5 == 0
    ]
    assert len(reading.rows) + len(reading.rejected) == 100


def test_a_reason_stays_short_whatever_the_value(tmp_path: Path) -> None:
    bad = [GOOD | {"answer": [1] * 10_000}, GOOD | {"language": "e" * 10_000}]
    reading = read(lines(tmp_path / "a.jsonl", GOOD, *bad))
    assert all(len(reason) < 200 for reason in reading.reasons.values())
    assert len(reading.rejected) == 2


def test_of_a_json_key_given_twice_the_last_value_counts(tmp_path: Path) -> None:
    line = json.dumps(GOOD)[:-1].encode() + b', "answer": "the last"}'
    assert read(lines(tmp_path / "a.jsonl", line)).rows[0]["answer"] == "the last"


def test_refusing_goes_on_after_a_callback_that_counts_only(tmp_path: Path) -> None:
    buffer = io.StringIO()
    from univar.answers import read_rows

    path = lines(tmp_path / "a.jsonl", {}, GOOD, {})
    batches = list(read_rows(path, on_rejected=lambda row: buffer.write(f"{row.row} ")))
    assert buffer.getvalue() == "1 3 "
    assert len(batches) == 1
