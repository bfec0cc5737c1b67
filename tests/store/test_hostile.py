"""Stores made by someone who wishes us ill: nothing is read but what the manifest names inside the shard."""

import json
import os
import random
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

from tests.store.store_rows import DIM, ENCODER, contents, edit_manifest, rows, sign, write
from univar.errors import ProviderError, StoreCorrupt
from univar.store import Store, StoreWriter, structure, verify
from univar.store.manifest import seal


@pytest.fixture
def store(tmp_path):
    (tmp_path / "secret").write_bytes(b"SECRET--" * 100)
    return write(tmp_path / "s", rows(6))


def shard_of(store):
    return store / "shards" / "00000000.h5"


def external(h5, folder):
    del h5["embeddings"]
    secret = [(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)]
    h5.create_dataset("embeddings", shape=(6, DIM), dtype="<f2", external=secret)


def virtual(h5, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["embeddings"] = np.ones((6, DIM), "<f2")
    layout = h5py.VirtualLayout(shape=(6, DIM), dtype="<f2")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "embeddings", shape=(6, DIM))
    del h5["embeddings"]
    h5.create_virtual_dataset("embeddings", layout)


def soft_link(h5, folder):
    h5.move("embeddings", "text/elsewhere")
    h5["embeddings"] = h5py.SoftLink("/text/elsewhere")


def soft_link_alone(h5, folder):
    h5["extra"] = h5py.SoftLink("/embeddings")


def external_link(h5, folder):
    del h5["embeddings"]
    h5["embeddings"] = h5py.ExternalLink(str(folder / "other.h5"), "/embeddings")


def linked_group(h5, folder):
    h5.move("text/id", "text/x")
    h5["text/id"] = h5py.SoftLink("/text/x")


def extra_dataset(h5, folder):
    h5["payload"] = np.arange(3)


def missing_dataset(h5, folder):
    del h5["flags"]


def chunked(h5, folder):
    del h5["embeddings"]
    h5.create_dataset("embeddings", shape=(6, DIM), dtype="<f2", chunks=(2, DIM))


def filtered(h5, folder):
    del h5["embeddings"]
    h5.create_dataset("embeddings", data=np.ones((6, DIM), "<f2"), compression="gzip")


def other_dtype(h5, folder):
    del h5["embeddings"]
    h5["embeddings"] = np.ones((6, DIM), "<f4")


def other_place(h5, folder):
    h5["copy"] = h5["embeddings"][...]
    del h5["embeddings"]
    h5.move("copy", "embeddings")


def group_for_dataset(h5, folder):
    del h5["embeddings"]
    h5.create_group("embeddings/x")


def other_format(h5, folder):
    h5.attrs["format"] = "univar-shard/9"


def no_format(h5, folder):
    del h5.attrs["format"]


TRICKS = [
    external,
    virtual,
    soft_link,
    soft_link_alone,
    external_link,
    linked_group,
    extra_dataset,
    missing_dataset,
    chunked,
    filtered,
    other_dtype,
    other_place,
    group_for_dataset,
    other_format,
    no_format,
]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
def test_a_signed_shard_that_hdf5_would_read_otherwise_is_corrupt(store, tmp_path, trick):
    with h5py.File(shard_of(store), "r+") as h5:
        trick(h5, tmp_path)
    sign(store)
    with pytest.raises(StoreCorrupt, match=r"00000000\.h5"):
        Store(store, check="blocks")


def test_verify_names_every_shard_that_hdf5_would_read_otherwise(tmp_path):
    (tmp_path / "secret").write_bytes(b"SECRET--" * 100)
    path = write(tmp_path / "s", *(rows(6, start) for start in range(len(TRICKS) + 1)))
    for number, trick in enumerate(TRICKS):
        with h5py.File(path / "shards" / f"{number:08d}.h5", "r+") as h5:
            trick(h5, tmp_path)
    sign(path)
    named = {re.search(r"[0-9]{8}\.h5", problem)[0] for problem in verify(path).problems}
    assert named == {f"{number:08d}.h5" for number in range(len(TRICKS))}


def test_reading_never_follows_hdf5_out_of_the_shard(store, tmp_path):
    expected = np.asarray(Store(store).embeddings)
    with h5py.File(shard_of(store), "r+") as h5:
        external(h5, tmp_path)
        h5.flush()
    sign(store)
    with h5py.File(shard_of(store)) as h5:
        assert h5["embeddings"][...].tobytes().startswith(b"SECRET--")
    assert b"SECRET" not in np.asarray(Store(store).embeddings).tobytes()
    assert np.asarray(Store(store).embeddings).shape == expected.shape


