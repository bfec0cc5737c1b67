"""Shares of variance and the consistency of languages, on planted components."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.compare.stores import planted, planted_store
from tests.search.stores import write_store
from univar.compare.compare import compare
from univar.compare.variance import consistency, variance_shares

SIZES = {"question": 0.9, "language": 1.6, "model": 0.5, "model x language": 0.8}


def components(rng: np.random.Generator, questions: int = 40, languages: int = 6, models: int = 12):
    """Rows of a full design whose components have the variances SIZES, and noise 1, in 8 dimensions."""
    q, lang, m = (axis.ravel() for axis in np.indices((questions, languages, models)))
    draw = {
        name: rng.standard_normal((n, 8))
        for name, n in zip(SIZES, (questions, languages, models), strict=False)
    }
    both = rng.standard_normal((models * languages, 8))
    found = rng.standard_normal((len(q), 8)) + np.sqrt(SIZES["model x language"]) * both[m * languages + lang]
    for name, codes in (("question", q), ("language", lang), ("model", m)):
        found += np.sqrt(SIZES[name]) * draw[name][codes]
    return found.astype(np.float32), {"question": q, "language": lang, "model": m}


def test_planted_shares_are_found_without_bias() -> None:
    rng = np.random.default_rng(0)
    found = [variance_shares(*components(rng)) for _ in range(40)]
    whole = sum(SIZES.values()) + 1
    for name, size in SIZES.items():
        values = np.array([each.shares[name] for each in found])
        assert values.mean() == pytest.approx(size / whole, abs=3 * values.std() / np.sqrt(40) + 0.01), name
    rest = np.mean([each.shares["rest"] for each in found])
    assert rest == pytest.approx(1 / whole, abs=0.03)


def test_noise_alone_has_no_components() -> None:
    _, factors = components(np.random.default_rng(0))
    noise = np.random.default_rng(1).standard_normal((len(factors["model"]), 8)).astype(np.float32)
    shares = variance_shares(noise, factors).shares
    assert shares["rest"] == pytest.approx(1.0, abs=0.03)


def test_one_answer_to_each_of_several_questions_has_no_shares() -> None:
    assert variance_shares(np.ones((5, 3), np.float32), {"question": np.arange(5)}) is None


@pytest.mark.parametrize("cosine", [1.0, 0.5, 0.0])
def test_consistency_finds_the_planted_cosine_and_covers_it(cosine: float) -> None:
    rng = np.random.default_rng(2)
    u, v = np.zeros(12), np.zeros(12)
    u[0], v[0], v[1] = 1.0, cosine, np.sqrt(1 - cosine**2)
    found = [
        consistency(*(mean + 0.8 * rng.standard_normal((30, 12)) for mean in (u, v))) for _ in range(200)
    ]
    assert np.mean([each.estimate for each in found]) == pytest.approx(cosine, abs=0.03)
    assert np.mean([not each.excludes(cosine) for each in found]) >= 0.9


def test_a_model_that_answers_otherwise_in_one_language_comes_first(tmp_path: Path) -> None:
    models = {name: 1.5 * (n % 2) for n, name in enumerate("abcdefghijkl")}
    rows, vectors = planted(models, 25, languages=("eng", "fin"))
    turned = [row["model"] == "b" and row["language"] == "fin" for row in rows]
    vectors[turned, 0] -= 3.0
    found = compare(write_store(tmp_path / "s", rows, vectors))
    least = found.consistencies[0]
    assert (least.model, least.one, least.other) == ("b", "eng", "fin")
    assert least.value.high < 0.2
    others = [each.value.estimate for each in found.consistencies[1:]]
    assert np.mean(others) > 0.8


def test_few_models_give_no_consistency_and_say_so(tmp_path: Path) -> None:
    found = compare(planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0}, 10, languages=("eng", "fin")))
    assert not found.consistencies
    assert any("needs 3 other models" in note for note in found.notes)
