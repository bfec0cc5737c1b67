"""The index inside a store's folder: read back whole, or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from univar.errors import DataError, StoreCorrupt
from univar.search import Index
from univar.search import index as index_files


@pytest.fixture
def store(memory_store, clustered, tmp_path):
    return memory_store(clustered[:600], tmp_path)


def array_file(store):
    (path,) = (store.path / "index").glob("*.safetensors")
    return path


def replace_arrays(store, **changes):
    """Change arrays as someone would who also knows how to write the checksum."""
    arrays = {**load_file(array_file(store)), **changes}
    save_file(arrays, array_file(store))
    data = array_file(store).read_bytes()
    facts_path = store.path / "index" / "index.json"
    facts = json.loads(facts_path.read_text())
    facts.update(sha256=index_files.hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    facts_path.write_text(json.dumps(facts))


@pytest.mark.parametrize("kind", ["exact", "flat", "ivf", "hnsw"])
def test_a_saved_index_searches_as_before(store, queries, kind):
    built = Index.build(store, kind)
    built.save()
    loaded = Index.load(store)
    assert (loaded.type, loaded.recall, len(loaded)) == (kind, built.recall, len(store))
    for before, after in zip(built.search(queries, 10), loaded.search(queries, 10), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_file_does_not_repeat_the_rows(store, clustered):
    Index.build(store, "ivf").save()
    assert array_file(store).stat().st_size < clustered.nbytes


def test_saving_removes_what_it_replaces(store):
    Index.build(store, "ivf").save()
    Index.build(store, "hnsw").save()
    names = sorted(path.name for path in (store.path / "index").iterdir())
    assert names == ["hnsw-f0.safetensors", "index.json"]


def test_a_missing_index_is_asked_for(store):
    with pytest.raises(DataError, match="univar index"):
        Index.load(store)


def test_an_index_of_an_earlier_state_is_refused_by_load_and_rebuilt_by_open(store, queries):
    Index.build(store, "ivf").save()
    store.fingerprint = "f1"
    with pytest.raises(DataError, match="is out of date"):
        Index.load(store)
    assert Index.open(store).type == "exact"


def test_open_takes_the_saved_type_unless_another_is_asked_for(store):
    Index.build(store, "hnsw").save()
    assert Index.open(store).type == "hnsw"
    assert Index.open(store, "flat").type == "flat"


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 1.0])
def test_one_flipped_bit_is_found(store, kind, where):
    Index.build(store, kind).save()
    data = bytearray(array_file(store).read_bytes())
    data[int(where * (len(data) - 1))] ^= 4
    array_file(store).write_bytes(bytes(data))
    with pytest.raises(StoreCorrupt, match="univar index"):
        Index.load(store)


def test_a_cut_file_is_found(store):
    Index.build(store, "ivf").save()
    array_file(store).write_bytes(array_file(store).read_bytes()[:-100])
    with pytest.raises(StoreCorrupt):
        Index.open(store)


@pytest.mark.parametrize(
    "text",
    ["", "[1]", '{"format": "univar-index/9"}', '{"format": "univar-index/1", "type": 3}', "[" * 100_000],
)
def test_broken_facts_are_found(store, text):
    Index.build(store, "ivf").save()
    (store.path / "index" / "index.json").write_text(text)
    with pytest.raises(StoreCorrupt):
        Index.load(store)


@pytest.mark.parametrize("field", ["type", "fingerprint"])
def test_facts_cannot_lead_out_of_the_folder(store, field):
    Index.build(store, "ivf").save()
    facts = index_files.read_facts(store.path)
    facts[field] = "../../elsewhere"
    (store.path / "index" / "index.json").write_text(json.dumps(facts))
    store.fingerprint = facts["fingerprint"]
    with pytest.raises(StoreCorrupt):
        Index.load(store)


def test_lists_that_do_not_exist_never_reach_faiss(store):
    Index.build(store, "ivf").save()
    replace_arrays(store, lists=np.full(len(store), 10**6, np.int32))
    with pytest.raises(StoreCorrupt, match="list that doesn't exist"):
        Index.load(store)


def test_centroids_of_another_dimension_never_reach_faiss(store):
    Index.build(store, "ivf").save()
    replace_arrays(store, centroids=np.zeros((4, 3), np.float32))
    with pytest.raises(StoreCorrupt, match="centroids"):
        Index.load(store)


def hostile_graphs(arrays):
    neighbors, levels = arrays["neighbors"], arrays["levels"]
    upward = neighbors.copy()
    top_row = int(np.flatnonzero(levels > 1)[0])
    width = 64  # links on the ground level, where the links of level 1 begin
    start = int(np.where(levels[:top_row] > 1, 64 + 32 * (levels[:top_row] - 1), 64).sum())
    upward[start + width] = int(np.flatnonzero(levels == 1)[0])
    return {
        "link to no row": {
            "neighbors": np.where(np.arange(len(neighbors)) == 5, 10**6, neighbors).astype(np.int32)
        },
        "negative link": {
            "neighbors": np.where(np.arange(len(neighbors)) == 5, -7, neighbors).astype(np.int32)
        },
        "level too high": {"levels": np.where(np.arange(len(levels)) == 5, 99, levels).astype(np.int32)},
        "too few links": {"neighbors": neighbors[:-1].copy()},
        "no such entry": {"entry_point": np.array([10**7])},
        "entry on the ground": {"entry_point": np.flatnonzero(levels == 1)[:1]},
        "link above a row's level": {"neighbors": upward},
    }


@pytest.mark.parametrize("change", list(range(7)))
def test_a_hostile_graph_never_reaches_faiss(store, change):
    Index.build(store, "hnsw").save()
    changes = list(hostile_graphs(load_file(array_file(store))).values())[change]
    replace_arrays(store, **changes)
    with pytest.raises(StoreCorrupt, match=r"the index in .* is broken"):
        Index.load(store)