@pytest.mark.parametrize("shards", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_signed_damage_to_the_structure_of_hdf5_never_crashes_verify(tmp_path, shards):
    path = write(tmp_path / "s", *(rows(2, start) for start in range(shards)))
    chance = random.Random(1)
    for shard in Store(path).shards:
        data = bytearray(shard.path.read_bytes())
        used = np.zeros(len(data), bool)
        for info in shard.info.datasets.values():
            used[info.offset : info.offset + info.nbytes] = True
        for offset in chance.sample(np.flatnonzero(~used).tolist(), 20):
            data[offset] = chance.randrange(256)
        shard.path.write_bytes(data)
    sign(path)
    report = verify(path)
    assert len(report.problems) > shards / 2
    assert all("HDF5" in problem or "format" in problem for problem in report.problems)


def test_a_shard_that_crashes_the_hdf5_library_is_a_problem_and_the_others_are_checked(tmp_path, monkeypatch):
    path = write(tmp_path / "s", *(rows(2, start) for start in range(4)))
    with h5py.File(path / "shards/00000003.h5", "r+") as h5:
        h5["payload"] = 1
    sign(path)
    crash = tmp_path / "crash.py"
    crash.write_text(
        "import runpy, sys, os, h5py\n"
        "File = h5py.File\n"
        "h5py.File = lambda path, mode: os.abort() if '00000001' in path else File(path, mode)\n"
        "runpy.run_module('univar.store.structure', run_name='__main__')\n"
    )
    run = subprocess.run
    monkeypatch.setattr(
        structure.subprocess, "run", lambda command, **how: run([sys.executable, str(crash)], **how)
    )
    report = verify(path)
    assert [problem[-80:] for problem in report.problems if "crash" in problem and "00000001" in problem]
    assert [problem for problem in report.problems if "payload" in problem and "00000003" in problem]
    assert len(report.problems) == 2


def test_a_child_that_cannot_start_is_not_the_fault_of_the_store(store, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ProviderError, match="/no/such/python"):
        verify(store)


@pytest.mark.parametrize(
    "name",
    ["../../secret", "/etc/passwd", "..", "x.h5", "0000000\u0661.h5", "00000000.h5\x00", "a/00000000.h5", 7],
)
def test_a_manifest_cannot_name_files_elsewhere(store, name):
    edit_manifest(store, lambda facts: facts["shards"][0].update(file=name))
    with pytest.raises(StoreCorrupt, match="not the name of a shard"):
        Store(store)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
@pytest.mark.parametrize("file", ["shards/00000000.h5", "manifest.json"])
def test_links_pipes_and_folders_in_place_of_files_are_refused(store, tmp_path, kind, file):
    target = store / file
    target.rename(tmp_path / "moved")
    if kind == "symlink":
        target.symlink_to(tmp_path / "moved")
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.mkdir()
    with pytest.raises(StoreCorrupt, match=target.name):
        Store(store)


def set_dataset(name, **change):
    return lambda facts: facts["shards"][0]["datasets"][name].update(change)


HUGE = 1 << 59


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.update(format="univar-store/3"),
        lambda facts: facts.update(dim=5),
        lambda facts: facts.update(dtype="<f8"),
        lambda facts: facts.update(dtype=["float16"]),
        lambda facts: facts.update(encoder=None),
        lambda facts: facts["encoder"].update(dim=True),
        lambda facts: facts["encoder"].update(dim=-1),
        lambda facts: facts["encoder"].update(max_length="x"),
        lambda facts: facts.update(text_format=None),
        lambda facts: facts.update(worker=[0]),
        lambda facts: facts.update(worker=[0, 3]),
        lambda facts: facts.update(worker=[1, 1]),
        lambda facts: facts.update(columns="answer"),
        lambda facts: facts.update(columns=["id"]),
        lambda facts: facts["columns"].append(7),
        lambda facts: facts["columns"].append("id"),
        lambda facts: facts["columns"].append("\ud800"),
        lambda facts: facts.update(runs={}),
        lambda facts: facts.update(runs=[1]),
        lambda facts: facts.update(shards={}),
        lambda facts: facts.update(shards=[[]]),
        lambda facts: facts["shards"].append(facts["shards"][0]),
        lambda facts: facts["shards"][0].update(rows=0),
        lambda facts: facts["shards"][0].update(rows=6.0),
        lambda facts: facts["shards"][0].update(rows=HUGE),
        lambda facts: facts["shards"][0].update(size_bytes=-1),
        lambda facts: facts["shards"][0].update(size_bytes=1 << 70),
        lambda facts: facts["shards"][0].update(block_bytes=1),
        lambda facts: facts["shards"][0].update(blocks=[]),
        lambda facts: facts["shards"][0].update(blocks=["0" * 31]),
        lambda facts: facts["shards"][0].update(blocks=[["0" * 32]]),
        lambda facts: facts["shards"][0].update(datasets=[]),
        lambda facts: facts["shards"][0]["datasets"].pop("flags"),
        lambda facts: facts["shards"][0]["datasets"].pop("text/answer/bytes"),
        lambda facts: facts["shards"][0]["datasets"].pop("codes/model/codes"),
        lambda facts: facts["shards"][0]["datasets"].update({"x": {}}),
        lambda facts: facts["shards"][0]["datasets"].update(
            {"evil": facts["shards"][0]["datasets"]["row_hash"]}
        ),
        lambda facts: facts["shards"][0]["datasets"].update(
            {"text/%61nswer/bytes": facts["shards"][0]["datasets"]["text/answer/bytes"]}
        ),
        set_dataset("embeddings", offset=1),
        set_dataset("embeddings", offset=-8),
        set_dataset("embeddings", offset=1 << 40),
        set_dataset("embeddings", offset=None),
        set_dataset("embeddings", shape=[6, DIM + 1]),
        set_dataset("embeddings", shape=[6 * DIM]),
        set_dataset("embeddings", shape=[HUGE, HUGE]),
        set_dataset("embeddings", shape=[6, DIM, 1]),
        set_dataset("embeddings", dtype="|O"),
        set_dataset("embeddings", dtype="<f4"),
        lambda facts: facts["shards"][0]["datasets"].update(
            text_hash=facts["shards"][0]["datasets"]["row_hash"]
        ),
        set_dataset("text/answer/offsets", shape=[6]),
        set_dataset("text/answer/offsets", shape=[0]),
        set_dataset("text/answer/bytes", shape=[HUGE]),
        set_dataset("text/answer/bytes", shape=[2, 2]),
        set_dataset("codes/model/codes", shape=[5]),
    ],
)
def test_a_signed_manifest_with_a_senseless_value_is_refused(store, change):
    edit_manifest(store, change)
    with pytest.raises(StoreCorrupt, match=r"manifest\.json is not a valid manifest"):
        Store(store)


