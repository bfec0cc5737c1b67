"""Answers of unknown origin, through the library and the command line."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.conftest import answer_rows, write_jsonl
from tests.search.stores import write_store
from univar.errors import DataError
from univar.search import Attributor, Index, attribute_answers

ANSWERS = '{"id": "u1", "question": "why?", "answer": "we care"}\n{"answer": "no"}\n{"answer": ""}\n'


class FakeEncoder:
    """Puts every answer on the first axis."""

    def __init__(self, **changed):
        self.info = {"id": "tiny", "revision": "r1", "dim": 3, "max_length": 64, "pooling": "mean", **changed}
        self.texts: list[str] = []

    def encode(self, texts):
        self.texts += texts
        return np.tile(np.eye(3, dtype=np.float32)[:1], (len(texts), 1))


@pytest.fixture
def small(tmp_path):
    sources = [("a", "eng"), ("a", "eng"), ("a", "spa"), ("b", "spa")]
    rows = [
        {
            "id": f"r{n}",
            "model": m,
            "language": g,
            "question_id": "q",
            "question": "why?",
            "answer": f"so {n}",
        }
        for n, (m, g) in enumerate(sources)
    ]
    vectors = np.array([[1, 0, 0], [0.9, 0.1, 0], [0.5, 0.5, 0], [0, 0, 1]])
    return write_store(tmp_path / "small", rows, vectors)


@pytest.fixture
def unknown(tmp_path):
    path = tmp_path / "unknown.jsonl"
    path.write_text(ANSWERS)
    return str(path)


def test_all_levels_come_from_one_search(small, unknown):
    rejected = []
    found = list(
        attribute_answers(small, unknown, k=3, on_rejected=rejected.append, encoder=FakeEncoder(), evidence=2)
    )
    assert [(facts["row"], facts["id"]) for facts in found] == [(1, "u1"), (2, "")]
    assert found[0]["sources"] == [
        {"label": "a/eng", "model": "a", "language": "eng", "share": pytest.approx(2 / 3, abs=1e-5)},
        {"label": "a/spa", "model": "a", "language": "spa", "share": pytest.approx(1 / 3, abs=1e-5)},
    ]
    assert found[0]["models"] == [{"label": "a", "share": 1.0}]
    assert [entry["label"] for entry in found[0]["languages"]] == ["eng", "spa"]
    assert [near["row"] for near in found[0]["evidence"]] == [0, 1]
    assert found[0]["evidence"][0] == {
        "row": 0, "score": 1.0, "model": "a", "language": "eng", "question": "why?", "answer": "so 0",
    }  # fmt: skip
    assert [(row.row, row.reason) for row in rejected] == [(3, "answer is empty")]


def test_answers_are_embedded_in_the_form_of_the_store(small, unknown):
    encoder = FakeEncoder()
    list(attribute_answers(small, unknown, on_rejected=lambda row: None, encoder=encoder))
    assert encoder.texts[0] == "Q: why? A: we care"


@pytest.mark.parametrize("changed", [{"revision": "r2"}, {"max_length": 128}, {"pooling": "cls"}])
def test_another_encoder_is_refused_with_both_names(small, unknown, changed):
    ((name, value),) = changed.items()
    with pytest.raises(DataError, match=rf"{name}.*{value}") as caught:
        list(attribute_answers(small, unknown, on_rejected=lambda row: None, encoder=FakeEncoder(**changed)))
    assert str(small.encoder[name]) in str(caught.value)


def test_a_store_smaller_than_k_gives_the_evidence_it_has(small):
    (facts,) = Attributor(Index.build(small), k=50).attribute(
        np.eye(3, dtype=np.float32)[:1], top=9, evidence=9
    )
    assert len(facts["evidence"]) == 4
    assert sum(entry["share"] for entry in facts["sources"]) == pytest.approx(1, abs=1e-5)


@pytest.fixture
def faked(monkeypatch):
    """The command line with the fake encoder."""
    monkeypatch.setitem(
        __import__("sys").modules,
        "univar.encoder.encoder",
        SimpleNamespace(Encoder=lambda spec, **options: FakeEncoder()),
    )


def test_json_is_one_object_a_line_and_refused_rows_exit_4(univar, small, faked):  # noqa: F811
    done = univar("attribute", small.path, "-e", "tiny", "-k", "3", "--json", stdin=ANSWERS.encode())
    assert done.exit_code == 4
    assert "stdin:3: answer is empty" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(line) for line in lines] == [["row", "id", "sources", "models", "languages", "evidence"]] * 2


def test_text_has_shares_and_evidence_and_no_control_characters(univar, tmp_path, faked):  # noqa: F811
    rows = [
        {
            "id": "r",
            "model": "m\x1b[2J",
            "language": "eng",
            "question_id": "q",
            "question": "Q",
            "answer": "\x07A",
        }
    ]
    path = write_store(tmp_path / "hostile", rows, np.eye(3)[:1]).path
    done = univar("attribute", path, "-e", "tiny", "--by", "model", stdin=b'{"answer": "x"}\n')
    assert done.exit_code == 0
    assert "100.0%  m" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_another_column_is_ranked_beside_the_three(univar, small, faked):  # noqa: F811
    done = univar(
        "attribute", small.path, "-e", "tiny", "--by", "question-id", "--json", stdin=b'{"answer": "x"}\n'
    )
    assert json.loads(done.stdout)["question_id"] == [{"label": "q", "share": 1.0}]


@pytest.fixture
def embedded(univar, tmp_path, tiny_bert):  # noqa: F811
    """A store made by a real tiny encoder."""
    rows = write_jsonl(tmp_path / "answers.jsonl", answer_rows(24))
    assert univar("embed", rows, "-o", tmp_path / "store", "-e", tiny_bert, "-q").exit_code == 0
    return tmp_path / "store"


def test_a_stored_answer_finds_itself(univar, embedded, tiny_bert):  # noqa: F811
    row = answer_rows(24)[7]
    asked = json.dumps({name: row[name] for name in ("question", "answer")}).encode()
    done = univar("attribute", embedded, "-e", tiny_bert, "-k", "1", "--json", stdin=asked)
    facts = json.loads(done.stdout)
    assert facts["sources"][0]["model"] == row["model"]
    assert facts["evidence"][0]["answer"] == row["answer"]
    assert facts["evidence"][0]["score"] == pytest.approx(1, abs=2e-3)


def test_an_encoder_in_a_folder_must_be_named(univar, embedded):  # noqa: F811
    done = univar("attribute", embedded, stdin=b'{"answer": "x"}\n')
    assert done.exit_code == 2
    assert "needs the encoder tiny-bert" in done.stderr


def test_the_same_encoder_with_other_weights_is_refused(univar, embedded, other_tiny_bert):  # noqa: F811
    done = univar("attribute", embedded, "-e", other_tiny_bert, stdin=b'{"answer": "x"}\n')
    assert done.exit_code == 3
    assert "was embedded with tiny-bert, whose" in done.stderr


@pytest.mark.parametrize("named", ["/etc", "org/model", "minilm+/tmp/adapter", "tiny"])
def test_what_a_strangers_store_names_is_not_loaded(tmp_path, monkeypatch, univar, named):  # noqa: F811
    loaded = []
    monkeypatch.setattr("univar.encoder.encoder.Encoder", lambda *given, **options: loaded.append(given))
    rows = [{"id": "r", "model": "m", "language": "eng", "question_id": "q", "question": "w", "answer": "a"}]
    store = write_store(tmp_path / "store", rows, np.eye(3)[:1], id=named)
    done = univar("attribute", store.path, stdin=b'{"answer": "x"}\n')
    assert done.exit_code == 2
    assert done.stderr.endswith(
        f"needs the encoder {named}, which univar does not ship: give its folder or hub id with -e "
        "(--encoder)\n"
    )
    assert loaded == []


def test_answers_that_lie_at_one_place_share_the_votes(tmp_path):
    """So it is where a question fills the window: nothing of the answers is read, and a tie is a tie."""
    rows = [
        {"id": f"r{n}", "model": "ab"[n // 4], "language": "eng", "question": "why?", "answer": f"so {n}"}
        for n in range(8)
    ]
    store = write_store(tmp_path / "s", rows, np.tile([1.0, 0, 0], (8, 1)))
    (one,) = attribute_answers(
        store, [write_jsonl(tmp_path / "a.jsonl", rows[:1]).as_posix()], on_rejected=pytest.fail, k=8,
        encoder=FakeEncoder(),
    )  # fmt: skip
    assert {entry["label"]: entry["share"] for entry in one["sources"]} == {"a/eng": 0.5, "b/eng": 0.5}
    assert one["evidence"][0]["score"] == pytest.approx(1)
