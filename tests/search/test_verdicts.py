"""Verdicts by source heads: their fields, bags, unknown sources, reasons and warnings, on planted answers."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.search.planted import DIMS, planted, planted_rows, planted_vectors
from tests.search.stores import write_store
from univar.errors import UsageError
from univar.search import Index, attribute, attribute_answers, source_files
from univar.search.fit_sources import fit_sources
from univar.search.sources import SourceModel
from univar.search.verdict import Asked, Judge
from univar.search.verdict_text import verdict_lines
from univar.store import Store

KEYS = [
    "n", "propositions", "effective_n", "sources", "models", "languages", "more_answers_for_99", "sets",
    "none_of_these", "evidence", "reasons", "warnings", "notes",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 60 questions with heads in its index."""
    made = planted(tmp_path_factory.mktemp("verdicts") / "train", range(60))
    model = fit_sources(made)
    assert model is not None
    source_files.save(model, made.path)
    return made


@pytest.fixture
def model(store: Store) -> SourceModel:
    found = source_files.load(store)
    assert found is not None
    return found


def judge(store: Store, model: SourceModel) -> Judge:
    return Judge(model, store, 4, 1, Index.build(store).search)


def asked(rows: list[dict[str, str]], **vectors: float) -> Asked:
    columns = [[row[name] for row in rows] for name in ("answer", "question", "question_id", "language")]
    embeddings = planted_vectors(rows, **vectors)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Asked(unit.astype(np.float32), *columns, columns[2])


def of_model(rows: list[dict[str, str]], model: int) -> list[dict[str, str]]:
    return [row for row in rows if row["model"] == f"m{model}"]


def test_probabilities_sum_to_one_at_every_level(store: Store, model: SourceModel) -> None:
    for facts in judge(store, model).rows(asked(planted_rows(range(55, 65), seed=2))):
        assert list(facts) == KEYS
        for level in ("sources", "models", "languages"):
            assert sum(one["probability"] for one in facts[level]) == pytest.approx(1, abs=1e-4)
        assert set(facts["sources"][0]) == {"model", "language", "probability"}
        assert facts["none_of_these"] is None
        assert {"0.8", "0.9", "0.95"} == set(facts["sets"])
        assert any("nobody tried" in note for note in facts["notes"])


def test_a_question_of_the_index_is_compared_among_its_answers(store: Store, model: SourceModel) -> None:
    inside, outside = judge(store, model).rows(asked(planted_rows(range(59, 61), models=1, seed=2)))
    assert "the index holds this question" in inside["notes"][0]
    assert "the index lacks this question" in outside["notes"][0]


def test_a_bag_is_surer_than_its_answers(store: Store, model: SourceModel) -> None:
    rows = of_model(planted_rows(range(100, 112), seed=5), 2)
    for row in rows:
        row["answer"] = row["answer"].replace("indeed", "").replace("surely", "")
    faint = asked(rows, signal=0.8)
    single, bag = judge(store, model).rows(faint), judge(store, model).bag(faint)
    assert list(bag) == KEYS
    assert bag["n"] == bag["propositions"] == 12
    assert bag["sources"][0]["model"] == "m2"
    alone = [one["probability"] for facts in single for one in facts["sources"] if one["model"] == "m2"]
    assert bag["sources"][0]["probability"] > np.mean(alone)
    assert bag["reasons"]["questions"]


def test_bags_of_known_sources_are_called_unknown_no_more_often_than_said(
    store: Store, model: SourceModel
) -> None:
    p = []
    for seed in range(20):
        questions = range(100 + 20 * seed, 112 + 20 * seed)  # none of them in the index
        rows = of_model(planted_rows(questions, seed=seed), seed % 4)
        p.append(judge(store, model).bag(asked(rows, seed=seed))["none_of_these"]["p"])
    assert np.mean(np.array(p) < 0.05) <= 0.15
    assert np.mean(np.array(p) > 0.5) >= 0.25


