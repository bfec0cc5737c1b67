"""The view of a store: rows, columns, codes and the matrix."""

import numpy as np
import pytest

from tests.store.store_rows import DIM, ENCODER, rows, write
from univar.errors import DataError, UsageError
from univar.store import Store, StoreWriter


@pytest.fixture(scope="module")
def matrix():
    return np.concatenate([rows(n, n).embeddings for n in (3, 5, 2)]).astype(np.float16)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(write(tmp_path_factory.mktemp("s") / "s", rows(3, 3), rows(5, 5), rows(2, 2)))


@pytest.mark.parametrize(
    "key",
    [
        0,
        9,
        -1,
        np.int64(4),
        slice(None),
        slice(1, 3),
        slice(2, 7),
        slice(0, 10, 3),
        slice(8, 2, -2),
        slice(5, 5),
        slice(-4, None),
        [7, 0, 7, -1],
        np.array([], dtype=np.int64),
        np.arange(10) % 2 == 0,
    ],
)
def test_embeddings_are_indexed_like_an_array(store, matrix, key):
    got = store.embeddings[key]
    np.testing.assert_array_equal(got, matrix[key])
    assert got.shape == matrix[key].shape
    assert got.dtype == np.float16


def test_embeddings_have_the_shape_of_an_array(store, matrix):
    assert store.embeddings.shape == matrix.shape == (len(store.embeddings), DIM)
    np.testing.assert_array_equal(np.asarray(store.embeddings), matrix)
    assert np.asarray(store.embeddings, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("key", [10, -11, [0, 10]])
def test_rows_beyond_the_end_raise_index_error(store, key):
    with pytest.raises(IndexError):
        store.embeddings[key]


@pytest.mark.parametrize("key", [1.5, [True], "a", np.zeros((2, 2), np.int64), None])
def test_rows_are_chosen_only_by_numbers_masks_and_slices(store, key):
    with pytest.raises(UsageError):
        store.embeddings[key]


def test_a_slice_inside_a_shard_is_a_view_that_cannot_be_written(store):
    part = store.embeddings[3:8]
    assert part.base is not None
    with pytest.raises(ValueError, match="read-only"):
        part[0, 0] = 1


def test_blocks_cover_every_row_once_and_cross_no_shard(store, matrix):
    blocks = list(store.embeddings.blocks(max_rows=2))
    assert [start for start, _ in blocks] == [0, 2, 3, 5, 7, 8]
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), matrix)


def test_codes_are_merged_over_shards_in_sorted_order(store):
    codes, labels = store.codes("model")
    assert labels == [f"model {number}" for number in range(5)]
    assert codes.dtype == np.int32
    assert [labels[code] for code in codes] == store.column("model").tolist()


def test_source_is_model_and_language(store):
    codes, labels = store.codes("source")
    expected = [f"{m}/{k}" for m, k in zip(store.column("model"), store.column("language"), strict=True)]
    assert store.column("source").tolist() == [labels[code] for code in codes] == expected
    assert labels == sorted(set(expected))
    assert store.text("source", [9, 0]) == [expected[9], expected[0]]


def test_text_gives_some_rows_in_the_order_asked_for(store):
    answers = store.column("answer").tolist()
    assert store.text("answer", [9, 0, 4, 0]) == [answers[row] for row in (9, 0, 4, 0)]
    assert store.text("answer", []) == []
    with pytest.raises(UsageError):
        store.text("answer", [10])


def test_tables_stream_all_columns_in_order(store):
    tables = list(store.iter_tables(["id", "source", "model"], max_rows=4))
    assert [table.num_rows for table in tables] == [3, 4, 1, 2]
    for name in ("id", "source", "model"):
        got = [value for table in tables for value in table.column(name).to_pylist()]
        assert got == store.column(name).tolist()


def test_numbers_of_all_shards_are_joined(store):
    assert store.n_tokens.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 0, 1]
    assert store.flags.tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 0, 1]
    np.testing.assert_array_equal(store.row_hash[3:8], rows(5, 5).row_hash)


@pytest.mark.parametrize("read", ["column", "codes", lambda s: s.text("nothing", [0])])
def test_an_unknown_column_is_answered_with_those_there_are(store, read):
    with pytest.raises(UsageError, match="source, id, model, language, question_id, question, answer"):
        read(store) if callable(read) else getattr(store, read)("nothing")


def test_a_folder_without_a_store_is_refused_with_a_remedy(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="univar embed"):
            Store(path)


def test_an_open_store_does_not_see_rows_written_later(tmp_path):
    path = write(tmp_path / "s", rows(2, 0))
    before = Store(path)
    with StoreWriter(path, encoder=ENCODER) as writer:
        writer.append(rows(3, 1))
    assert len(before) == len(before.column("answer")) == 2
    assert len(Store(path)) == 5


def test_what_a_check_can_be_is_said(tmp_path):
    with pytest.raises(UsageError, match="'blocks'"):
        Store(tmp_path, check="all")
