"""Confidence sets of ranks on planted truth."""

from __future__ import annotations

import numpy as np

from univar.statistics.ranks import ranks


def test_what_is_far_apart_is_ranked_for_sure() -> None:
    rng = np.random.default_rng(0)
    found = ranks(np.arange(5) * 10 + rng.standard_normal((40, 5)), np.arange(40))
    assert found.rank.tolist() == found.low.tolist() == found.high.tolist() == [5, 4, 3, 2, 1]


def test_sets_hold_the_true_rank() -> None:
    truth = np.array([0.0, 0.3, 0.3, 0.6, 1.2, 2.0])
    true_low = 1 + (truth[None] > truth[:, None]).sum(axis=1)
    true_high = len(truth) - (truth[None] < truth[:, None]).sum(axis=1)
    held, width = 0, 0.0
    for seed in range(300):
        rng = np.random.default_rng([1, seed])
        shared = rng.standard_normal((12, 1))
        found = ranks(truth + shared + rng.standard_normal((12, 6)), np.arange(12), seed=seed)
        # alike values may be ranked either way: their set must reach into the truth's
        held += int(((found.low <= true_high) & (found.high >= true_low)).all(axis=0))
        held_each = (found.low <= true_low) & (found.high >= true_high)
        width += held_each.mean()
    assert held >= 270
    assert width / 300 >= 0.93


def test_rows_of_a_cluster_count_as_one() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((8, 6))
    one, many = ranks(x, np.arange(8)), ranks(np.repeat(x, 30, axis=0), np.repeat(np.arange(8), 30))
    np.testing.assert_array_equal(one.low, many.low)
    np.testing.assert_array_equal(one.high, many.high)


def test_few_clusters_or_no_variation_say_nothing() -> None:
    for x in (np.random.default_rng(3).standard_normal((4, 3)), np.tile([1.0, 2.0, 3.0], (9, 1))):
        found = ranks(x, np.arange(len(x)))
        assert found.low.tolist() == [1, 1, 1]
        assert found.high.tolist() == [3, 3, 3]
