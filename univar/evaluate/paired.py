"""Is one encoder better than another on the same rows? The difference, its interval and a p-value."""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.evaluate.metrics import HIGH, LOW, QuestionBootstrap, with_interval

FLIPS = 10_000
_CELLS_AT_ONCE = 1 << 23


def paired(first: np.ndarray, second: np.ndarray, intervals: QuestionBootstrap, seed: int) -> dict[str, Any]:
    """How much more often the first is right than the second: value, low, high and p.

    first, second: (n,) bool, whether each is right on each row that `intervals` was made for
    """
    difference = first.astype(np.float64) - second
    report = with_interval(difference.mean(), intervals.of_means(difference[:, None])[0])
    report["p"] = sign_flip_p(intervals.per_question(difference), seed)
    return report


def times(first: np.ndarray, second: np.ndarray, intervals: QuestionBootstrap) -> dict[str, Any] | None:
    """How many times as often the first is right as the second, with interval; None if the second never is.

    Draws in which the second is never right are left out of the interval. Arguments as in `paired`.
    """
    if not second.any():
        return None
    drawn = intervals.drawn_means(np.stack([first, second], axis=1))
    drawn = drawn[drawn[:, 1] > 0]
    return with_interval(first.mean() / second.mean(), np.percentile(drawn[:, 0] / drawn[:, 1], [LOW, HIGH]))


def sign_flip_p(differences: np.ndarray, seed: int) -> float:
    """Two-sided p-value of a sum of differences (questions,), each as likely to be turned round.

    Without a difference the sign of each question's sum is arbitrary; p is the share of 10,000 random sets of
    signs, and the one found, whose sum is at least as far from 0.
    """
    moved = differences[differences != 0].astype(np.float32)
    if not len(moved):
        return 1.0
    rng = np.random.default_rng(seed)
    found, as_far, done = abs(float(moved.sum())), 0, 0
    while done < FLIPS:
        draws = min(FLIPS - done, max(1, _CELLS_AT_ONCE // len(moved)))
        signs = rng.integers(0, 2, (draws, len(moved)), dtype=np.int8).astype(np.float32) * 2 - 1
        as_far += int((np.abs(signs @ moved) >= found - 1e-4).sum())
        done += draws
    return (1 + as_far) / (1 + FLIPS)
