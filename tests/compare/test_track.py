"""Releases against a baseline: exit codes, floors, looks, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.compare.stores import planted, planted_store
from tests.conftest import answer_rows, write_jsonl
from tests.search.stores import write_store
from univar.compare.releases import Releases
from univar.compare.track import Tracking, track
from univar.compare.track_text import tables as track_tables
from univar.compare.verdict import BEYOND, UNSURE, WITHIN, verdict
from univar.errors import DataError, UsageError
from univar.statistics.intervals import Interval


def releases(folder: Path, *places: float, questions: int = 20, **settings) -> Releases:
    """One store a place: releases r0, r1, ... of one model."""
    return Releases(
        [
            planted_store(folder / f"r{n}", {f"m-{n}": place}, questions, seed=n, **settings)
            for n, place in enumerate(places)
        ]
    )


def only(found: Tracking):
    return found.looks[-1].baseline[0]


def test_a_release_that_moved_lies_beyond_the_floor(tmp_path: Path) -> None:
    found = track(releases(tmp_path, 0.0, 0.7, samples=3))
    assert (found.verdict, found.exit_code) == (BEYOND, 10)
    assert only(found).floor.kind == "sample"
    assert only(found).distance.low > only(found).floor.value
    assert found.first == {"": "r1"}


def test_the_same_model_sampled_again_is_not_beyond(tmp_path: Path) -> None:
    codes = [track(releases(tmp_path / f"{n}", 0.0, 0.0, samples=3)).exit_code for n in range(5)]
    assert 10 not in codes


def test_a_tolerance_gives_within(tmp_path: Path) -> None:
    found = track(releases(tmp_path, 0.0, 0.0), tolerance=0.05)
    assert (found.verdict, found.exit_code) == (WITHIN, 0)
    assert track(releases(tmp_path / "2", 0.0, 1.5), tolerance=0.01).exit_code == 10


def test_without_repeats_the_answer_is_moved_or_could_not_tell_but_never_within(tmp_path: Path) -> None:
    assert track(releases(tmp_path / "same", 0.0, 0.0)).exit_code == 11
    assert track(releases(tmp_path / "moved", 0.0, 1.0)).exit_code == 10


@pytest.mark.parametrize("tolerance", [None, 0.5])
def test_below_six_questions_nothing_can_be_told(tmp_path: Path, tolerance: float | None) -> None:
    found = track(releases(tmp_path, 0.0, 3.0, questions=5, samples=3), tolerance=tolerance)
    assert found.exit_code == 11
    assert "5 shared propositions, and at least 6 are needed" in only(found).why
    assert track(releases(tmp_path / "six", 0.0, 3.0, questions=6, samples=3)).exit_code == 10


def test_identical_answers_are_within_a_tolerance_and_unsure_without_one(tmp_path: Path) -> None:
    rows, vectors = planted({"m": 0.0}, 10)
    pair = [write_store(tmp_path / name, rows, vectors) for name in ("a", "b")]
    assert track(Releases(pair)).exit_code == 11
    assert track(Releases(pair), tolerance=0.01).exit_code == 0


def test_the_first_release_that_moved_is_named_and_alpha_is_spent(tmp_path: Path) -> None:
    series = releases(tmp_path, 0.0, 0.0, 1.0, 1.0, samples=3)
    found = track(series)
    assert [look.verdict == BEYOND for look in found.looks] == [False, True, True]
    assert found.first == {"": "r2"}
    assert found.planned == 3
    last = found.looks[2].previous[0]
    assert (last.against, last.verdict == BEYOND) == ("r2", False)
    wide = track(series, looks=30).looks[1].baseline[0].distance
    assert wide.low < found.looks[1].baseline[0].distance.low
    with pytest.raises(UsageError, match="--looks 2, but 3 releases"):
        track(series, looks=2)


def test_models_are_matched_by_name_and_corrected_together(tmp_path: Path) -> None:
    pair = Releases(
        [
            planted_store(tmp_path / "old", {"a": 0.0, "b": 0.0, "gone": 0.0}, samples=2, seed=1),
            planted_store(tmp_path / "new", {"a": 0.0, "b": 1.0}, samples=2, seed=2),
        ]
    )
    found = track(pair)
    told = {shift.model: shift.verdict for shift in found.looks[0].baseline}
    assert told["b"] == BEYOND != told["a"]
    assert found.exit_code == 10
    b = next(shift for shift in found.looks[0].baseline if shift.model == "b")
    assert b.p_holm == pytest.approx(2 * b.p)
    assert "models of one release alone are left out: gone" in found.notes


def test_declined_answers_and_length_are_told_apart_from_the_distance(tmp_path: Path) -> None:
    rows, vectors = planted({"m": 0.0}, 20)
    old = write_store(tmp_path / "old", rows, vectors)
    for row in rows:
        row["answer"] = "I'm sorry, but I can't help with that."
    found = track(Releases([old, write_store(tmp_path / "new", rows, vectors)]), tolerance=1.0)
    declined, length = only(found).traits
    assert (declined.name, declined.before, declined.after) == ("declined", 0.0, 1.0)
    assert length.change.estimate != 0
    assert found.exit_code == 0  # the vectors are the same


def test_the_value_whose_questions_moved_comes_first(tmp_path: Path) -> None:
    rows, vectors = planted({"m": 0.0}, 30, seed=1)
    new_rows, new = planted({"m": 0.0}, 30, seed=2)
    new[[row["value"] == "value 1" for row in new_rows], 0] += 1.0
    pair = [write_store(tmp_path / "a", rows, vectors), write_store(tmp_path / "b", new_rows, new)]
    values = only(track(Releases(pair))).values
    assert next(value.value for value in values) == "value 1"
    assert values[0].p_holm < 0.05 < values[1].p_holm


def test_stores_of_other_encoders_other_questions_or_models_are_refused(tmp_path: Path) -> None:
    rows, vectors = planted({"m": 0.0}, 8)
    base = write_store(tmp_path / "base", rows, vectors)
    other = write_store(tmp_path / "other", rows, vectors, id="another")
    with pytest.raises(DataError, match=r"of different encoders .*--work FOLDER"):
        Releases([base, other])
    elsewhere = [{**row, "question_id": f"other:{row['question_id']}"} for row in rows]
    apart = write_store(tmp_path / "apart", elsewhere, vectors)
    with pytest.raises(DataError, match="share no question"):
        track(Releases([base, apart]))
    many = [write_store(tmp_path / n, *planted({f"{n}1": 0.0, f"{n}2": 0.0}, 8)) for n in "xy"]
    with pytest.raises(DataError, match="no model of x is in another release"):
        track(Releases(many))
    with pytest.raises(UsageError, match="given twice"):
        Releases([base, base])


def test_the_floor_that_counts_is_by_sample_else_by_wording_and_told(tmp_path: Path) -> None:
    both, wordings = {"samples": 2, "wordings": 2}, {"wordings": 2}
    for name, settings, kind in (("s", both, "sample"), ("w", wordings, "wording")):
        found = track(releases(tmp_path / name, 0.0, 0.1, **settings), cluster="question_id:2")
        assert only(found).floor.kind == kind
        assert any(f"the floor by {kind} counts" in note for note in track_tables(found)[0].notes)


def test_verdicts() -> None:
    def told(low: float, high: float, tolerance: float | None, p: float) -> str:
        return verdict(Interval((low + high) / 2, low, high, 10, 0.1), tolerance, p, 0.05)[0]

    assert told(0.1, 0.3, 0.05, 0.01) == BEYOND
    assert told(0.1, 0.3, 0.05, 0.2) == UNSURE
    assert told(0.0, 0.04, 0.05, 0.01) == WITHIN
    assert told(0.0, 0.06, 0.05, 0.01) == UNSURE
    assert told(0.1, 0.3, None, 0.01) == BEYOND
    assert told(-0.1, 0.3, None, 0.9) == UNSURE


@pytest.mark.parametrize(("place", "code"), [(1.0, 10), (0.0, 0)])
def test_the_command_ends_with_the_code_and_prints_one_object(
    tmp_path: Path, univar: Run, place: float, code: int
) -> None:
    releases(tmp_path, 0.0, place, samples=2)
    arguments = ("track", tmp_path / "r0", tmp_path / "r1", "--tolerance", "0.02")
    done = univar(*arguments, "--json")
    assert done.exit_code == code, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["format"], facts["exit_code"]) == ("univar-tracking/1", code)
    shift = facts["releases"][0]["baseline"][0]
    assert np.isfinite(shift["value"])
    assert {value["name"] for value in shift["values"]} == {"value 0", "value 1", "value 2"}
    text = univar(*arguments)
    assert ("moved" if code else "within tolerance") in text.stdout


def test_a_missing_store_is_bad_data_and_no_drift(tmp_path: Path, univar: Run) -> None:
    planted_store(tmp_path / "r0", {"m": 0.0})
    assert univar("track", tmp_path / "r0", tmp_path / "nowhere").exit_code == 3


def test_the_question_that_moved_is_named_where_wordings_or_samples_allow_it(tmp_path: Path) -> None:
    for name, settings in (("wordings", {"wordings": 10}), ("samples", {"samples": 8})):
        pair = []
        for seed in (1, 2):
            rows, vectors = planted({"m": 0.0}, 10, seed=seed, **settings)
            if seed == 2:
                vectors[["q07" in row["question_id"] for row in rows], 0] += 1.5
            pair.append(write_store(tmp_path / f"{name}{seed}", rows, vectors))
        shift = only(track(Releases(pair), cluster="question_id:2"))
        first, second = shift.questions[:2]
        assert first.proposition == "set:q07"
        assert first.p_holm <= 0.05 < second.p_holm
        assert shift.questions_note is None


def test_single_answers_cannot_tell_of_one_question(tmp_path: Path) -> None:
    shift = only(track(releases(tmp_path / "one", 0.0, 1.0)))
    assert all(each.p is None for each in shift.questions)
    assert "no question can be tested by itself" in shift.questions_note
    few = only(track(releases(tmp_path / "two", 0.0, 1.0, samples=2)))
    assert "cannot reach 0.05 after Holm" in few.questions_note


def test_stores_of_different_encoders_are_embedded_again_where_asked(
    tmp_path: Path, univar: Run, tiny_bert: Path, other_tiny_bert: Path
) -> None:
    for name, encoder in (("old", tiny_bert), ("new", other_tiny_bert)):
        answers = write_jsonl(tmp_path / f"{name}.jsonl", answer_rows(12, models=1))
        assert univar("embed", answers, "-o", tmp_path / name, "-e", encoder, "-q").exit_code == 0
    pair = ("track", tmp_path / "old", tmp_path / "new", "--tolerance", "0.01")
    refused = univar(*pair)
    assert refused.exit_code == 3
    assert "different encoders" in refused.stderr
    again = univar(*pair, "--encoder", tiny_bert, "--work", tmp_path / "work")
    assert again.exit_code == 0, again.stderr  # the answers are the same
    assert "embedding 12 rows of" in again.stderr
    assert "embedding" not in univar(*pair, "--encoder", tiny_bert, "--work", tmp_path / "work").stderr
    assert univar(*pair, "--encoder", tiny_bert).exit_code == 2
    strangers = univar(*pair, "--work", tmp_path / "other")
    assert strangers.exit_code == 2
    assert "which univar does not ship: give its folder or hub id with -e" in strangers.stderr
