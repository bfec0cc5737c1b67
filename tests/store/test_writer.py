"""Appending, resuming, refusing: what a writer does with a store that is there."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.store.store_rows import DIM, ENCODER, contents, rows, write
from univar.errors import DataError, StoreCorrupt, StoreLocked, UsageError
from univar.store import Store, StoreWriter, verify

HOLD_LOCK = """
import sys
from tests.store.store_rows import ENCODER
from univar.store import StoreWriter
with StoreWriter(sys.argv[1], encoder=ENCODER, worker=(0, 1)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held_store(tmp_path):
    """A store that another process is writing to, as worker 0 of 1."""
    command = [sys.executable, "-c", HOLD_LOCK, str(tmp_path / "s")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=REPOSITORY, **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        yield tmp_path / "s", process
        process.stdin.close()


def test_appending_later_makes_new_shards_and_leaves_the_old(tmp_path):
    write(tmp_path / "s", rows(3, 0))
    old = Store(tmp_path / "s").shards[0].path
    before = (old.stat().st_mtime_ns, old.read_bytes())
    write(tmp_path / "s", rows(2, 1))
    store = Store(tmp_path / "s")
    assert len(store) == 5
    assert len(store.shards) == 2
    assert (old.stat().st_mtime_ns, old.read_bytes()) == before


def test_the_fingerprint_changes_with_the_rows_only(tmp_path):
    write(tmp_path / "s", rows(3, 0))
    first = Store(tmp_path / "s").fingerprint
    write(tmp_path / "s")
    assert Store(tmp_path / "s").fingerprint == first
    write(tmp_path / "s", rows(1, 1))
    assert Store(tmp_path / "s").fingerprint != first


def test_the_same_rows_give_the_same_files(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, rows(3, 0), rows(2, 1, topic=["x", "y"]))
    assert Store(tmp_path / "a").fingerprint == Store(tmp_path / "b").fingerprint
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()


def test_known_rows_and_texts_are_there_after_reopening(tmp_path):
    batches = [rows(3, 0), rows(2, 1)]
    write(tmp_path / "s", *batches)
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        pending = rows(2, 2)
        writer.append(pending)
        hashes = np.concatenate([batch.row_hash for batch in [*batches, pending]])
        assert writer.known_rows.find(hashes).tolist() == list(range(7))
        assert writer.known_texts.find(pending.text_hash).tolist() == [5, 6]
        assert (writer.rows, writer.finished_rows, writer.pending_rows) == (7, 5, 2)


def test_embeddings_of_finished_and_pending_rows(tmp_path):
    first, second = rows(3, 0), rows(2, 1)
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        writer.append(first)
        writer.flush()
        writer.append(second)
        got = writer.embeddings_of(np.array([4, 0, 2, 3]))
        expected = np.concatenate([first.embeddings, second.embeddings])[[4, 0, 2, 3]]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected.astype(np.float16))
        with pytest.raises(UsageError):
            writer.embeddings_of(np.array([5]))


def test_flush_without_rows_writes_nothing(tmp_path):
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        before = (tmp_path / "s/manifest.json").stat().st_mtime_ns
        writer.flush()
        assert (tmp_path / "s/manifest.json").stat().st_mtime_ns == before
        assert list((tmp_path / "s/shards").iterdir()) == []


def test_runs_are_kept_in_order(tmp_path):
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        writer.append(rows(1))
        writer.flush(run={"rows": 1})
        writer.flush(run={"rows": 0})
    assert Store(tmp_path / "s").runs == [{"rows": 1}, {"rows": 0}]


def test_leaving_by_an_exception_keeps_only_what_was_flushed(tmp_path):
    def stop():
        with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
            writer.append(rows(2, 0))
            writer.flush()
            writer.append(rows(2, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert len(Store(tmp_path / "s")) == 2


def test_a_row_that_is_there_already_is_refused(tmp_path):
    write(tmp_path / "s", rows(3, 0))
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer, pytest.raises(DataError, match="already"):
        writer.append(rows(3, 0))
    twice = rows(2, 1)
    twice.row_hash[1] = twice.row_hash[0]
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer, pytest.raises(DataError, match="already"):
        writer.append(twice)


def test_rows_that_the_caller_announced_in_known_rows_can_be_left_out_and_appended(tmp_path):
    announced = rows(4, 0)
    some = [3, 1]
    kept = rows(4, 0)
    kept.table = announced.table.take(some)
    for name in ("embeddings", "row_hash", "text_hash", "n_tokens", "flags"):
        setattr(kept, name, getattr(announced, name)[some])
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        writer.known_rows.insert(announced.row_hash, np.arange(4, dtype=np.int64))
        writer.append(kept)
    assert Store(tmp_path / "s").column("id").tolist() == ["0-3", "0-1"]


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": np.zeros((2, DIM), np.float32)},
        {"embeddings": np.full((2, DIM), np.nan, np.float32)},
        {"embeddings": np.zeros((2, DIM + 1), np.float32)},
        {"embeddings": np.zeros((2, DIM), np.float64)},
        {"row_hash": np.zeros((2, 8), np.uint8)},
        {"flags": np.zeros(3, np.uint8)},
        {"table": rows(2).table.drop_columns(["model"])},
        {"table": rows(2).table.append_column("source", rows(2).table["model"])},
        {"table": rows(2).table.append_column("model", rows(2).table["model"])},
        {"table": rows(2).table.append_column("n", [[1, 2]])},
    ],
)
def test_malformed_rows_are_refused_and_nothing_is_kept(tmp_path, change):
    batch = rows(2)
    for name, value in change.items():
        setattr(batch, name, value)
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        with pytest.raises(DataError):
            writer.append(batch)
        assert writer.rows == len(writer.known_rows) == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("id", "other"), ("revision", None), ("dim", 5), ("max_length", 17), ("pooling", "cls")],
)
def test_another_encoder_is_refused_naming_both(tmp_path, key, value):
    write(tmp_path / "s", rows(1))
    with pytest.raises(DataError, match=f"encoder {key} {ENCODER[key]!r} and {value!r}"):
        StoreWriter(tmp_path / "s", encoder={**ENCODER, key: value})


