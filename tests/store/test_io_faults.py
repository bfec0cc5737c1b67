"""Every call to the operating system fails once: one clear error, and nothing that was finished is lost."""

import errno
import os
import shutil

import pytest

from tests.store.store_rows import ENCODER, contents, rows, write
from univar import files
from univar.errors import ProviderError
from univar.store import Store, StoreWriter, export

WORDS = {
    errno.ENOSPC: "no space is left",
    errno.EIO: "check the disk",
    errno.EROFS: "read-only",
    errno.EACCES: "permission",
}


class FailingCalls:
    """The seam of `univar.files`, failing at its k-th call (counted from 0)."""

    def __init__(self, k, code):
        self.k, self.code, self.calls = k, code, 0

    def __call__(self, function, *args):
        self.calls += 1
        if self.calls == self.k + 1:
            if function is os.close:
                os.close(*args)
            raise OSError(self.code, os.strerror(self.code))
        return function(*args)

    @property
    def fired(self):
        return self.calls > self.k


def append_twice(path, acknowledged):
    with StoreWriter(path, encoder=ENCODER) as writer:
        for start in (1, 2):
            writer.append(rows(2, start))
            writer.flush()
            acknowledged.append(start)


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, pytest.param(errno.EIO, marks=pytest.mark.slow)], ids=errno.errorcode.get
)
def test_whichever_call_fails_there_is_one_error_and_nothing_finished_is_lost(tmp_path, monkeypatch, code):
    original = write(tmp_path / "original", rows(3, 0))
    expected = contents(Store(write(tmp_path / "all", rows(3, 0), rows(2, 1), rows(2, 2))))
    for k in range(1000):
        path = tmp_path / f"copy-{k}"
        shutil.copytree(original, path)
        acknowledged, failing = [], FailingCalls(k, code)
        with monkeypatch.context() as patched:
            patched.setattr(files, "os_call", failing)
            if failing_error := fault_of(append_twice, path, acknowledged):
                assert WORDS[code] in str(failing_error)
                assert path.name in str(failing_error)
        if not failing.fired:
            break
        found = contents(Store(path))
        assert found == expected[: len(found)]
        assert len(found) >= 3 + 2 * len(acknowledged)
        missing = [start for start in (1, 2) if len(found) < 3 + 2 * start]
        write(path, *(rows(2, start) for start in missing))
        assert contents(Store(path)) == expected
        assert not list(path.rglob("*.tmp"))
    assert k > 20


@pytest.mark.parametrize("code", WORDS, ids=errno.errorcode.get)
def test_a_folder_that_cannot_be_written_is_said_with_its_remedy(tmp_path, monkeypatch, code):
    monkeypatch.setattr(files, "os_call", FailingCalls(0, code))
    with pytest.raises(ProviderError, match=f"cannot create .*shards: .*{WORDS[code]}"):
        StoreWriter(tmp_path / "s", encoder=ENCODER)


def fault_of(function, *args):
    try:
        function(*args)
    except ProviderError as error:
        return error
    return None


def test_a_flush_that_failed_can_be_repeated(tmp_path, monkeypatch):
    for k in range(1000):
        path = tmp_path / f"store-{k}"
        with StoreWriter(path, encoder=ENCODER) as writer:
            writer.append(rows(2, 0))
            failing = FailingCalls(k, errno.ENOSPC)
            with monkeypatch.context() as patched:
                patched.setattr(files, "os_call", failing)
                failed = fault_of(writer.flush)
            if failed:
                assert writer.pending_rows == 2
            writer.append(rows(3, 1))
        assert Store(path).column("id").tolist() == ["0-0", "0-1", "1-0", "1-1", "1-2"]
        if not failing.fired:
            break
    assert k > 5


def test_short_writes_are_continued(tmp_path, monkeypatch):
    def half(function, *args):
        if function is os.write:
            fd, data = args
            return os.write(fd, data[: max(len(data) // 2, 1)])
        return function(*args)

    expected = contents(Store(write(tmp_path / "whole", rows(4))))
    monkeypatch.setattr(files, "os_call", half)
    store = Store(write(tmp_path / "halves", rows(4)))
    store.shards[0].check_blocks()
    assert contents(store) == expected


@pytest.mark.parametrize("ending", ["parquet", "npy", "faiss"])
def test_an_export_that_fails_leaves_no_file_under_its_name(tmp_path, monkeypatch, ending):
    store = Store(write(tmp_path / "s", rows(3)))
    (tmp_path / "out").mkdir()
    for k in range(1000):
        out = tmp_path / "out" / f"{k}.{ending}"
        failing = FailingCalls(k, errno.ENOSPC)
        with monkeypatch.context() as patched:
            patched.setattr(files, "os_call", failing)
            failed = fault_of(export, store, out)
        assert not list((tmp_path / "out").glob(".*.tmp"))
        if not failing.fired:
            break
        assert failed
        assert "no space is left" in str(failed)
    assert out.exists()
    assert k > 5


def test_a_path_through_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderError, match="is a file, not a folder"):
        StoreWriter(tmp_path / "file" / "store", encoder=ENCODER)


def test_errors_without_a_remedy_of_ours_keep_the_words_of_the_system(tmp_path):
    error = files.failure("read", tmp_path, OSError(errno.ESTALE, "Stale file handle"))
    assert str(error) == f"cannot read {tmp_path}: Stale file handle"


def test_a_shard_is_on_the_disk_before_the_manifest_names_it(tmp_path, monkeypatch):
    calls = []

    def record(function, *args):
        names = {os.fsync: "sync", os.replace: "rename", files.sync: "sync folder"}
        if function in names:
            calls.append((names[function], *(arg.name for arg in args[1:])))
        return function(*args)

    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        writer.append(rows(2))
        monkeypatch.setattr(files, "os_call", record)
        writer.flush()
    shard = [("sync",), ("rename", "00000000.h5"), ("sync folder",)]
    manifest = [("sync",), ("rename", "manifest.json"), ("sync folder",)]
    assert calls == shard + manifest
