"""Source heads of an index: fitted on planted sources, kept in the store, refused when stale or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.search.planted import planted, planted_rows, planted_vectors
from tests.search.stores import write_store
from univar.errors import DataError, StoreCorrupt, UsageError
from univar.search import source_files
from univar.search.fit_sources import fit_sources
from univar.search.index import has_sources
from univar.search.panel import Groups
from univar.search.sources import CENTRED, UNCENTRED, SourceModel
from univar.statistics.centring import centre, centre_sparse
from univar.store import Store


def asked(model: SourceModel, store: Store) -> np.ndarray:
    """(n, C) log-probabilities of a store's rows."""
    columns = [store.column(name).tolist() for name in ("answer", "question", "question_id", "language")]
    return model.log_p(model.queries(np.asarray(store.embeddings), *columns))


def test_answers_to_known_questions_are_centred_and_told_apart(tmp_path: Path) -> None:
    store = planted(tmp_path / "train", range(40))
    model = fit_sources(store)
    assert model is not None
    again = planted(tmp_path / "again", range(40), seed=9)
    queries = model.queries(
        np.asarray(again.embeddings),
        *(again.column(name).tolist() for name in ("answer", "question", "question_id", "language")),
    )
    assert queries.is_centred.all()
    truth = again.codes("source")[0]
    assert np.mean(model.log_p(queries).argmax(axis=1) == truth) > 0.8


def test_questions_that_the_index_lacks_go_to_the_uncentred_head(tmp_path: Path) -> None:
    model = fit_sources(planted(tmp_path / "train", range(60)))
    assert model is not None
    other = planted(tmp_path / "other", range(60, 90))
    log_p, truth = asked(model, other), other.codes("source")[0]
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-6)
    assert np.mean(log_p.argmax(axis=1) == truth) > 0.5
    assert -log_p[np.arange(len(truth)), truth].mean() < np.log(4)


def test_rows_of_questions_with_few_answers_are_counted_and_left_as_they_are(tmp_path: Path) -> None:
    rows = planted_rows(range(30)) + planted_rows(range(30, 40), models=2)
    notes: list[str] = []
    model = fit_sources(write_store(tmp_path / "s", rows, planted_vectors(rows)), on_note=notes.append)
    assert model is not None
    assert model.facts["rows_uncentred"] == 20
    assert any("20 left as they are" in note for note in notes)
    assert len(model.rows) == 120


def test_a_question_with_few_answers_is_centred_by_its_proposition(tmp_path: Path) -> None:
    rows = planted_rows(range(30), models=2)
    for number, row in enumerate(rows):
        row["question_id"] = f"p{number // 6}:{number // 2}"
    model = fit_sources(write_store(tmp_path / "s", rows, planted_vectors(rows)), cluster="question_id:1")
    assert model is not None
    assert (model.facts["rows_by_question"], model.facts["rows_by_proposition"]) == (0, 60)


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    store = planted(tmp_path / "train", range(30))
    model = fit_sources(store)
    assert model is not None
    source_files.save(model, store.path)
    again = source_files.load(Store(store.path))
    assert again is not None
    other = planted(tmp_path / "other", range(20, 40), seed=3)
    np.testing.assert_array_equal(asked(again, other), asked(model, other))
    np.testing.assert_array_equal(again.matrix, model.matrix)
    assert again.heads[CENTRED].factors == model.heads[CENTRED].factors
    assert again.heads[UNCENTRED].thresholds == model.heads[UNCENTRED].thresholds
    assert not list(store.path.rglob("*.pkl"))


