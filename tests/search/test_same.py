"""Same source or not: size and power on planted answers, repeats, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import univar  # noqa: F401  (a fixture)
from tests.search.planted import planted_rows, planted_vectors
from tests.search.stores import write_store
from univar.search.same import Side, same_source


def side(shift: float, questions: range, seed: int, repeats: int = 1, dims: int = 16) -> Side:
    """Answers to questions with topics of their own, moved by `shift` along one axis."""
    rng = np.random.default_rng(seed)
    asked = np.repeat(np.array(questions), repeats)
    topics = np.stack([np.random.default_rng([7, q]).standard_normal(dims) for q in asked])
    embeddings = topics + 0.5 * rng.standard_normal((len(asked), dims))
    embeddings[:, 0] += shift
    names = np.array([f"q{q}" for q in asked], dtype=object)
    return Side(embeddings.astype(np.float32), names, names)


def test_one_source_is_called_two_no_more_often_than_said() -> None:
    p = [same_source(side(0, range(12), seed), side(0, range(12), 1000 + seed)).p for seed in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def test_two_sources_are_told_apart_over_shared_questions() -> None:
    found = [same_source(side(0, range(12), seed), side(1.5, range(12), 1000 + seed)) for seed in range(20)]
    assert np.mean([one.p <= 0.05 for one in found]) > 0.9
    assert all(
        one.test == "paired" and one.verdict() in ("different", "no difference found") for one in found
    )
    assert np.mean([one.d2.estimate for one in found]) == pytest.approx(2.25, rel=0.2)


@pytest.mark.slow
def test_different_questions_are_no_sign_of_different_sources() -> None:
    p = [same_source(side(0, range(15), seed), side(0, range(15, 30), 1000 + seed)).p for seed in range(40)]
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    apart = same_source(side(0, range(40), 1), side(3, range(40, 80), 2))
    assert apart.test == "unpaired"
    assert apart.p < 0.05


def test_the_floor_is_known_where_questions_were_answered_twice() -> None:
    assert same_source(side(0, range(12), 1), side(0, range(12), 2)).floor is None
    twice = same_source(side(0, range(12), 1, repeats=2), side(2, range(12), 2, repeats=2))
    assert twice.floor is not None
    assert twice.floor < twice.d2.estimate


def test_too_few_questions_cannot_tell() -> None:
    found = same_source(side(0, range(2), 1), side(5, range(2), 2))
    assert found.verdict() == "cannot tell"


def test_the_command_takes_stores(univar, tmp_path: Path) -> None:  # noqa: F811
    paths = []
    for model in (0, 1):
        rows = [row for row in planted_rows(range(12)) if row["model"] == f"m{model}"]
        paths.append(write_store(tmp_path / f"m{model}", rows, planted_vectors(rows, signal=4.0)).path)
    done = univar("same", *paths)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("different: p = 0.0")
    assert "assumes that nobody tried" in done.stdout
    facts = json.loads(univar("same", *paths, "--json").stdout)
    assert (facts["verdict"], facts["test"], facts["propositions"]) == ("different", "paired", 12)
    wrong = univar("same", *paths, "--part", "nope")
    assert wrong.exit_code == 2
    assert "no part 'nope'" in wrong.stderr


def test_too_few_answers_exit_11(univar, tmp_path: Path) -> None:  # noqa: F811
    rows = planted_rows(range(2), models=1)
    path = write_store(tmp_path / "few", rows, planted_vectors(rows)).path
    assert univar("same", path, path).exit_code == 11
