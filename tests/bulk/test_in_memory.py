"""Answers in memory are embedded as those of a file are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import univar
from tests.conftest import answer_rows, write_jsonl
from univar import Encoder, Index, Store, embed
from univar.errors import DataError, UsageError


@pytest.mark.parametrize("kind", ["frame", "table", "dicts", "polars"])
def test_rows_in_memory_give_the_store_of_a_file(tmp_path: Path, tiny_bert: Path, kind: str) -> None:
    rows = answer_rows(12)
    embed([write_jsonl(tmp_path / "a.jsonl", rows)], tmp_path / "file", encoder=tiny_bert)
    given: Any = rows
    if kind == "frame":
        given = pd.DataFrame(rows, index=range(5, 17))
    elif kind == "table":
        given = pa.Table.from_pylist(rows)
    elif kind == "polars":
        given = pytest.importorskip("polars").DataFrame(rows)
    report = embed(given, tmp_path / "memory", encoder=str(tiny_bert))
    assert (report.embedded, report.rejected) == (12, 0)
    ours, theirs = Store(tmp_path / "memory"), Store(tmp_path / "file")
    assert ours.columns == theirs.columns
    assert ours.column("answer").tolist() == theirs.column("answer").tolist()
    np.testing.assert_array_equal(np.asarray(ours.embeddings), np.asarray(theirs.embeddings))


def test_rows_that_cannot_be_embedded_are_told(tmp_path: Path, tiny_bert: Path) -> None:
    rejected: list[str] = []
    rows = [*answer_rows(3), {"model": "m", "language": "eng", "question": "why?"}]
    report = embed(rows, tmp_path / "s", encoder=tiny_bert, on_rejected=rejected.append)
    assert (report.embedded, report.rejected) == (3, 1)
    assert "row 4: answer is missing or null" in rejected[0]
    with pytest.raises(DataError, match="cannot be read as a table"):
        embed([{"model": "a"}, {"model": object()}], tmp_path / "t", encoder=tiny_bert)


def test_an_index_over_a_matrix() -> None:
    matrix = np.eye(4, dtype=np.float32)
    for kind in ("exact", "flat"):
        index = Index.build(matrix, kind)
        scores, rows = index.search(matrix[2:3], 2)
        assert (rows[0, 0], scores[0, 0]) == (2, 1.0)
    assert repr(Index.build(matrix)) == "Index(exact, 4 rows x 4, recall@10 1.000)"
    with pytest.raises(UsageError, match="no store to be saved in"):
        Index.build(matrix).save()
    with pytest.raises(DataError, match="matrix of rows and dimensions"):
        Index.build(matrix[0])
    with pytest.raises(DataError, match="NaN"):
        Index.build(matrix * np.nan)


def test_dir_has_the_names_that_are_not_imported_yet() -> None:
    assert set(univar.__all__) <= set(dir(univar))


def test_messages_name_the_rows_and_no_file(tmp_path: Path, tiny_bert: Path) -> None:
    good = {"model": "m", "language": "eng", "question": "q ?", "answer": "care"}
    with pytest.raises(DataError, match=r"^the rows given: no column 'answer'"):
        embed(
            pd.DataFrame([{"model": "m", "language": "eng", "question": "q ?"}]),
            tmp_path / "a",
            encoder=tiny_bert,
        )
    told: list[str] = []
    report = embed([good, {**good, "model": ""}], tmp_path / "b", encoder=tiny_bert, on_rejected=told.append)
    assert report.rejected == 1
    assert told == ["the rows given, row 2: model is empty"]
    assert "univar-" not in (tmp_path / "b" / "rejected.jsonl").read_text()


def test_what_is_printed_of_an_encoder_and_a_store_says_what_they_are(
    tmp_path: Path, tiny_bert: Path
) -> None:
    encoder = Encoder(tiny_bert, max_length=120)
    assert repr(encoder) == f"Encoder({tiny_bert.name!r}, 32 dims, up to 120 tokens)"
    embed(answer_rows(3), tmp_path / "s", encoder=encoder)
    assert repr(Store(tmp_path / "s")) == f"Store({str(tmp_path / 's')!r}, 3 rows x 32 float16)"
