"""Exports hold every row, in order, and open with the tools that people have."""

import csv
import json
import tracemalloc

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import univar as univar
from tests.store.store_rows import DIM, ENCODER, rows, write
from univar.errors import DataError, UsageError
from univar.store import Store, StoreWriter, export


@pytest.fixture
def store(tmp_path):
    return Store(write(tmp_path / "s", rows(5, 0, topic=["a", "é", "", "a", "\x00"]), rows(4, 1)))


def check_rows(table, store):
    for name in store.columns:
        assert table.column(name).to_pylist() == store.column(name).tolist()
    assert table.column("n_tokens").to_pylist() == store.n_tokens.tolist()
    assert table.column("truncated").to_pylist() == [bool(flag & 1) for flag in store.flags]
    assert table.column("reused").to_pylist() == [bool(flag & 2) for flag in store.flags]


def test_parquet_holds_all_columns_and_the_embeddings(store, tmp_path):
    facts = export(store, tmp_path / "e.parquet")
    table = pq.read_table(tmp_path / "e.parquet")
    check_rows(table, store)
    vectors = np.stack(table.column("embedding").to_numpy(zero_copy_only=False))
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.asarray(store.embeddings, dtype=np.float32))
    assert table.schema.field("embedding").type.list_size == DIM
    size = (tmp_path / "e.parquet").stat().st_size
    assert facts == {
        "format": "parquet",
        "files": [str(tmp_path / "e.parquet")],
        "rows": 9,
        "size_bytes": size,
    }


