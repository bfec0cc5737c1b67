"""Inputs made to exhaust the memory: too long, too deep, unpacking to far more than they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.answers.conftest import GOOD, jsonl, lines, read, zstd
from univar.answers import read_rows
from univar.answers.rows import MAX_ROW_BYTES
from univar.errors import DataError

LONG = 50_000_000
TOO_LONG = "the row is longer than 32 MiB"
HEADER = b"model,language,question,answer\n"


def growth(path: Path, batches: int | None = None, **options: int) -> tuple[int, int]:
    """(rows read, bytes by which the memory in use grew at most) of reading `batches` batches, or all."""
    process = psutil.Process()
    before = process.memory_info().rss
    n = most = 0
    for number, batch in enumerate(read_rows(path, on_rejected=lambda row: None, **options)):
        n += len(batch.rows)
        most = max(most, process.memory_info().rss - before, pa.total_allocated_bytes())
        if number + 1 == batches:
            break
    return n, most


def test_json_line_of_50_megabytes_is_refused(tmp_path: Path) -> None:
    long = json.dumps(GOOD | {"answer": "x" * LONG}).encode()
    reading = read(lines(tmp_path / "a.jsonl", GOOD, long, GOOD))
    assert reading.numbers == [1, 3]
    assert reading.reasons == {2: TOO_LONG}


def test_json_line_just_below_the_limit_is_read(tmp_path: Path) -> None:
    line = jsonl([GOOD | {"answer": "x"}]).rstrip(b"\n")
    answer = "x" * (MAX_ROW_BYTES - len(line) + 1)
    fits, too_long = (jsonl([GOOD | {"answer": text}]).rstrip(b"\n") for text in (answer, answer + "x"))
    reading = read(lines(tmp_path / "a.jsonl", fits, too_long))
    assert len(reading.rows[0]["answer"]) == len(answer)
    assert reading.reasons == {2: TOO_LONG}


@pytest.mark.parametrize(
    "answer",
    [
        b"x" * LONG,
        b'"' + b"x" * LONG + b'"',
        b'"' + b'say ""no"" ' * (LONG // 11) + b'"',
        b'"' + (b"x" * 999_999 + b"\n") * 50 + b'"',
        b'"' + b"x" * LONG + b'\nend"',
        b'"\n' + b"x" * LONG + b'\n""\n"',
    ],
    ids=["bare", "quoted", "quotes", "lines", "opened-in-a-long-line", "long-line-within"],
)
def test_csv_row_of_50_megabytes_is_refused(tmp_path: Path, answer: bytes) -> None:
    good = b"m,eng,why?,because\n"
    (tmp_path / "a.csv").write_bytes(HEADER + good + b"m,eng,why?," + answer + b"\n" + good)
    reading = read(tmp_path / "a.csv")
    assert reading.numbers == [2, 4 + answer.count(b"\n")]
    assert reading.reasons == {3: TOO_LONG}


def test_csv_field_far_over_the_usual_limit_is_read(tmp_path: Path) -> None:
    import csv

    before = csv.field_size_limit(131_072)
    (tmp_path / "a.csv").write_bytes(HEADER + b'm,eng,why?,"' + b"x\n" * 1_000_000 + b'"\n')
    assert len(read(tmp_path / "a.csv").rows[0]["answer"]) == 2_000_000
    assert csv.field_size_limit(before) == 131_072


def test_parquet_row_of_50_megabytes_is_refused(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"answer": "x" * LONG}, GOOD]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    reading = read(tmp_path / "a.parquet")
    assert reading.numbers == [1, 3]
    assert reading.reasons == {2: TOO_LONG}


def test_endless_line_in_a_small_compressed_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(zstd(jsonl([GOOD])) + zstd(b"x" * 1_000_000) * 400)
    n, grown = growth(tmp_path / "a.jsonl.zst")
    assert n == 1
    assert grown < 150e6


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.csv.zst"])
def test_memory_stays_bounded_on_a_large_file(tmp_path: Path, name: str) -> None:
    text = "x" * 2000
    if "jsonl" in name:
        head, block = b"", jsonl([GOOD | {"answer": text}] * 500)
    else:
        head, block = HEADER, f"m,eng,why?,{text}\n".encode() * 500
    (tmp_path / name).write_bytes(zstd(head) + zstd(block) * 120)
    growth(tmp_path / name, batches=20, batch_bytes=1 << 20)  # what the first use of everything takes
    n, grown = growth(tmp_path / name, batch_bytes=1 << 20)
    assert n == 500 * 120  # 120 MB of text
    assert grown < 60e6


def test_memory_stays_bounded_on_large_parquet_row_groups(tmp_path: Path) -> None:
    n = 30_000
    rng = np.random.default_rng(0)
    columns = {name: [text] * n for name, text in GOOD.items()}
    columns["answer"] = [rng.bytes(2000).hex() for _ in range(n)]  # 120 MB
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=n // 2)
    del columns
    growth(tmp_path / "a.parquet", batches=5, batch_bytes=1 << 20)
    rows_read, grown = growth(tmp_path / "a.parquet", batch_bytes=1 << 20)
    assert rows_read == n
    assert grown < 45e6


def test_one_long_string_for_thousands_of_parquet_rows_unpacks_in_parts(tmp_path: Path) -> None:
    n = 4096
    columns = {name: pa.array([text] * n) for name, text in GOOD.items()}
    answer = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["x" * 20_000_000]))
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns | {"answer": answer}), path, store_schema=False, compression="zstd")
    assert path.stat().st_size < 100_000  # and 80 GB of text
    read_rows_of_it, grown = growth(path, batches=4)
    assert 1 <= read_rows_of_it <= 8
    assert grown < 800e6


def test_one_long_string_nested_in_thousands_of_parquet_rows_is_left_out(tmp_path: Path) -> None:
    n = 1000
    columns = {name: pa.array([text] * n) for name, text in GOOD.items()}
    coded = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20 * n, np.int32)), pa.array(["x" * 20_000_000]))
    nested = pa.StructArray.from_arrays(
        [pa.ListArray.from_arrays(np.arange(0, 20 * n + 1, 20, dtype=np.int32), coded)], ["a"]
    )
    pq.write_table(pa.table(columns | {"meta": nested}), tmp_path / "a.parquet", store_schema=False)
    notes: list[str] = []
    assert len(read(tmp_path / "a.parquet", on_note=notes.append).rows) == n
    assert "'meta' is left out: it unpacks to more than 256 MiB" in notes[0]


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.csv.zst", "a.json.zst"])
@pytest.mark.parametrize(
    "first", [b"", b'{"model": "m", "language": "eng", "question": "q", "answer": "a"}\n']
)
def test_blank_lines_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, first: bytes
) -> None:
    monkeypatch.setattr("univar.answers.inputs.MAX_BLANK_BYTES", 3 << 20)
    if "csv" in name and first:
        first = b"model,language,question,answer\nm,eng,q,a\n"
    path = tmp_path / name
    with pa.CompressedOutputStream(path, "zstd") as file:
        file.write(first)
        file.write(b"\n \r\n" * (1 << 20))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"MiB of nothing but white space in a row|no column 'model'"):
        read(path)
