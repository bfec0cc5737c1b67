"""The estimate of a progress bar is near, and None where nobody can know."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import answer_rows, write_jsonl
from univar.answers import estimate_rows, read_rows


def test_parquet_knows_and_text_files_are_sampled(tmp_path: Path) -> None:
    rows = answer_rows(500)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    write_jsonl(tmp_path / "b.jsonl", rows)
    assert estimate_rows([tmp_path / "a.parquet", tmp_path / "b.jsonl"]) == 1000


def test_compressed_input_has_no_estimate(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    assert estimate_rows([tmp_path / "a.jsonl.gz"]) is None


def test_a_pipe_is_not_looked_into(tmp_path: Path) -> None:
    """The estimate once read the first megabyte of a pipe, and those rows were gone."""
    pipe = tmp_path / "answers.jsonl"
    os.mkfifo(pipe)
    rows = [
        json.dumps({"model": "m", "language": "eng", "question": "q", "answer": f"a{i}"}) for i in range(3000)
    ]
    writer = threading.Thread(target=lambda: pipe.write_text("\n".join(rows)))
    assert estimate_rows([pipe]) is None
    writer.start()
    batches = list(read_rows(pipe, on_rejected=pytest.fail))
    writer.join()
    assert sum(len(batch.rows) for batch in batches) == 3000