@pytest.mark.parametrize("other", [{"dtype": "float32"}, {"text_format": "qa/2"}, {"worker": (0, 2)}])
def test_another_way_of_storing_is_refused(tmp_path, other):
    write(tmp_path / "s", rows(1))
    with pytest.raises(DataError, match="made with other settings"):
        StoreWriter(tmp_path / "s", encoder=ENCODER, **other)


def test_device_and_compute_dtype_may_differ_between_runs(tmp_path):
    write(tmp_path / "s", rows(1, 0), encoder={**ENCODER, "device": "cpu"})
    write(tmp_path / "s", rows(1, 1), encoder={**ENCODER, "device": "cuda"})
    assert len(Store(tmp_path / "s")) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"encoder": {"id": "x"}},
        {"encoder": {**ENCODER, "dim": 0}},
        {"encoder": {**ENCODER, "note": object()}},
        {"encoder": {**ENCODER, "id": "\ud800"}},
        {"encoder": ENCODER, "dtype": "int8"},
        {"encoder": ENCODER, "worker": (2, 2)},
    ],
)
def test_senseless_arguments_are_refused(tmp_path, arguments):
    with pytest.raises(UsageError):
        StoreWriter(tmp_path / "s", **arguments)
    assert not (tmp_path / "s").exists()


def test_a_second_writer_is_refused_at_once_naming_the_first(held_store):
    path, process = held_store
    with pytest.raises(StoreLocked, match=f"process {process.pid}"):
        StoreWriter(path, encoder=ENCODER)


def test_readers_do_not_care_about_the_lock(held_store):
    assert len(Store(held_store[0], check="blocks")) == 0


def test_the_lock_of_a_killed_writer_is_free(held_store):
    path, process = held_store
    process.kill()
    process.wait()
    with StoreWriter(path, encoder=ENCODER) as writer:
        assert writer.rows == 0


def test_a_second_writer_in_the_same_process_is_refused(tmp_path):
    with StoreWriter(tmp_path / "s", encoder=ENCODER), pytest.raises(StoreLocked):
        StoreWriter(tmp_path / "s", encoder=ENCODER)


def test_workers_write_side_by_side_and_are_read_in_their_order(tmp_path):
    with (
        StoreWriter(tmp_path / "s", encoder=ENCODER, worker=(2, 3)) as late,
        StoreWriter(tmp_path / "s", encoder=ENCODER, worker=(0, 3)) as early,
    ):
        late.append(rows(2, 2))
        late.flush()
        early.append(rows(3, 0))
    store = Store(tmp_path / "s", check="blocks")
    assert store.workers == [(0, 3), (2, 3)]
    assert store.column("id").tolist() == ["0-0", "0-1", "0-2", "2-0", "2-1"]
    assert any("2 of 3 workers" in note for note in verify(store.path).notes)


def test_left_overs_of_a_killed_writer_do_not_exist_and_are_removed(tmp_path):
    path = write(tmp_path / "s", rows(2, 0))
    before = contents(Store(path))
    finished = path / "shards/00000000.h5"
    left_overs = [path / "shards/00000001.h5", path / "shards/.00000001.h5.0a1b2c3d.tmp"]
    left_overs += [path / ".manifest.json.0a1b2c3d.tmp"]
    others = [path / "shards/notes.txt", path / "shards/1-of-4-00000000.h5", path / "index.faiss"]
    for file in left_overs + others:
        file.write_bytes(finished.read_bytes())
    assert contents(Store(path)) == before
    write(path, rows(1, 1))
    assert len(Store(path, check="blocks")) == 3
    assert not any(file.exists() for file in left_overs[1:])
    assert left_overs[0].read_bytes() != finished.read_bytes()
    assert all(file.exists() for file in others)


def test_a_flipped_bit_in_an_old_shard_stops_the_writer(tmp_path):
    path = write(tmp_path / "s", rows(2, 0))
    info = Store(path).shards[0].info
    shard = path / "shards" / info.file
    data = bytearray(shard.read_bytes())
    data[info.datasets["row_hash"].offset] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreCorrupt, match=info.file):
        StoreWriter(path, encoder=ENCODER)


def test_the_manifest_is_sorted_json_with_a_line_for_each_shard(tmp_path):
    text = (write(tmp_path / "s", rows(2, 0), rows(2, 1)) / "manifest.json").read_text()
    facts = json.loads(text)
    assert list(facts) == sorted(facts)
    assert [line.count(".h5") for line in text.splitlines()].count(1) == 2
    assert facts["format"] == "univar-store/2"
    assert facts["encoder"] == ENCODER
    assert facts["shards"][0]["datasets"]["embeddings"]["shape"] == [2, DIM]


def test_continuing_the_store_of_workers_without_a_worker_names_merge(tmp_path):
    with StoreWriter(tmp_path / "s", encoder=ENCODER, worker=(0, 2)):
        pass
    with pytest.raises(DataError, match="become one store with `univar merge`"):
        StoreWriter(tmp_path / "s", encoder=ENCODER)