def test_an_answer_given_twice_counts_once(store: Store, model: SourceModel) -> None:
    rows = of_model(planted_rows(range(100, 104), seed=5), 1)
    once = asked(rows)
    twice = Asked.join([once, once])
    bag, doubled = judge(store, model).bag(once), judge(store, model).bag(twice)
    assert (bag["n"], doubled["n"]) == (4, 8)
    assert doubled["propositions"] == bag["propositions"]
    assert doubled["effective_n"] == bag["effective_n"]
    for one, other in zip(bag["sources"], doubled["sources"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_a_phrase_with_a_line_break_stays_on_its_line(store: Store, model: SourceModel) -> None:
    facts = judge(store, model).bag(asked(of_model(planted_rows(range(100, 112), seed=5), 1)))
    facts["reasons"]["phrases"] = [{"phrase": "first\n\n", "weight": 1.0}, {"phrase": "last", "weight": 0.5}]
    lines = verdict_lines(facts, "sources")
    assert "  phrases: “first⏎⏎”, “last”" in lines
    assert not any("\n" in line for line in lines)
    assert f"  none of these: p = {facts['none_of_these']['p']:.3f} (if small, " in "\n".join(lines)
    assert facts["notes"][0].startswith("the index lacks these questions")


def test_wordings_of_one_proposition_count_once(store: Store, model: SourceModel) -> None:
    first = asked(of_model(planted_rows(range(100, 104), seed=5), 1))
    other = asked(of_model(planted_rows(range(110, 114), seed=6), 1))
    wordings = Asked.join([first, replace(other, clusters=first.clusters)])
    separate = Asked.join([first, other])
    one, two = judge(store, model).bag(wordings), judge(store, model).bag(separate)
    assert (one["n"], one["propositions"]) == (8, 4)
    assert (two["n"], two["propositions"]) == (8, 8)
    assert one["effective_n"] == judge(store, model).bag(first)["effective_n"] < two["effective_n"]


def test_a_source_that_is_not_there_is_strange(store: Store, model: SourceModel) -> None:
    rows = [dict(row, model="m9") for row in of_model(planted_rows(range(200, 220), seed=7), 0)]
    for row in rows:
        row["answer"] = " ".join(
            word for word in row["answer"].split() if word not in ("however", "moreover")
        )
    unknown = judge(store, model).bag(asked(rows, signal=3.0))["none_of_these"]
    assert unknown["p"] < 0.05


def test_small_bags_are_never_called_unknown(store: Store, model: SourceModel) -> None:
    rows = of_model(planted_rows(range(100, 109), seed=5), 0)
    assert judge(store, model).bag(asked(rows))["none_of_these"] is None


def test_few_propositions_give_no_sets(tmp_path: Path) -> None:
    made = planted(tmp_path / "few", range(15))
    fitted = fit_sources(made)
    assert fitted is not None
    assert judge(made, fitted).rows(asked(planted_rows(range(3))))[0]["sets"] == {}


def test_the_words_that_give_a_source_away_are_named(store: Store, model: SourceModel) -> None:
    rows = of_model(planted_rows(range(100, 120), seed=5), 1)
    found = judge(store, model).bag(asked(rows, signal=0.0))
    named = " ".join(one["phrase"] for one in found["reasons"]["phrases"])
    assert found["sources"][0]["model"] == "m1"
    assert "yeah" in named or "well" in named
    assert found["reasons"]["parts"]["words"] > 0.5


def test_names_declined_answers_and_lengths_are_warned_of(store: Store, model: SourceModel) -> None:
    row = dict(planted_rows(range(1))[0])
    named = judge(store, model).rows(asked([row | {"answer": "As ChatGPT, made by OpenAI, I say yeah."}]))
    declined = judge(store, model).rows(asked([row | {"answer": "I'm sorry, but I cannot help with that."}]))
    assert any("name of an assistant" in said for said in named[0]["warnings"])
    assert any("decline" in said for said in declined[0]["warnings"])


class FakeEncoder:
    """Vectors of planted answers, by the answers' words."""

    def __init__(self) -> None:
        self.info = {"id": "tiny", "revision": "r1", "dim": DIMS, "max_length": 64, "pooling": "mean"}

    def encode(self, texts: list[str]) -> np.ndarray:
        seeds = [np.random.default_rng(sum(map(ord, text))) for text in texts]
        out = np.array([rng.standard_normal(DIMS) for rng in seeds], np.float32)
        return out / np.linalg.norm(out, axis=1, keepdims=True)


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(Encoder=lambda spec, **options: FakeEncoder())
    monkeypatch.setitem(sys.modules, "univar.encoder.encoder", fake)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "unknown.jsonl"
    rows = [{**row, "run": f"r{n % 2}"} for n, row in enumerate(planted_rows(range(70, 73)))]
    for row in rows:
        del row["model"], row["language"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.usefixtures("faked")
def test_json_has_a_row_or_a_bag_a_line(univar, store: Store, answers: Path) -> None:  # noqa: F811
    done = univar("attribute", store.path, "-e", "tiny", answers, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 13))
    assert list(lines[0]) == ["row", "id", *KEYS]
    bags = [
        json.loads(x)
        for x in univar(
            "attribute", store.path, "-e", "tiny", answers, "--bag", "run", "--json"
        ).stdout.splitlines()
    ]
    assert [(bag["bag"], bag["n"]) for bag in bags] == [("r0", 6), ("r1", 6)]
    (whole,) = univar(
        "attribute", store.path, "-e", "tiny", answers, "--bag-all", "--json"
    ).stdout.splitlines()
    assert (json.loads(whole)["bag"], json.loads(whole)["propositions"]) == ("all", 3)


@pytest.mark.usefixtures("faked")
def test_of_a_bag_that_is_too_large_it_is_said_how_many_answers_count(
    univar,  # noqa: F811
    store: Store,
    answers: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("univar.search.held_bags.MOST_IN_BAG", 5)
    done = univar("attribute", store.path, "-e", "tiny", answers, "--bag-all", "--json")
    bag = json.loads(done.stdout)
    assert bag["n"] == 5
    assert "5 of the bag's 12 answers count, drawn at random" in bag["notes"]


@pytest.mark.usefixtures("faked")
def test_text_says_what_a_verdict_assumes(univar, store: Store, answers: Path) -> None:  # noqa: F811
    done = univar("attribute", store.path, "-e", "tiny", answers, "--evidence", "1")
    assert done.stdout.count("assumes that nobody tried to write like another source") == 12
    assert "whether the source is unknown cannot be said of one answer" in done.stdout
    one = univar("attribute", store.path, "-e", "tiny", "--text", "yeah well word1", "--evidence", "0")
    assert one.stdout.startswith("row 1\n")


@pytest.mark.usefixtures("faked")
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_keeps_the_columns_of_the_input(
    univar,  # noqa: F811
    store: Store,
    answers: Path,
    tmp_path: Path,
    ending: str,
) -> None:
    out = tmp_path / f"out.{ending}"
    done = univar("attribute", store.path, "-e", "tiny", answers, "-o", out)
    assert (done.exit_code, done.stdout) == (0, "")
    if ending == "csv":
        rows = list(csv.DictReader(out.open()))
    elif ending == "jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        rows = pq.read_table(out).to_pylist()
    given = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [int(row["row"]) for row in rows] == list(range(1, 13))
    assert [(row["id"], row["run"], row["answer"]) for row in rows] == [
        (row["id"], row["run"], row["answer"]) for row in given
    ]
    assert {row["source_model"] for row in rows} <= {"m0", "m1", "m2", "m3"}
    assert all(0 < float(row["probability"]) <= 1 for row in rows)
    again = univar("attribute", store.path, "-e", "tiny", answers, "-o", out)
    assert again.exit_code == 2
    assert "--force" in again.stderr


@pytest.mark.usefixtures("faked")
def test_bags_without_heads_and_unknown_columns_are_refused(
    univar,  # noqa: F811
    store: Store,
    answers: Path,
    tmp_path: Path,
) -> None:
    done = univar("attribute", store.path, "-e", "tiny", answers, "--bag", "nope")
    assert done.exit_code == 2
    assert "no column 'nope'" in done.stderr
    plain = write_store(tmp_path / "plain", planted_rows(range(3)), planted_vectors(planted_rows(range(3))))
    with pytest.raises(UsageError, match="univar index"):
        list(attribute_answers(plain, str(answers), on_rejected=print, encoder=FakeEncoder(), bag="all"))
    votes = univar("attribute", plain.path, "-e", "tiny", answers)
    assert "not probabilities" in votes.stderr


@pytest.mark.usefixtures("faked")
def test_heads_of_other_rows_stop_the_command(univar, tmp_path: Path, answers: Path) -> None:  # noqa: F811
    made = planted(tmp_path / "grown", range(12))
    fitted = fit_sources(made)
    assert fitted is not None
    source_files.save(fitted, made.path)
    planted(tmp_path / "grown", range(12, 14))
    done = univar("attribute", made.path, "-e", "tiny", answers)
    assert done.exit_code == 3
    assert "out of date" in done.stderr


def test_the_library_ranks_by_probabilities_where_it_has_texts(store: Store) -> None:
    rows = planted_rows(range(80, 84), seed=2)
    embeddings = asked(rows).embeddings
    texts = {"questions": [row["question"] for row in rows], "answers": [row["answer"] for row in rows]}
    index = Index.build(store)
    votes = attribute(index, embeddings, k=5)
    assert votes.probabilities is None
    by_source = attribute(index, embeddings, k=5, **texts)
    by_model = attribute(index, embeddings, k=5, by="model", **texts)
    assert by_source.probabilities is not None
    assert by_model.probabilities is not None
    np.testing.assert_allclose(by_source.probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(by_model.probabilities, by_source.probabilities, atol=1e-9)
    assert [by_model.labels[best] for best in by_model.ranking[:, 0]] == [row["model"] for row in rows]
    with pytest.raises(UsageError, match="give one each"):
        attribute(index, embeddings, answers=["one"])