def test_margins_of_terms_are_added_to_the_discriminants_log_odds_and_never_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("univar.heads.source.WORD_WEIGHTS", (0.0,))  # only the margins know the words
    rows = planted_rows(range(60))
    model = fit_sources(write_store(tmp_path / "s", rows, planted_vectors(rows, signal=0.2)))
    assert model is not None
    head, blocks = model.heads[UNCENTRED], model.blocks
    assert head.terms_weight > 0
    assert model.matrix.shape[1] == blocks.searched == blocks.slices["terms"].start
    other = planted(tmp_path / "other", range(60, 80))
    columns = [other.column(name).tolist() for name in ("answer", "question", "question_id", "language")]
    x = model.queries(np.asarray(other.embeddings), *columns).x
    without = x.copy()
    without[:, blocks.slices["terms"]] = 0
    place = blocks.searched + len(model.labels) * (blocks.slices["terms"].stop - blocks.searched > 4)
    margins = head.linear.log_odds(x) - head.linear.log_odds(without)
    np.testing.assert_allclose(margins, head.terms_weight * x[:, place : place + 4], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(head.distance.log_odds(x), head.distance.log_odds(without))


def test_centred_margins_are_those_of_centred_terms(tmp_path: Path) -> None:
    store = planted(tmp_path / "train", range(40))
    model = fit_sources(store)
    assert model is not None
    assert model.words is not None
    assert model.words.scores is not None
    weighed = model.words.weigh(store.column("answer").tolist())
    groups = Groups.of(store, "language-question", None)
    own = centre_sparse(weighed, store.codes("source")[0], groups.questions)
    dense = centre(weighed @ model.words.scores, store.codes("source")[0], groups.questions).embeddings
    np.testing.assert_allclose(own @ model.words.scores, dense, atol=1e-3)


def test_what_the_version_before_wrote_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("univar.search.fit_sources.TERM_WORK", 0)  # it had no margins
    store = planted(tmp_path / "train", range(30))
    model = fit_sources(store)
    assert model is not None
    assert "terms" not in model.blocks.slices
    source_files.save(model, store.path)
    path = store.path / "index" / "sources" / "sources.json"
    facts = json.loads(path.read_text())
    facts["format"] = "univar-sources/1"
    for head in facts["heads"].values():
        del head["terms_weight"]
    path.write_text(json.dumps(facts))
    again = source_files.load(store)
    assert again is not None
    np.testing.assert_array_equal(asked(again, store), asked(model, store))


def test_heads_of_other_rows_are_refused(tmp_path: Path) -> None:
    store = planted(tmp_path / "train", range(30))
    model = fit_sources(store)
    assert model is not None
    source_files.save(model, store.path)
    planted(tmp_path / "train", range(30, 32), seed=4)
    with pytest.raises(DataError, match=r"out of date.*univar index"):
        source_files.load(Store(store.path))


@pytest.mark.parametrize(
    "file", ["arrays.safetensors", "words_axes.npy", "words_scores.npy", "rows.f16", "sources.json"]
)
def test_damaged_files_are_refused(tmp_path: Path, file: str) -> None:
    store = planted(tmp_path / "train", range(30))
    model = fit_sources(store)
    assert model is not None
    source_files.save(model, store.path)
    path = store.path / "index" / "sources" / file
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(StoreCorrupt, match="univar index"):
        source_files.load(Store(store.path))


def test_one_source_has_no_heads(tmp_path: Path) -> None:
    rows = planted_rows(range(20), models=1)
    notes: list[str] = []
    assert fit_sources(write_store(tmp_path / "s", rows, planted_vectors(rows)), on_note=notes.append) is None
    assert "one source" in notes[0]


def test_a_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    store = planted(tmp_path / "train", range(10))
    with pytest.raises(UsageError, match="no column 'nope'"):
        fit_sources(store, cluster="nope")


def test_the_command_prints_words_heads_time_and_memory(univar, tmp_path: Path) -> None:  # noqa: F811
    path = planted(tmp_path / "train", range(30)).path
    done = univar("index", path, "--threads", "1")
    assert done.exit_code == 0, done.stderr
    for said in ("words: ", "head for centred rows: ", "head for uncentred rows: ", "fit: ", "GiB of memory"):
        assert said in done.stdout
    assert "centred by at least 3 answers of other sources" in done.stderr
    facts = json.loads(univar("index", path, "--json", "--no-words", "--centre", "none").stdout)["sources"]
    assert list(facts["heads"]) == ["uncentred"]
    assert facts["words"] == {"dims": 0}
    assert json.loads(univar("index", path, "--json", "--no-head").stdout)["sources"] is None
    assert not has_sources(path)
