"""Intervals over clusters: the textbook cases, what has no interval, and coverage on planted truth."""

from __future__ import annotations

import numpy as np
import pytest

from univar.statistics.intervals import Interval, by_cluster, jackknife_t, mean, ratio, smallest_detectable


def test_for_a_mean_the_jackknife_is_student_s_interval() -> None:
    stats = pytest.importorskip("scipy.stats")
    x = np.random.default_rng(0).standard_normal(12)
    found = mean(x, np.arange(12))
    low, high = stats.t.interval(0.95, 11, loc=x.mean(), scale=x.std(ddof=1) / np.sqrt(12))
    np.testing.assert_allclose([found.estimate, found.low, found.high], [x.mean(), low, high])


def test_rows_of_a_cluster_are_left_out_together() -> None:
    rng = np.random.default_rng(1)
    x = np.repeat(rng.standard_normal(10), 50)
    clusters = np.repeat(np.arange(10), 50)
    wide, narrow = mean(x, clusters), mean(x, np.arange(500))
    assert wide.se == pytest.approx(narrow.se * np.sqrt(50), rel=0.1)
    assert wide.clusters == 10


@pytest.mark.parametrize("clusters", [np.zeros(6), np.arange(4), np.array(list("aabb"))])
def test_few_clusters_have_no_interval(clusters: np.ndarray) -> None:
    found = mean(np.arange(float(len(clusters))), clusters)
    assert (found.low, found.high, found.se) == (None, None, None)
    assert found.text() == f"{found.estimate:.3f}"


def test_what_does_not_vary_has_no_interval() -> None:
    found = ratio(np.ones(9), np.ones(9), np.arange(9))
    assert (found.estimate, found.low) == (1.0, None)
    assert not found.excludes(0.5)


def test_text_and_exclusion() -> None:
    found = Interval(0.5, 0.4, 0.6, 9, 0.05)
    assert found.text(2) == "0.50 [0.40, 0.60]"
    assert found.excludes(0.39)
    assert not found.excludes(0.4)


def test_undefined_estimates_are_left_out() -> None:
    assert jackknife_t(np.nan, np.ones(9)).low is None
    assert jackknife_t(0.0, np.array([np.nan] * 5 + [1.0] * 4)).clusters == 4


def test_sums_by_cluster() -> None:
    sums = by_cluster(np.array([[1.0, 2], [3, 4], [5, 6]]), np.array(["b", "a", "b"]))
    np.testing.assert_array_equal(sums, [[3, 4], [6, 8]])


def coverage(repetitions: int, n_clusters: int, seed: int) -> float:
    """Share of intervals of a ratio that hold its truth; a cluster's rows share a rate."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(repetitions):
        rows = rng.integers(2, 20, n_clusters)
        rates = np.clip(0.5 + 0.15 * rng.standard_normal(n_clusters), 0, 1)
        hits = rng.binomial(rows, rates)
        found = ratio(hits, rows, np.arange(n_clusters))
        held += found.low is None or found.low <= 0.5 <= found.high
    return held / repetitions


@pytest.mark.parametrize("n_clusters", [6, 15, 60])
def test_intervals_of_ratios_cover_the_truth(n_clusters: int) -> None:
    assert 0.93 - 0.015 <= coverage(600, n_clusters, 0) <= 0.97 + 0.015


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [6, 15, 60])
def test_intervals_of_ratios_cover_the_truth_over_2000(n_clusters: int) -> None:
    assert 0.93 <= coverage(2000, n_clusters, 1) <= 0.97


def test_the_smallest_detectable_difference_is_found_with_its_power() -> None:
    rng = np.random.default_rng(2)
    n, sd = 20, 1.0
    df_interval = Interval(0.0, -1, 1, n, sd / np.sqrt(n))
    shift = smallest_detectable(df_interval)
    assert shift is not None
    found = [mean(shift + sd * rng.standard_normal(n), np.arange(n)).excludes(0) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)
    assert smallest_detectable(Interval(0.0, None, None, 3)) is None