def test_npy_is_the_matrix_with_its_rows_beside_it(store, tmp_path):
    facts = export(store, tmp_path / "e.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "e.npy", allow_pickle=False), store.embeddings)
    check_rows(pq.read_table(tmp_path / "e.rows.parquet"), store)
    assert facts["files"] == [str(tmp_path / "e.rows.parquet"), str(tmp_path / "e.npy")]


def test_faiss_is_an_exact_index_with_its_rows_beside_it(store, tmp_path):
    export(store, tmp_path / "e.index")
    index = faiss.read_index(str(tmp_path / "e.index"))
    assert (index.ntotal, index.d, index.metric_type) == (9, DIM, faiss.METRIC_INNER_PRODUCT)
    np.testing.assert_array_equal(index.reconstruct_n(0, 9), np.asarray(store.embeddings, np.float32))
    check_rows(pq.read_table(tmp_path / "e.rows.parquet"), store)


def test_long_shards_are_written_in_several_row_groups(tmp_path):
    store = Store(write(tmp_path / "s", rows(20_000)))
    export(store, tmp_path / "e.parquet")
    assert pq.ParquetFile(tmp_path / "e.parquet").num_row_groups > 1
    assert pq.read_table(tmp_path / "e.parquet").column("id").to_pylist() == store.column("id").tolist()


@pytest.mark.parametrize("ending", ["parquet", "npy"])
def test_memory_does_not_grow_with_the_store(tmp_path, ending):
    wide = 256
    batches = [rows(400, start, dim=wide) for start in range(12)]
    store = Store(write(tmp_path / "s", *batches, encoder={**ENCODER, "dim": wide}))
    shard_bytes = 400 * wide * 4
    tracemalloc.start()
    export(store, tmp_path / f"e.{ending}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * shard_bytes


@pytest.mark.parametrize("ending", ["parquet", "npy", "faiss"])
def test_an_empty_store_is_exported(tmp_path, ending):
    with StoreWriter(tmp_path / "s", encoder=ENCODER):
        pass
    assert export(Store(tmp_path / "s"), tmp_path / f"e.{ending}")["rows"] == 0
    if ending == "npy":
        assert np.load(tmp_path / "e.npy", allow_pickle=False).shape == (0, DIM)


def test_columns_called_like_ours_keep_their_values_under_another_name(tmp_path):
    values = {"embedding": ["x", "y"], "input_embedding": ["p", "q"], "reused": ["no", "no"]}
    export(Store(write(tmp_path / "s", rows(2, **values))), tmp_path / "e.parquet")
    table = pq.read_table(tmp_path / "e.parquet")
    assert table.column("input_input_embedding").to_pylist() == ["x", "y"]
    assert table.column("input_embedding").to_pylist() == ["p", "q"]
    assert table.column("input_reused").to_pylist() == ["no", "no"]
    assert len(set(table.column_names)) == len(table.column_names)


def test_what_exists_is_not_overwritten_unless_asked(store, tmp_path):
    (tmp_path / "e.rows.parquet").write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        export(store, tmp_path / "e.npy")
    assert (tmp_path / "e.rows.parquet").read_text() == "mine"
    assert not (tmp_path / "e.npy").exists()
    export(store, tmp_path / "e.npy", force=True)
    assert pq.read_table(tmp_path / "e.rows.parquet").num_rows == 9


@pytest.mark.parametrize(("name", "format_"), [("e.xml", None), ("e", None), ("e.npy", "xml")])
def test_an_unknown_format_is_answered_with_those_there_are(store, tmp_path, name, format_):
    with pytest.raises(UsageError, match="parquet, csv, npy, faiss"):
        export(store, tmp_path / name, format_)


def test_the_format_can_be_given_for_any_ending(store, tmp_path):
    assert export(store, tmp_path / "e.bin", "parquet")["format"] == "parquet"
    assert pq.read_table(tmp_path / "e.bin").num_rows == 9


def test_csv_holds_the_columns(store, tmp_path):
    facts = export(store, tmp_path / "e.csv")
    assert (facts["format"], facts["rows"]) == ("csv", len(store))
    with open(tmp_path / "e.csv", encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    for name in store.columns:
        assert [row[name] for row in found] == store.column(name).tolist()
    assert [row["truncated"] for row in found] == [str(bool(flag & 1)).lower() for flag in store.flags]


@pytest.mark.parametrize("ending", ["parquet", "csv", "npy", "faiss"])
def test_columns_and_rows_are_chosen(store, tmp_path, ending):
    wanted = np.flatnonzero(store.column("topic") == "a")
    assert 0 < len(wanted) < len(store)
    out = tmp_path / f"e.{ending}"
    facts = export(store, out, columns=["topic", "source", "answer"], where={"topic": ["a"]}, text=False)
    assert facts["rows"] == len(wanted)
    if ending == "csv":
        assert out.read_text().splitlines()[0].replace('"', "") == "topic,source,n_tokens,truncated,reused"
        return
    rows = pq.read_table(out if ending == "parquet" else tmp_path / "e.rows.parquet")
    assert rows.column("topic").to_pylist() == ["a"] * len(wanted)
    assert rows.column("source").to_pylist() == store.column("source")[wanted].tolist()
    assert "answer" not in rows.column_names
    vectors = np.asarray(store.embeddings[wanted], dtype=np.float32)
    if ending == "parquet":
        found = np.stack(rows.column("embedding").to_numpy(zero_copy_only=False))
    elif ending == "npy":
        found = np.load(out).astype(np.float32)
    else:
        found = faiss.read_index(str(out)).reconstruct_n(0, len(wanted))
    np.testing.assert_array_equal(found, vectors)


def test_wrong_columns_and_rows_are_told(store, tmp_path):
    out = tmp_path / "e.parquet"
    with pytest.raises(UsageError, match="no column 'nope': its columns are source, id"):
        export(store, out, columns=["nope"])
    with pytest.raises(UsageError, match="no column is left"):
        export(store, out, columns=["answer"], text=False)
    with pytest.raises(DataError, match="no row in which topic is x or y"):
        export(store, out, where={"topic": ["x", "y"]})
    assert not out.exists()


def test_an_index_is_written_beside_a_matrix_of_the_same_rows(store, tmp_path):
    export(store, tmp_path / "e.npy")
    export(store, tmp_path / "e.faiss")
    check_rows(pq.read_table(tmp_path / "e.rows.parquet"), store)
    with pytest.raises(UsageError, match=r"e.rows.parquet already exists"):
        export(store, tmp_path / "e.index", where={"topic": ["a"]})
    with pytest.raises(UsageError, match=r"e.faiss already exists"):
        export(store, tmp_path / "e.faiss")


def test_a_store_as_a_table_and_as_a_data_frame(store):
    table = store.to_arrow()
    check_rows(table, store)
    assert store.to_arrow(["source"], embeddings=False).column_names == [
        "source", "n_tokens", "truncated", "reused"
    ]  # fmt: skip
    frame = store.to_pandas(["model"])
    assert frame["model"].tolist() == store.column("model").tolist()
    np.testing.assert_array_equal(
        np.stack(frame["embedding"]), np.asarray(store.embeddings, dtype=np.float32)
    )


def test_export_of_the_command_line(store, univar, tmp_path):
    out = tmp_path / "e.csv"
    done = univar("export", store.path, "-o", out, "--columns", "id, topic", "--where", "topic=a", "--json")
    assert (done.exit_code, json.loads(done.stdout)["rows"]) == (0, 2)
    assert univar("export", store.path, "-o", out, "--where", "topic").exit_code == 2


def test_a_matrix_and_an_index_of_the_same_rows_stand_side_by_side(store, tmp_path):
    export(store, tmp_path / "e.npy")
    export(store, tmp_path / "e.faiss")
    assert pq.read_table(tmp_path / "e.rows.parquet").num_rows == len(store)
    with pytest.raises(UsageError, match=r"e\.rows\.parquet"):
        export(store, tmp_path / "e.index", where={"topic": ["a"]})
