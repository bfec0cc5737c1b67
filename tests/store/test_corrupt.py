"""Damaged stores: StoreCorrupt, or the rows as they were; never a crash, never another exception."""

import itertools
import json
import random
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.store.store_rows import ENCODER, contents, edit_manifest, flip_bit, rows, sign, write
from univar.errors import StoreCorrupt, UnivarError
from univar.store import Store, StoreWriter, verify
from univar.store.manifest import BLOCK_BYTES, seal

READ_DAMAGED = """
import json, sys
from pathlib import Path
from tests.store.store_rows import contents
from univar.errors import UnivarError
from univar.store import Store
shard, offsets = Path(sys.argv[1]), json.loads(sys.argv[2])
sound = shard.read_bytes()
for offset in offsets:
    damaged = bytearray(sound)
    damaged[offset] ^= 1 << (offset % 8)
    shard.write_bytes(damaged)
    store = Store(shard.parent.parent)
    for read in (contents, lambda s: s.codes("source"), lambda s: s.text("answer", [0, 2, 4]),
                 lambda s: s.text("model", [0, 2, 4]), lambda s: list(s.iter_tables())):
        try:
            read(store)
        except UnivarError:
            pass
    print(offset, flush=True)
"""


@pytest.fixture
def store(tmp_path):
    return write(tmp_path / "s", rows(5, 0, topic=["a", "b", "", "a", "é"]), rows(4, 1))


def shard_of(store):
    return store / "shards" / "00000000.h5"


def regions(store):
    """One offset in each dataset, and some in each part of the file that belongs to HDF5."""
    info = Store(store).shards[0].info
    chance = random.Random(3)
    inside = [(d.offset, d.offset + d.nbytes) for d in info.datasets.values() if d.nbytes]
    offsets = [chance.randrange(start, end) for start, end in inside]
    edges = sorted([(0, 0), *inside, (info.size_bytes, info.size_bytes)])
    for (_, start), (end, _) in itertools.pairwise(edges):
        offsets += [chance.randrange(start, end) for _ in range(3 if end > start else 0)]
    return sorted(set(offsets))


def test_one_flipped_bit_anywhere_in_a_shard_is_found(store):
    offsets = regions(store)
    assert len(offsets) > 40
    for offset in offsets:
        flip_bit(shard_of(store), offset, offset % 8)
        with pytest.raises(StoreCorrupt, match=r"00000000\.h5"):
            Store(store, check="blocks")
        flip_bit(shard_of(store), offset, offset % 8)
    assert len(Store(store, check="blocks")) == 9


def test_unchecked_reading_of_damaged_shards_never_crashes(store):
    offsets = regions(store)
    command = [sys.executable, "-c", READ_DAMAGED, str(shard_of(store)), json.dumps(offsets)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(offset) for offset in offsets]


def test_offsets_that_point_elsewhere_are_found_when_read(store):
    info = Store(store).shards[0].info
    for name in ("text/answer/offsets", "codes/model/offsets", "codes/model/codes"):
        flip_bit(shard_of(store), info.datasets[name].offset + info.datasets[name].nbytes - 1, 6)
        sign(store)
        damaged = Store(store)
        column = name.split("/")[1]
        with pytest.raises(StoreCorrupt, match=column):
            damaged.column(column)
        with pytest.raises(StoreCorrupt, match=column):
            damaged.text(column, [4])
        flip_bit(shard_of(store), info.datasets[name].offset + info.datasets[name].nbytes - 1, 6)


def test_text_that_is_not_utf8_is_found_when_read(store):
    flip_bit(shard_of(store), Store(store).shards[0].info.datasets["text/answer/bytes"].offset, 7)
    with pytest.raises(StoreCorrupt, match="answer"):
        Store(store).column("answer")
    with pytest.raises(StoreCorrupt, match="UTF-8"):
        Store(store).text("answer", [0])


def test_a_shard_of_another_length_is_refused_at_once(tmp_path):
    path = write(tmp_path / "s", rows(3000, 0, answer=["x" * 3000] * 3000))
    whole = shard_of(path).read_bytes()
    blocks = range(0, len(whole), BLOCK_BYTES)
    assert len(blocks) == 3
    for size in [0, 1, 64, 4096, *blocks, len(whole) - 1]:
        shard_of(path).write_bytes(whole[:size])
        with pytest.raises(StoreCorrupt, match=f"has {size} bytes"):
            Store(path)
    shard_of(path).write_bytes(whole + b"\0")
    with pytest.raises(StoreCorrupt, match="bytes"):
        Store(path)


def test_a_missing_shard_is_refused_at_once(store):
    shard_of(store).unlink()
    with pytest.raises(StoreCorrupt, match="missing"):
        Store(store)
    with pytest.raises(StoreCorrupt, match="missing"):
        write(store, rows(1, 5))


def test_exchanged_shards_are_found(store):
    first, second = shard_of(store), store / "shards" / "00000001.h5"
    first.rename(store / "shards" / "x")
    second.rename(first)
    (store / "shards" / "x").rename(second)
    with pytest.raises(StoreCorrupt):
        Store(store)


