"""A short run of benchmarks/statistics_truth.py: the promises of the statistics, on planted answers."""

from __future__ import annotations

import numpy as np

from benchmarks import statistics_truth as truth


def test_distances_have_no_bias() -> None:
    found = truth.bias(300)
    assert {row["questions"] for row in found} == {5, 10, 20}
    assert max(abs(row["error_in_se"]) for row in found) <= 3.5


def test_intervals_cover() -> None:
    for row in truth.coverage(250):
        assert row["covered"] >= (0.93 if row["what"] == "ratio" else 0.92) - 0.045, row


def test_false_alarms_are_few_and_a_shift_of_a_tenth_is_found_with_16_questions() -> None:
    rows = truth.drift(150)
    assert max(row["significant"] for row in rows if not row["shift"]) <= 0.065 + 0.045
    found = {row["questions"]: row["significant"] for row in rows if row["shift"] and row["dims"] == 384}
    assert found[16] >= 0.8
    assert found[8] < found[16] <= found[31]


def test_the_planted_value_is_named_first() -> None:
    assert truth.named_first(50)["named_first"] >= 0.85


def test_track_calls_no_repeat_a_drift_and_finds_one_with_enough_questions() -> None:
    found = {(row["questions"], row["shift"]): row for row in truth.verdicts(20, (16, 60))}
    assert max(found[n, 0.0]["beyond"] for n in (16, 60)) <= 0.15
    assert found[60, 0.1]["beyond"] >= 0.8
    assert all(np.isclose(sum(row[k] for k in ("within", "beyond", "unsure")), 1) for row in found.values())
