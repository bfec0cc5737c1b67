"""Tests that keep their level, have power, and say when they can say nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.statistics.planted import answers
from univar.statistics.distances import paired
from univar.statistics.permutation import block_permutation, holm, sign_flip, unresolvable, within_strata


def test_the_exact_p_value_is_the_share_of_all_signs() -> None:
    (x, y), _ = answers(np.random.default_rng(0), 7, shift=0.3)
    d = (x - y).astype(np.float64)
    observed = paired(x, y).estimate
    forms = [
        paired(np.array(signs)[:, None] * d, np.zeros_like(d)).estimate
        for signs in itertools.product((1, -1), repeat=7)
    ]
    assert sign_flip(x, y) == pytest.approx(np.mean(np.array(forms) >= observed - 1e-12))


def test_sampled_signs_are_near_the_exact_p_value(monkeypatch: pytest.MonkeyPatch) -> None:
    from univar.statistics import permutation

    (x, y), _ = answers(np.random.default_rng(1), 12, shift=0.15)
    exact = sign_flip(x, y)
    monkeypatch.setattr(permutation, "EXACT_UP_TO", 3)
    assert sign_flip(x, y, n=20_000) == pytest.approx(exact, abs=0.01)


def false_alarms(repetitions: int, questions: int, per_cluster: int = 1) -> float:
    rng = np.random.default_rng(2)
    p = [
        sign_flip(x, y, clusters, n=499)
        for (x, y), clusters in (answers(rng, questions, per_cluster=per_cluster) for _ in range(repetitions))
    ]
    return float(np.mean(np.array(p) <= 0.05))


@pytest.mark.parametrize(("questions", "per_cluster"), [(8, 1), (16, 1), (31, 1), (32, 4)])
def test_two_samples_of_one_source_seldom_differ(questions: int, per_cluster: int) -> None:
    assert false_alarms(400, questions, per_cluster) <= 0.065 + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("questions", [8, 16, 31])
def test_false_alarms_over_2000(questions: int) -> None:
    assert false_alarms(2000, questions) <= 0.065


def test_flipping_wordings_apart_would_cry_wolf() -> None:
    """Why wordings of one proposition are flipped together."""
    rng = np.random.default_rng(3)
    p = []
    for _ in range(200):
        (x, y), _ = answers(rng, 32, per_cluster=4)
        p.append(sign_flip(x, y, n=199))
    assert np.mean(np.array(p) <= 0.05) > 0.15


def test_power_at_16_questions() -> None:
    rng = np.random.default_rng(4)
    p = [sign_flip(*answers(rng, 16, shift=0.10)[0], n=499) for _ in range(300)]
    assert np.mean(np.array(p) <= 0.05) >= 0.8 - 0.07


def test_unpaired_clusters_are_exchanged_whole() -> None:
    rng = np.random.default_rng(5)
    p = []
    for _ in range(120):
        (x, _), clusters = answers(rng, 24, per_cluster=3)
        (y, _), others = answers(rng, 24, per_cluster=3)
        p.append(block_permutation(x, y, clusters, others, n=99))
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    (x, _), clusters = answers(rng, 60)
    assert block_permutation(x, x + 1.0, clusters, clusters, n=199) <= 0.01


def test_too_few_clusters_test_nothing() -> None:
    x = np.ones((3, 2))
    assert sign_flip(x[:1], x[:1] + 1) == 1.0
    assert block_permutation(x, x + 1, np.zeros(3), np.zeros(3)) == 1.0


def test_holm_is_statsmodels_and_leaves_nan_alone() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.2])
    np.testing.assert_allclose(holm(p), [0.04, 0.09, 0.09, 0.2])
    np.testing.assert_allclose(holm([0.02, np.nan, 0.5]), [0.04, np.nan, 0.5])
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="oracle: pip install statsmodels")
    p = np.random.default_rng(6).random(40) ** 3
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])


def test_families_that_permutations_cannot_resolve_say_so() -> None:
    assert unresolvable(10, 1 / 1000) is None
    assert "ask more questions" in str(unresolvable(300, 1 / 1000))


def test_labels_permuted_within_strata_give_five_percent_false_alarms_and_find_a_shift() -> None:
    rng = np.random.default_rng(11)
    strata, second = np.repeat([0, 1, 2], 6), np.tile([True, False], 9)
    topics = 5 * rng.standard_normal((3, 4))

    def p(shift: float) -> float:
        x = topics[strata] + rng.standard_normal((18, 4))
        x[second, 0] += shift
        found = within_strata(x, second, strata, n=199)
        assert found is not None
        return found[0]

    assert np.mean([p(0.0) <= 0.05 for _ in range(300)]) <= 0.05 + 0.035
    assert np.mean([p(2.5) <= 0.05 for _ in range(50)]) >= 0.9
    least = within_strata(np.eye(4), np.array([1, 1, 0, 0], bool), np.zeros(4, int))
    assert least is not None
    assert least[1] == pytest.approx(2 / 6)
    assert within_strata(np.eye(4), np.array([1, 0, 0, 0], bool), np.zeros(4, int)) is None