@pytest.mark.parametrize(
    "text", ["", "null", "[" * 100_000, '{"rows": NaN}', "\xff", '{"rows": ' + "9" * 5000 + "}"]
)
def test_a_manifest_that_is_no_json_object_is_refused(store, text):
    (store / "manifest.json").write_bytes(seal(text))
    with pytest.raises(StoreCorrupt):
        Store(store)


def test_a_manifest_under_another_workers_name_is_refused(store):
    (store / "manifest.json").rename(store / "manifest-0-of-2.json")
    with pytest.raises(StoreCorrupt, match=r"it says it is manifest\.json"):
        Store(store)


def test_the_writer_does_not_write_through_links(store, tmp_path):
    (tmp_path / "victim").write_text("precious")
    (store / "shards/00000001.h5").symlink_to(tmp_path / "victim")
    with StoreWriter(store, encoder=ENCODER) as writer:
        writer.append(rows(2, 1))
    assert (tmp_path / "victim").read_text() == "precious"
    assert len(contents(Store(store))) == 8


@pytest.mark.parametrize("name", [".lock", ".lock-0-of-1"])
def test_a_lock_that_is_a_link_is_refused(store, tmp_path, name):
    (tmp_path / "victim").write_text("precious")
    (store / name).unlink()
    (store / name).symlink_to(tmp_path / "victim")
    with pytest.raises(StoreCorrupt, match="is a link"):
        StoreWriter(store, encoder=ENCODER)
    assert (tmp_path / "victim").read_text() == "precious"


def test_column_names_cannot_leave_their_folder(tmp_path):
    names = ["../x", "a/b", ".", "..", "%", "%2F", "", "\x00", "é", "text/answer"]
    path = write(tmp_path / "s", rows(2, **{name: [name, "v"] for name in names}))
    store = Store(path, check="blocks")
    assert [store.column(name).tolist() for name in names] == [[name, "v"] for name in names]
    assert json.loads((path / "manifest.json").read_text())["columns"][-len(names) :] == names
