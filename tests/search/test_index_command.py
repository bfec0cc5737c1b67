"""`univar index`: builds, saves, says what it measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.evaluate.conftest import qa_rows
from tests.search.stores import write_store
from univar.search import Index
from univar.store import Store


@pytest.fixture
def path(tmp_path):
    rows = qa_rows(range(100), ["a", "b", "c"])
    return write_store(
        tmp_path / "store", rows, np.random.default_rng(0).standard_normal((300, 8)), shards=3
    ).path


@pytest.mark.parametrize(("kind", "built"), [("auto", "exact"), ("ivf", "ivf"), ("hnsw", "hnsw")])
def test_the_index_is_saved_and_described(univar, path, kind, built):  # noqa: F811
    done = univar("index", path, "--type", kind, "--json")
    facts = json.loads(done.stdout)
    assert (done.exit_code, facts["type"], facts["rows"]) == (0, built, 300)
    assert facts["recall_at_10"] >= 0.95
    loaded = Index.load(Store(path))
    assert loaded.type == built
    queries = Store(path).embeddings[:5].astype(np.float32)
    assert loaded.search(queries, 1)[1].ravel().tolist() == [0, 1, 2, 3, 4]


def test_the_readable_line_has_type_rows_and_recall(univar, path):  # noqa: F811
    done = univar("index", path, "--type", "ivf")
    assert done.stdout.startswith("ivf  300 rows")
    assert "recall@10" in done.stdout


def test_new_rows_make_the_index_stale(univar, path):  # noqa: F811
    assert univar("index", path, "--type", "hnsw").exit_code == 0
    rows = qa_rows(range(100, 110), ["a"])
    write_store(path, rows, np.random.default_rng(1).standard_normal((10, 8)))
    grown = Store(path)
    assert Index.open(grown).type == "exact"
    assert len(Index.open(grown)) == 310


def test_a_folder_that_is_no_store_exits_3(univar, tmp_path):  # noqa: F811
    assert univar("index", tmp_path).exit_code == 3
