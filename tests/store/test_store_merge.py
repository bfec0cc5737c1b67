"""Merging: each row once, in the order of the inputs, and again after an interruption."""

import importlib

import numpy as np
import pytest

from tests.store.store_rows import DIM, ENCODER, contents, flip_bit, rows, rows_of, write
from univar.errors import DataError, StoreCorrupt, UsageError
from univar.store import Store, merge, verify

MODULE = importlib.import_module("univar.store.merging")


@pytest.fixture
def three(tmp_path):
    """Three stores; the second repeats two rows of the first and has a column more."""
    first = write(tmp_path / "a", rows(3, 0), rows(2, 1))
    overlap = rows(2, 1, topic=["t", "u"])
    second = write(tmp_path / "b", overlap, rows(4, 2, topic=["v"] * 4))
    return [first, second, write(tmp_path / "c", rows(1, 3))]


def test_rows_are_taken_once_in_the_order_of_the_inputs(three, tmp_path):
    facts = merge(three, tmp_path / "out")
    store = Store(tmp_path / "out")
    ids = ["0-0", "0-1", "0-2", "1-0", "1-1", "2-0", "2-1", "2-2", "2-3", "3-0"]
    assert store.column("id").tolist() == ids
    assert store.column("topic").tolist() == [""] * 5 + ["v"] * 4 + [""]
    assert facts == {
        "inputs": [str(path) for path in three],
        "rows": 10,
        "read": 12,
        "duplicates": 2,
        "added": 10,
    }
    assert store.runs == [{"kind": "merge", **{k: v for k, v in facts.items() if k != "added"}}]
    assert verify(store.path).ok


def test_everything_of_a_row_is_kept(tmp_path):
    a = write(tmp_path / "a", rows(5, 0, sampling=["hot"] * 5))
    merge([a], tmp_path / "out")
    assert contents(Store(tmp_path / "out")) == contents(Store(a))
    with_hash = Store(tmp_path / "out").shards[0].array("text_hash")
    np.testing.assert_array_equal(with_hash, rows(5, 0, sampling=["hot"] * 5).text_hash)


def test_workers_of_one_store_become_one(tmp_path):
    for index in (1, 0):
        write(tmp_path / "s", rows(3, index), worker=(index, 2))
    merge([tmp_path / "s"], tmp_path / "out")
    assert contents(Store(tmp_path / "out")) == contents(Store(tmp_path / "s"))
    assert Store(tmp_path / "out").workers == [(0, 1)]


def test_merging_again_adds_nothing(three, tmp_path):
    merge(three, tmp_path / "out")
    before = Store(tmp_path / "out").fingerprint
    assert merge(three, tmp_path / "out")["added"] == 0
    assert Store(tmp_path / "out").fingerprint == before
    assert len(Store(tmp_path / "out").runs) == 1


def test_an_interrupted_merge_goes_on(three, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    def stop(shard, wanted, writer):
        if writer.rows >= 5:
            raise Stop
        copy(shard, wanted, writer)
        writer.flush()

    copy = MODULE._copy
    with monkeypatch.context() as patched:
        patched.setattr(MODULE, "_copy", stop)
        with pytest.raises(Stop):
            merge(three, tmp_path / "out")
    assert len(Store(tmp_path / "out")) == 5
    facts = merge(three, tmp_path / "out")
    assert (facts["rows"], facts["added"], facts["duplicates"]) == (10, 5, 2)
    merge(three, tmp_path / "at-once")
    assert contents(Store(tmp_path / "out")) == contents(Store(tmp_path / "at-once"))


def test_shards_of_the_result_have_a_bounded_number_of_rows(tmp_path, monkeypatch):
    inputs = [write(tmp_path / str(start), rows(3, start)) for start in range(4)]
    monkeypatch.setattr(MODULE, "SHARD_ROWS", 5)
    merge(inputs, tmp_path / "out")
    assert [len(shard) for shard in Store(tmp_path / "out").shards] == [6, 6]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"encoder": {**ENCODER, "revision": "r2"}}, "encoder revision 'r1' and 'r2'"),
        ({"dtype": "float32"}, "dtype 'float16' and 'float32'"),
        ({"text_format": "qa/2"}, "text format"),
    ],
)
def test_stores_that_differ_are_refused_naming_both(tmp_path, settings, words):
    a, b = write(tmp_path / "a", rows(1, 0)), write(tmp_path / "b", rows(1, 1), **settings)
    with pytest.raises(DataError, match=words) as refusal:
        merge([a, b], tmp_path / "out")
    assert str(a) in str(refusal.value)
    assert str(b) in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_other_dims_are_refused(tmp_path):
    a = write(tmp_path / "a", rows(1, 0))
    b = write(tmp_path / "b", rows_of({"id": ["x"]}, dim=DIM + 1), encoder={**ENCODER, "dim": DIM + 1})
    with pytest.raises(DataError, match="encoder dim"):
        merge([a, b], tmp_path / "out")


def test_a_result_that_holds_other_rows_is_refused(three, tmp_path):
    out = write(tmp_path / "out", rows(2, 9))
    with pytest.raises(DataError, match="2 rows that are in none"):
        merge(three, out)
    assert len(Store(out)) == 2


def test_a_damaged_input_is_not_laundered(three, tmp_path):
    flip_bit(three[1] / "shards/00000000.h5", Store(three[1]).shards[0].info.datasets["embeddings"].offset)
    with pytest.raises(StoreCorrupt):
        merge(three, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_result_cannot_be_an_input_and_something_must_be_merged(three, tmp_path):
    with pytest.raises(UsageError, match="among the stores"):
        merge(three, tmp_path / "b" / ".." / "a")
    with pytest.raises(UsageError, match="at least one"):
        merge([], tmp_path / "out")