def test_one_flipped_bit_anywhere_in_the_manifest_is_found(store):
    manifest = store / "manifest.json"
    for offset in range(0, manifest.stat().st_size, 7):
        flip_bit(manifest, offset, offset % 8)
        with pytest.raises(StoreCorrupt, match=r"manifest\.json"):
            Store(store)
        flip_bit(manifest, offset, offset % 8)
    assert len(Store(store)) == 9


def test_any_change_of_a_signed_manifest_gives_an_error_or_other_values_but_no_crash(store):
    text = (store / "manifest.json").read_text()
    members = text[text.index(",") + 1 :]
    chance = random.Random(5)
    refused = 0
    for _ in range(300):
        at, other = chance.randrange(len(members)), chance.choice('0123456789"[]{},:-.eE/ nul\x00é')
        (store / "manifest.json").write_bytes(seal(members[:at] + other + members[at + 1 :]))
        try:
            contents(Store(store))
        except UnivarError:
            refused += 1
    assert 100 < refused < 300


def test_a_truncated_manifest_is_refused(store):
    whole = (store / "manifest.json").read_bytes()
    for size in range(0, len(whole) - 2, 97):
        (store / "manifest.json").write_bytes(whole[:size])
        with pytest.raises(StoreCorrupt, match=r"manifest\.json"):
            Store(store)


def test_manifests_that_disagree_are_refused(tmp_path):
    for index in (0, 1):
        write(tmp_path / "s", rows(2, index), worker=(index, 2))
    edit_manifest(tmp_path / "s", lambda facts: facts.update(dtype="float32"), "manifest-1-of-2.json")
    edit_manifest(tmp_path / "s", lambda facts: facts.update(shards=[]), "manifest-1-of-2.json")
    with pytest.raises(StoreCorrupt, match="disagree: dtype"):
        Store(tmp_path / "s")


def test_manifests_of_two_sets_of_workers_are_refused(tmp_path):
    write(tmp_path / "s", rows(2, 0), worker=(0, 2))
    write(tmp_path / "t", rows(2, 1))
    (tmp_path / "t/manifest.json").rename(tmp_path / "s/manifest.json")
    with pytest.raises(StoreCorrupt, match="number of workers"):
        Store(tmp_path / "s")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b.embeddings.__imul__(1.5), "length 1"),
        (lambda b: b.row_hash.__ixor__(1), "hash"),
        (lambda b: b.n_tokens.__isub__(9), "tokens"),
        (lambda b: b.flags.__ior__(16), "flag"),
    ],
)
def test_verify_finds_rows_that_are_wrong_in_themselves(tmp_path, monkeypatch, damage, words):
    batch = rows(3)
    damage(batch)
    monkeypatch.setattr("univar.store.shard_writer.EmbeddedRows.check", lambda self, dim: None)
    report = verify(write(tmp_path / "s", batch))
    assert len(report.problems) == 1
    assert words in report.problems[0]


def test_verify_finds_a_row_that_two_workers_hold(tmp_path):
    write(tmp_path / "s", rows(2, 0), worker=(0, 2))
    write(tmp_path / "s", rows(2, 1), rows(2, 0), worker=(1, 2))
    report = verify(tmp_path / "s")
    assert len(report.problems) == 1
    assert "1-of-2-00000001.h5" in report.problems[0]
    assert "2 in all" in report.problems[0]


def test_verify_lists_every_damaged_shard(store):
    for name in ("00000000.h5", "00000001.h5"):
        flip_bit(store / "shards" / name, 5000)
    report = verify(store)
    assert [name in problem for name, problem in zip("01", report.problems, strict=True)] == [True, True]
    assert (report.ok, report.rows, report.shards, report.blocks) == (False, 9, 2, 2)


def test_a_damaged_manifest_is_a_problem_of_the_report(store):
    (store / "manifest.json").write_text("{}")
    report = verify(store)
    assert len(report.problems) == 1
    assert "manifest.json" in report.problems[0]


def test_verify_of_a_sound_store_says_what_was_checked(store):
    report = verify(store)
    assert report.facts() == {
        "path": str(store),
        "rows": 9,
        "shards": 2,
        "blocks": 2,
        "size_bytes": Store(store).size_bytes,
        "problems": [],
        "notes": [],
        "ok": True,
    }


def test_left_overs_are_notes_and_no_problems(store):
    (store / "shards" / "00000007.h5").write_bytes(b"")
    (store / "shards" / "holiday.jpg").write_bytes(b"")
    report = verify(store)
    assert report.ok
    assert "00000007.h5" in report.notes[0]
    assert "holiday.jpg" in report.notes[1]


def test_a_broken_manifest_stops_the_writer(store):
    (store / "manifest.json").write_text("[]")
    with pytest.raises(StoreCorrupt, match="checksum"):
        StoreWriter(store, encoder=ENCODER)
