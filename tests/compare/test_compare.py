"""Distances of a store's sources: what is paired with what, their floor, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.compare.stores import planted, planted_store
from tests.search.stores import write_store
from univar.compare.compare import compare
from univar.compare.rows import part_of
from univar.compare.text import distance_text, tables
from univar.errors import DataError, UsageError
from univar.statistics.distances import paired
from univar.store import Store

TWO_LEVELS = "question_id:2"


def test_a_pair_is_the_paired_distance_over_shared_questions(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0, "c": 1.0})
    found = compare(store)
    vectors, models = np.asarray(store.embeddings, np.float32), store.column("model")
    order = np.argsort(store.column("question_id"), kind="stable")
    x, y = (vectors[order[models[order] == model]] for model in ("a", "b"))
    expected = paired(x, y)
    pair = found.pairs[0]
    assert (pair.a, pair.b, pair.pairing) == ("a", "b", "prompt")
    assert pair.distance.estimate == pytest.approx(expected.estimate, abs=1e-6)
    assert pair.distance.low == pytest.approx(expected.low, abs=1e-5)
    assert found.pairs[2].distance.low < 0.01 < pair.distance.low  # b and c are one model
    assert found.matrix()[1, 0] == pair.distance.estimate


def test_missing_answers_leave_the_shared_questions(tmp_path: Path) -> None:
    rows, vectors = planted({"a": 0.0, "b": 1.0})
    keep = [i for i, row in enumerate(rows) if row["model"] == "a" or "q1" in row["question_id"]]
    store = write_store(tmp_path / "s", [rows[i] for i in keep], vectors[keep])
    found = compare(store)
    assert found.pairs[0].distance.clusters == 10
    assert found.propositions == (20, 10)


def test_wordings_of_a_proposition_count_once(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "s", {"a": 0.0, "b": 0.5}, 12, wordings=4)
    alone, together = compare(store), compare(store, cluster=TWO_LEVELS)
    assert alone.pairs[0].distance.clusters == 48
    assert together.pairs[0].distance.clusters == 12
    assert together.pairs[0].distance.estimate == pytest.approx(alone.pairs[0].distance.estimate, rel=0.2)


def test_the_floor_by_wording_grows_with_what_wordings_do_and_samples_have_their_own(tmp_path: Path) -> None:
    models = {"a": 0.0, "b": 0.5}
    settings = {"wordings": 4, "samples": 2}
    calm = compare(planted_store(tmp_path / "calm", models, 20, **settings), cluster=TWO_LEVELS)
    moved = compare(
        planted_store(tmp_path / "moved", models, 20, wording_shift=2.0, **settings), cluster=TWO_LEVELS
    )
    assert [floor.kind for floor in calm.floors] == ["wording", "sample"]
    assert moved.floor is not None
    assert moved.floor.kind == "wording"
    assert calm.floor is not None
    assert moved.floor.value > 5 * calm.floor.value
    samples = [found.floors[1] for found in (calm, moved)]
    assert samples[1].value == pytest.approx(samples[0].value, rel=0.5)
    assert abs(samples[0].mean) < samples[0].value / 3  # 0 by construction
    assert compare(Store(tmp_path / "moved"), cluster=TWO_LEVELS, floor="sample").floor == samples[1]


def test_the_floor_by_sample_is_what_two_samples_of_one_model_reach(tmp_path: Path) -> None:
    """95 % of the distances between two runs of one model lie below the floor of one run."""
    below = []
    for seed in range(40):
        store = planted_store(tmp_path / f"s{seed}", {"a": 0.0, "b": 0.0}, 16, samples=4, seed=seed)
        found = compare(store)
        assert found.floor is not None
        below.append(found.pairs[0].distance.estimate <= found.floor.value)
    assert 0.85 <= np.mean(below) <= 1.0


def test_without_repeats_the_floor_is_unknown(tmp_path: Path) -> None:
    found = compare(planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0}))
    assert found.floor is None
    assert distance_text(found.pairs[0].distance, None).endswith("], floor unknown")
    assert any("floor unknown" in note for note in tables(found)[-1].notes)


def test_languages_are_compared_over_the_same_models_and_questions(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0}, 10, languages=("eng", "fin"))
    by_language = compare(store, ["language"])
    assert by_language.sources == ("eng", "fin")
    assert by_language.pairs[0].distance.clusters == 10
    by_source = compare(store, ["source"])
    assert by_source.sources == ("a/eng", "a/fin", "b/eng", "b/fin")
    assert all(pair.pairing == "prompt" for pair in by_source.pairs)


def test_prompts_that_nobody_shares_are_paired_by_proposition_and_other_questions_not_at_all(
    tmp_path: Path,
) -> None:
    rows, vectors = planted({"a": 0.0, "b": 1.0, "c": 0.0}, 20, wordings=2)
    asked = {"a": ("w0", range(10)), "b": ("w1", range(10)), "c": ("w0", range(10, 20))}
    keep = []
    for i, row in enumerate(rows):
        wording, questions = asked[row["model"]]
        _, question, own = row["question_id"].split(":")
        if own == wording and int(question[1:]) in questions:
            keep.append(i)
    store = write_store(tmp_path / "s", [rows[i] for i in keep], vectors[keep])
    found = compare(store, cluster=TWO_LEVELS)
    assert [pair.pairing for pair in found.pairs] == ["proposition", "unpaired", "unpaired"]
    assert any("never given one prompt" in note for note in found.notes)
    assert any("share no question" in note for note in found.notes)


def test_tests_of_pairs_are_corrected_for_all_and_say_where_they_cannot_tell(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0, "c": 1.0}, 12)
    found = compare(store, test=True)
    p = {(pair.a, pair.b): (pair.p, pair.p_holm) for pair in found.pairs}
    assert p["a", "b"][1] < 0.05 < p["b", "c"][1]
    assert p["a", "b"][1] >= p["a", "b"][0]
    small = compare(planted_store(tmp_path / "t", {"a": 0.0, "b": 1.0, "c": 1.0}, 6), test=True)
    assert any("cannot reach 0.05 after Holm" in note for note in small.notes)


def test_centring_on_the_language_takes_its_own_place_out(tmp_path: Path) -> None:
    models = {name: 0.1 * n for n, name in enumerate("abcdef")}
    rows, vectors = planted(models, 15, languages=("eng", "fin"))
    vectors[[row["language"] == "fin" for row in rows], 3] += 3.0
    store = write_store(tmp_path / "s", rows, vectors)
    plain, residual = (compare(store, ["source"], centre=how).matrix() for how in ("none", "language"))
    assert plain[0, 1] > 0.1
    assert abs(residual[0, 1]) < 0.1 * plain[0, 1]


def test_one_source_one_shared_question_and_identical_answers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is one source, 'a'"):
        compare(planted_store(tmp_path / "one", {"a": 0.0}))
    single = compare(planted_store(tmp_path / "q", {"a": 0.0, "b": 1.0}, 1))
    assert np.isnan(single.pairs[0].distance.estimate)
    assert any("no interval" in note for note in single.notes)
    rows, vectors = planted({"a": 0.0, "b": 0.0}, 8)
    same = compare(write_store(tmp_path / "same", rows, np.ones_like(vectors)))
    assert (same.pairs[0].distance.estimate, same.pairs[0].distance.low) == (0.0, None)


def test_vectors_that_are_not_finite_are_named() -> None:
    damaged = np.ones((4, 3), np.float32)
    damaged[2, 1] = np.nan
    with pytest.raises(DataError, match="runs/s: 1 embeddings hold NaN"):
        part_of(SimpleNamespace(path=Path("runs/s"), embeddings=damaged), "values")


def test_unknown_names_are_said(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0})
    with pytest.raises(UsageError, match="no source is called 'z'; there are a, b"):
        compare(store, only=["a", "z"])
    with pytest.raises(UsageError, match="no column 'country'"):
        compare(store, ["country"])
    with pytest.raises(UsageError, match=r"'question_id:x' is not COLUMN or COLUMN:K"):
        compare(store, cluster="question_id:x")


@pytest.mark.parametrize("form", ["table", "csv", "markdown", "latex"])
def test_the_command_prints_pairs_with_floor(tmp_path: Path, univar: Run, form: str) -> None:
    planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0, "c": 1.0}, 12, wordings=2)
    done = univar("compare", tmp_path / "s", "--cluster", TWO_LEVELS, "--as", form)
    assert done.exit_code == 0, done.stderr
    assert "floor" in done.stdout
    assert done.stdout.count("\n") > 3


def test_the_json_has_what_the_formats_page_names(tmp_path: Path, univar: Run) -> None:
    planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0, "c": 1.0}, 12, wordings=2)
    done = univar("compare", tmp_path / "s", "a", "b", "--cluster", TWO_LEVELS, "--json")
    facts = json.loads(done.stdout)
    assert facts["format"] == "univar-comparison/1"
    assert [source["name"] for source in facts["sources"]] == ["a", "b"]
    pair = facts["pairs"][0]
    assert pair["low"] < pair["value"] < pair["high"]
    assert pair["p"] == pair["p_holm"] < 0.05
    assert facts["floor"]["kind"] == "wording"


def test_one_name_alone_is_refused(tmp_path: Path, univar: Run) -> None:
    planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0})
    done = univar("compare", tmp_path / "s", "a")
    assert done.exit_code == 2
    assert "'a' alone cannot be compared" in done.stderr


def test_a_store_with_the_part_source_alone_is_compared_with_a_warning(tmp_path: Path) -> None:
    rows, vectors = planted({"a": 0.0, "b": 1.0})
    store = write_store(tmp_path / "s", rows, vectors, parts={"source": [0, vectors.shape[1]]})
    assert set(store.parts) == {"source"}
    found = compare(store)
    assert any("its only part, 'source', is compared: distances are of style" in note for note in found.notes)
    assert compare(store, part=None).pairs[0].distance == found.pairs[0].distance
