"""A file that cannot be used is a DataError that names it and the remedy; a senseless call a UsageError."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.answers.conftest import GOOD, WRITERS, jsonl, lines, parquet, read, written, zstd
from univar.answers import RejectedRow, read_rows
from univar.errors import DataError, UsageError

ROWS = [GOOD | {"answer": f"because {number}"} for number in range(500)]


def fails(path: Path, *parts: str, **options: Any) -> str:
    """The message of the DataError that reading `path` gives: one line, with the path and all of `parts`."""
    with pytest.raises(DataError) as raised:
        read(path, **options)
    message = str(raised.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message
    return message


def test_missing_file(tmp_path: Path) -> None:
    fails(tmp_path / "nothing.jsonl", "does not exist")


def test_folder(tmp_path: Path) -> None:
    fails(tmp_path, "is a folder", "*.jsonl")


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lines(tmp_path / "a.jsonl", GOOD)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    fails(path, "no permission")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.zst"])
def test_file_of_zero_bytes(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"")
    fails(path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"model,language,question,answer\n"),
        ("a.jsonl", b"\n\n"),
        ("a.parquet", None),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0)),
        ("a.tsv.zst", zstd(b"\xef\xbb\xbf")),
    ],
)
def test_file_without_rows(tmp_path: Path, name: str, data: bytes | None) -> None:
    path = tmp_path / name
    if data is None:
        pq.write_table(pa.Table.from_pylist([GOOD]).slice(0, 0), path)
    else:
        path.write_bytes(data)
    fails(path, "is empty")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_missing_column_lists_what_is_there(tmp_path: Path, ending: str) -> None:
    row = {"model": "m", "language": "eng", "question": "why?", "said": "because"}
    path = written(tmp_path / f"a.{ending}", [row])
    fails(path, "no column 'answer'", "'question', 'said'", "--map answer=COLUMN")
    fails(path, "no column 'reply' to map to 'answer'", "'said'", rename={"answer": "reply"})


@pytest.mark.parametrize("ending", WRITERS)
def test_all_rows_rejected_names_the_first_reason(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"a.{ending}", [GOOD | {"language": "xx"}] * 30)
    told: list[RejectedRow] = []
    with pytest.raises(DataError, match=r"all 30 rows .*the first, row \d: .*unknown language 'xx'"):
        list(read_rows(path, on_rejected=told.append, batch_rows=4))
    assert len(told) == 30


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9, 0.999])
def test_truncated_compressed_file(tmp_path: Path, compress: Any, part: float) -> None:
    rng = random.Random(0)
    data = compress(jsonl([GOOD | {"answer": rng.randbytes(50).hex()} for _ in range(3000)]))
    path = tmp_path / ("a.jsonl.gz" if compress is gzip.compress else "a.jsonl.zst")
    path.write_bytes(data[: int(len(data) * part)])
    fails(path, "cannot be read", "cut short", "get it again")


def test_text_that_only_claims_to_be_compressed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(jsonl([GOOD]))
    fails(tmp_path / "a.jsonl.gz", "cannot be read at all")


def test_the_fault_says_after_which_row_it_is(tmp_path: Path) -> None:
    rng = random.Random(0)
    data = gzip.compress(jsonl([GOOD | {"answer": rng.randbytes(500).hex()} for _ in range(5000)]))
    (tmp_path / "a.jsonl.gz").write_bytes(data[: len(data) * 9 // 10])
    read_before: list[int] = []
    with pytest.raises(DataError, match="after row ") as raised:
        for batch in read_rows(tmp_path / "a.jsonl.gz", on_rejected=print, batch_rows=100):
            read_before += batch.rows.tolist()
    assert read_before == list(range(1, len(read_before) + 1))
    assert f"after row {len(read_before)} " in str(raised.value)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.7, 0.99, 0.9999])
def test_truncated_parquet(tmp_path: Path, part: float) -> None:
    data = parquet(ROWS)
    (tmp_path / "a.parquet").write_bytes(data[: int(len(data) * part)])
    fails(tmp_path / "a.parquet", "cannot be read at all")


def test_text_that_only_claims_to_be_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(jsonl(ROWS))
    fails(tmp_path / "a.parquet", "no parquet", "--format")


def read_damaged(path: Path, tries: int) -> None:
    """Read `path` with random bytes changed, `tries` times: DataError or whole text, nothing else."""
    data = path.read_bytes()
    rng = random.Random(2)
    outcomes = set()
    for _ in range(tries):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 3])):
            start = rng.choice([0, len(data) // 2])  # the footer is in the second half
            damaged[rng.randrange(start, len(data))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            for batch in read_rows(path, on_rejected=lambda row: None):
                for column in batch.table.columns:
                    column.validate(full=True)
            outcomes.add("read")
        except DataError:
            outcomes.add("error")
    assert outcomes == {"read", "error"}


def test_a_damaged_parquet_file_is_an_error_or_whole_text(tmp_path: Path) -> None:
    rows = [GOOD | {"answer": f"because é {number}", "more": [str(number)]} for number in range(50)]
    path = written(tmp_path / "a.parquet", rows)
    call = f"from tests.answers.test_files import *; read_damaged(Path({str(path)!r}), 1500)"
    child = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr  # a crash of the process would be seen here


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"model,language,question,answer,answer\nm,eng,why?,a,b\n", "'answer' twice"),
        (b"model,language,question,answ\xff\nm,eng,why?,a\n", "the header: not UTF-8"),
        (b'"model"x,language,question,answer\nm,eng,why?,a\n', "line 1: cannot read the header"),
        (b"m,eng,why?,a\nm,eng,why?,b\n", "no column 'model'"),
    ],
)  # fmt: skip
def test_csv_that_cannot_be_told_apart(tmp_path: Path, text: bytes, part: str) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    fails(tmp_path / "a.csv", part)


def test_rows_of_earlier_files_come_before_a_fault(tmp_path: Path) -> None:
    good = written(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "b.parquet").write_bytes(parquet(ROWS)[:-100])
    batches = read_rows([good, tmp_path / "b.parquet"], on_rejected=print)
    assert len(next(batches).rows) == 500
    with pytest.raises(DataError, match=r"b\.parquet"):
        next(batches)


def test_faults_that_can_be_seen_at_once_come_before_any_row(tmp_path: Path) -> None:
    good = written(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DataError, match="does not exist"):
        read_rows([good, tmp_path / "nothing.csv"], on_rejected=print)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([], {}, "no input"),
        (["-", "-"], {}, "only once"),
        (["-"], {"format": "parquet"}, "Parquet cannot be read from stdin"),
        (["-"], {"format": "xlsx"}, "unknown format 'xlsx': choose one of jsonl, json, csv, tsv"),
        (["a.doc"], {}, r"a\.doc: the ending '\.doc' tells no format: name one with --format"),
        (["a.gz"], {}, "tells no format"),
        (["a.parquet.gz"], {}, "Parquet is compressed inside: unpack"),
        (["a.jsonl"], {"batch_rows": 0}, "must be at least 1"),
    ],
)
def test_call_that_makes_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in inputs:
        if name != "-":
            Path(name).write_bytes(b"x")
    with pytest.raises(UsageError, match=message):
        read_rows(inputs, on_rejected=print, **options)
