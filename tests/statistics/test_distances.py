"""Distances between sources: their definitions written out, no bias at any size, coverage."""

from __future__ import annotations

import numpy as np
import pytest

from tests.statistics.planted import answers
from univar.statistics.distances import all_pairs, by_question, paired, paired_energy, shared, unpaired


def plain_d2(x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> float:
    d = x.astype(np.float64) - y.astype(np.float64)
    products = [d[i] @ d[j] for i in range(len(d)) for j in range(len(d)) if clusters[i] != clusters[j]]
    return float(np.mean(products))


@pytest.mark.parametrize("per_cluster", [1, 3])
def test_d2_and_its_interval_are_those_written_out(per_cluster: int) -> None:
    (x, y), clusters = answers(np.random.default_rng(0), 21, per_cluster=per_cluster, shift=0.3)
    found = paired(x, y, clusters)
    assert found.estimate == pytest.approx(plain_d2(x, y, clusters))
    groups = np.unique(clusters)
    left = [plain_d2(*(rows[clusters != g] for rows in (x, y, clusters))) for g in groups]
    n = len(groups)
    assert found.se == pytest.approx(np.sqrt((n - 1) / n * ((left - np.mean(left)) ** 2).sum()))


def test_energy_is_its_definition() -> None:
    (x, y), _ = answers(np.random.default_rng(1), 9, shift=0.3)
    terms = [
        2 * np.linalg.norm(x[i] - y[j]) - np.linalg.norm(x[i] - x[j]) - np.linalg.norm(y[i] - y[j])
        for i in range(9)
        for j in range(9)
        if i != j
    ]
    found = paired_energy(x, y)
    assert found.estimate == pytest.approx(np.mean(terms), rel=1e-5)
    left = [paired_energy(np.delete(x, q, 0), np.delete(y, q, 0)).estimate for q in range(9)]
    assert found.se == pytest.approx(np.sqrt(8 / 9 * ((left - np.mean(left)) ** 2).sum()), rel=1e-5)


def test_unpaired_is_its_definition() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((7, 5)), rng.standard_normal((6, 5)) + 0.4
    xx = np.mean([x[i] @ x[j] for i in range(7) for j in range(7) if i != j])
    yy = np.mean([y[i] @ y[j] for i in range(6) for j in range(6) if i != j])
    assert unpaired(x, y).estimate == pytest.approx(xx + yy - 2 * np.mean(x @ y.T))


@pytest.mark.parametrize("questions", [5, 10, 20])
@pytest.mark.parametrize("distance", [paired, paired_energy])
def test_two_samples_of_one_source_are_zero_apart_on_average(questions: int, distance) -> None:
    rng = np.random.default_rng(3)
    found = np.array([distance(*answers(rng, questions)[0]).estimate for _ in range(800)])
    assert abs(found.mean()) <= 3 * found.std() / np.sqrt(len(found))


def test_other_questions_on_both_sides_need_the_unpaired_distance_and_shared_ones_the_paired() -> None:
    rng = np.random.default_rng(3)
    apart = np.array([unpaired(answers(rng, 10)[0][0], answers(rng, 10)[0][0]).estimate for _ in range(800)])
    assert abs(apart.mean()) <= 3 * apart.std() / np.sqrt(800)
    same = np.array([unpaired(*answers(rng, 10)[0]).estimate for _ in range(200)])
    assert same.mean() < -3 * same.std() / np.sqrt(200)  # the questions' own spread, taken off twice


@pytest.mark.slow
@pytest.mark.parametrize("questions", [5, 10, 20])
def test_a_planted_distance_is_found_without_bias_over_4000(questions: int) -> None:
    rng = np.random.default_rng(4)
    (x, y), _ = answers(rng, 20_000, shift=0.5)
    truth = float(np.sum((x.mean(0, dtype=float) - y.mean(0, dtype=float))[2] ** 2))
    found = np.array([paired(*answers(rng, questions, shift=0.5)[0]).estimate for _ in range(4000)])
    assert abs(found.mean() - truth) <= 3 * found.std() / np.sqrt(4000) + 0.02 * truth


def coverage(repetitions: int, questions: int, shift: float) -> float:
    rng = np.random.default_rng(5)
    (x, y), _ = answers(np.random.default_rng(6), 200_000, shift=shift)
    truth = float(((x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)) ** 2).max()) if shift else 0.0
    held = []
    for _ in range(repetitions):
        found = paired(*answers(rng, questions, shift=shift)[0])
        held.append(not found.excludes(truth))
    return float(np.mean(held))


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("questions", [6, 15, 60])
def test_intervals_cover_the_planted_distance(questions: int, shift: float) -> None:
    assert coverage(400, questions, shift) >= 0.92 - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("questions", [6, 15, 60])
def test_intervals_cover_the_planted_distance_over_2000(questions: int) -> None:
    assert coverage(2000, questions, 0.5) >= 0.92


@pytest.mark.parametrize("complete", [True, False])
def test_all_pairs_are_the_pairs_one_by_one(complete: bool) -> None:
    rng = np.random.default_rng(7)
    found, _ = answers(rng, 12, sources=5, shift=0.5)
    answered = np.ones((12, 5), bool) if complete else rng.random((12, 5)) < 0.8
    matrix = all_pairs(found.transpose(1, 0, 2), answered)
    for a in range(5):
        for b in range(5):
            if a == b:
                continue
            both = answered[:, a] & answered[:, b]
            expected = paired(found[a][both], found[b][both])
            assert matrix.d2[a, b] == pytest.approx(expected.estimate, abs=1e-5)
            assert matrix.questions[a, b] == both.sum()
            assert matrix.interval(a, b).low == pytest.approx(expected.low, abs=1e-4)


def test_identical_vectors_are_zero_apart_without_an_interval() -> None:
    x = np.random.default_rng(8).standard_normal((10, 4)).astype(np.float32)
    found = paired(x, x)
    assert (found.estimate, found.low) == (0.0, None)
    assert np.isnan(paired(x[:1], x[:1]).estimate)
    assert np.isnan(unpaired(x[:2], x).estimate)


def test_answers_to_one_question_are_averaged_and_shared_questions_found() -> None:
    x = by_question(np.array([[1.0, 0], [3, 0], [5, 5]]), np.array([4, 4, 2]), np.array([40, 40, 20]))
    y = by_question(np.array([[7.0, 7], [9, 9]]), np.array([9, 4]))
    np.testing.assert_array_equal(x.questions, [2, 4])
    np.testing.assert_array_equal(x.embeddings, [[5, 5], [2, 0]])
    np.testing.assert_array_equal(x.clusters, [20, 40])
    of_x, of_y, clusters = shared(x, y)
    assert (of_x.tolist(), of_y.tolist(), clusters.tolist()) == ([[2, 0]], [[9, 9]], [40])
