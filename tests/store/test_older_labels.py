"""Stores of earlier versions, with `ara` for `ar` and without scripts, read, grow and merge as new ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.store.store_rows import ENCODER, rows, write
from univar import schema
from univar._native import HashIndex
from univar.bulk.report import EmbedReport
from univar.bulk.windows import RowFilter
from univar.store import EmbeddedRows, Store, StoreWriter, export, verify
from univar.store.merging import merge

OLD = ["ara", "pes", "cmn", "eng", "arb"]
NEW = ["arb", "fas", "zho", "eng", "arb"]


def old_and_new() -> tuple[EmbeddedRows, EmbeddedRows]:
    """The same five answers as an earlier version labelled them, and as this one does."""
    models = ["m"] * 5
    return rows(5, language=OLD, model=models), rows(5, language=NEW, model=models)


def test_an_old_store_reads_with_the_labels_of_today(tmp_path: Path) -> None:
    old, new = old_and_new()
    store = Store(write(tmp_path / "s", old))
    assert store.column("language").tolist() == NEW
    assert store.text("language", [1, 0]) == ["fas", "arb"]
    assert store.codes("source")[1] == ["m/arb", "m/eng", "m/fas", "m/zho"]
    assert store.text("source", [2]) == ["m/zho"]
    assert next(store.iter_tables(["language", "source"]))["source"].to_pylist()[0] == "m/arb"
    assert np.array_equal(store.row_hash, new.row_hash)
    assert verify(tmp_path / "s").ok


def test_a_writer_knows_the_rows_of_an_old_store(tmp_path: Path) -> None:
    old, new = old_and_new()
    with StoreWriter(write(tmp_path / "s", old), encoder=ENCODER) as writer:
        assert writer.known_rows.find(new.row_hash).tolist() == [0, 1, 2, 3, 4]


def test_merging_an_old_and_a_new_store_keeps_each_row_once_under_the_new_label(tmp_path: Path) -> None:
    old, new = old_and_new()
    facts = merge([write(tmp_path / "a", old), write(tmp_path / "b", new)], tmp_path / "c")
    assert (facts["rows"], facts["duplicates"]) == (5, 5)
    assert Store(tmp_path / "c").shards[0].strings("language").to_pylist() == NEW
    assert verify(tmp_path / "c").ok


class NoTokens:
    def encode(self, texts: pa.Array) -> object:
        raise AssertionError("nothing is new")


class Batch:
    file = "answers.jsonl"

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.rows = np.arange(1, table.num_rows + 1)


def test_rows_stored_before_scripts_were_kept_are_not_embedded_again(tmp_path: Path) -> None:
    stored = rows(3, language=["zho", "srp", "eng"])
    asked = rows(3, language=["zho_Hant", "srp_Latn", "eng"])
    known = HashIndex()
    known.insert(stored.row_hash, np.arange(3, dtype=np.int64))
    report = EmbedReport(store="s")
    windows = RowFilter(known, HashIndex(), 3, (0, 1), pytest.fail).windows(
        [Batch(asked.table)], NoTokens(), report
    )
    assert list(windows) == []
    assert (report.rows_read, report.already_stored) == (3, 3)
    assert schema.normalize_language("zho_Hant") == "zho_Hant"


def test_reasoning_kept_as_codes_reads_like_reasoning_kept_as_text(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(schema, "TEXT_COLUMNS", tuple(n for n in schema.TEXT_COLUMNS if n != "reasoning"))
        path = write(tmp_path / "s", rows(3, 0, reasoning=["a", "b", ""]))
    write(path, rows(2, 1, reasoning=["a", "c"]))
    store = Store(path)
    assert [shard.is_coded("reasoning") for shard in store.shards] == [True, False]
    assert store.column("reasoning").tolist() == ["a", "b", "", "a", "c"]
    codes, labels = store.codes("reasoning")
    assert [labels[code] for code in codes] == ["a", "b", "", "a", "c"]
    merge([path], tmp_path / "merged")
    assert Store(tmp_path / "merged").column("reasoning").tolist() == ["a", "b", "", "a", "c"]
    export(store, tmp_path / "e.csv", text=False)
    assert "reasoning" not in (tmp_path / "e.csv").read_text().splitlines()[0]
