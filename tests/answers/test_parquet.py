"""Rows that are read at once are few where rows share long strings, whatever way they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from univar.answers.parquet import UNPACKED_BYTES, rows_at_once

MIB = 1 << 20
LONG = "x" * (4 * MIB)
N = 20


def rows(folder: Path, answers: list[str], batch_bytes: int = 16 * MIB, **options: Any) -> int:
    pq.write_table(pa.table({"answer": answers}), folder / "a.parquet", **options)
    with open(folder / "a.parquet", "rb") as file:
        return rows_at_once(file, pq.read_metadata(file), 0, 4096, batch_bytes)


def test_short_strings_are_read_in_whole_batches(tmp_path: Path) -> None:
    assert rows(tmp_path, ["short"] * N) == 4096
    assert rows(tmp_path, ["short"] * N, use_dictionary=False) == 4096


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_a_long_dictionary_bounds_the_rows(tmp_path: Path, compression: str) -> None:
    most = UNPACKED_BYTES // len(LONG)
    assert most - 1 <= rows(tmp_path, [LONG] * N, compression=compression) <= most


def test_strings_that_continue_the_one_before_bound_the_rows(tmp_path: Path) -> None:
    options: dict[str, Any] = {"use_dictionary": False, "column_encoding": {"answer": "DELTA_BYTE_ARRAY"}}
    assert 1 <= rows(tmp_path, [LONG] * N, **options) <= UNPACKED_BYTES // len(LONG)


def test_long_rows_are_read_one_by_one(tmp_path: Path) -> None:
    assert rows(tmp_path, [LONG] * N, batch_bytes=MIB, use_dictionary=False) == 1


def test_where_no_page_is_all_of_the_column_may_be_shared(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"answer": [LONG]}), path, compression="none")
    path.write_bytes(path.read_bytes()[:4] + b"\xff" * 4 + path.read_bytes()[8:])
    with open(path, "rb") as file:
        most = UNPACKED_BYTES // len(LONG)
        assert rows_at_once(file, pq.read_metadata(path), 0, 4096, 1 << 40) in (most - 1, most)
