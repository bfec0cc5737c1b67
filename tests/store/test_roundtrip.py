"""What is written is read back, by us and by h5py."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.store_rows import DIM, ENCODER, contents, rows, rows_of, write
from univar.store import Store, StoreWriter, verify

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "\x00", "\x00\x00a", "👩‍👩‍👧", "\u202e", "e\u0301", "a\nb"]
)
NAMES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6).filter(
    lambda name: name not in ("source", "id", "model", "language", "question_id", "question", "answer")
)
PROPERTY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(st.data())
def test_any_strings_in_any_columns_are_read_back(tmp_path_factory, data):
    names = data.draw(st.lists(NAMES, max_size=3, unique=True))
    n = data.draw(st.integers(1, 6))
    drawn = st.lists(TEXT, min_size=n, max_size=n)
    values = {name: data.draw(drawn) for name in [*names, "model", "question", "answer", "original_answer"]}
    batch = rows_of(values)
    store = Store(write(tmp_path_factory.mktemp("s") / "store", batch))
    store.shards[0].check_blocks()
    for name, expected in values.items():
        assert store.column(name).tolist() == expected
        assert store.text(name, [n - 1, 0]) == [expected[-1], expected[0]]
        codes, labels = store.codes(name)
        assert [labels[code] for code in codes] == expected
        assert labels == sorted(set(expected))


@PROPERTY
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_shard_boundaries_do_not_change_what_is_read(tmp_path_factory, sizes, data):
    folder = tmp_path_factory.mktemp("s")
    batches = [rows(n, start) for start, n in enumerate(sizes)]
    write(folder / "many", *batches)
    with StoreWriter(folder / "few", encoder=ENCODER) as writer:
        for batch in batches:
            writer.append(batch)
            if data.draw(st.booleans()):
                writer.flush()
    assert contents(Store(folder / "few")) == contents(Store(folder / "many"))


@pytest.mark.parametrize(("dtype", "kind"), [("float16", np.float16), ("float32", np.float32)])
def test_embeddings_come_back_in_the_dtype_of_the_store(tmp_path, dtype, kind):
    batch = rows(7)
    store = Store(write(tmp_path / "s", batch, dtype=dtype))
    assert store.embeddings.dtype == kind
    np.testing.assert_array_equal(np.asarray(store.embeddings), batch.embeddings.astype(kind))


def test_h5py_reads_the_same_as_the_memory_map(tmp_path):
    batch = rows(9, topic=["a", "b", "a"] * 3, original_answer=[""] * 9)
    store = Store(write(tmp_path / "s", batch))
    with h5py.File(store.shards[0].path, "r") as h5:
        assert h5.attrs["format"] == "univar-shard/2"
        for name, info in store.shards[0].info.datasets.items():
            np.testing.assert_array_equal(h5[name][...], store.shards[0].array(name))
            assert h5[name].shape == info.shape
            assert h5[name].chunks is None


def test_every_dataset_is_aligned_for_the_memory_map(tmp_path):
    store = Store(write(tmp_path / "s", rows(3)))
    assert all(info.offset % 64 == 0 for info in store.shards[0].info.datasets.values())


def test_a_shard_of_several_blocks_is_read_back(tmp_path):
    answers = [f"{row} " + "x" * 2000 for row in range(5000)]
    store = Store(write(tmp_path / "s", rows(5000, answer=answers)), check="blocks")
    assert len(store.shards[0].info.blocks) == 3
    assert store.text("answer", [4999]) == [answers[4999]]


def test_slices_of_larger_tables_are_written_without_their_surroundings(tmp_path):
    batch = rows(10, answer=[f"answer {row}" for row in range(10)])
    batch.table = batch.table.slice(3, 4)
    for name in ("embeddings", "row_hash", "text_hash", "n_tokens", "flags"):
        setattr(batch, name, getattr(batch, name)[3:7])
    store = Store(write(tmp_path / "s", batch))
    assert store.column("answer").tolist() == [f"answer {row}" for row in range(3, 7)]
    assert verify(store.path).ok


def test_columns_of_only_some_batches_are_empty_elsewhere(tmp_path):
    with StoreWriter(tmp_path / "s", encoder=ENCODER) as writer:
        writer.append(rows(2, 0))
        writer.append(rows(2, 1, topic=["t", "u"]))
        writer.append(rows(1, 2, sampling=["hot"]))
        writer.flush()
        writer.append(rows(1, 3))
    store = Store(tmp_path / "s")
    assert store.column("topic").tolist() == ["", "", "t", "u", "", ""]
    assert store.column("sampling").tolist() == ["", "", "", "", "hot", ""]
    assert store.codes("topic")[1] == ["", "t", "u"]
    assert store.text("topic", [5, 3]) == ["", "u"]


def test_a_store_without_rows_can_be_read(tmp_path):
    with StoreWriter(tmp_path / "s", encoder=ENCODER):
        pass
    store = Store(tmp_path / "s", check="blocks")
    assert len(store) == 0
    assert np.asarray(store.embeddings).shape == (0, DIM)
    assert store.column("answer").tolist() == store.column("source").tolist() == []
    assert store.codes("source")[1] == []
    assert list(store.iter_tables()) == []
    assert verify(store.path).ok
