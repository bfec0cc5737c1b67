"""Whether a release moved: within the tolerance, beyond it, or not to be told."""

from __future__ import annotations

from univar.errors import EXIT_GATE, EXIT_OK, EXIT_UNSURE
from univar.statistics.intervals import Interval

MIN_QUESTIONS = 6
"""Fewer propositions never give a verdict: with 5, the least sign-flip p-value is 1/16."""

WITHIN, BEYOND, UNSURE = "within", "beyond", "unsure"
EXIT_CODES = {WITHIN: EXIT_OK, BEYOND: EXIT_GATE, UNSURE: EXIT_UNSURE}


def verdict(
    distance: Interval, tolerance: float | None, p_holm: float | None, alpha: float
) -> tuple[str, str]:
    """(WITHIN, BEYOND or UNSURE; why, in one sentence).

    distance:  D2 with its interval at level 1 - alpha
    tolerance: what D2 may be; None: unknown, and then the answer is never WITHIN
    p_holm:    sign-flip p-value, corrected for all that is tested at this look; None: not tested
    """
    low, high, n = distance.low, distance.high, distance.clusters
    if n < MIN_QUESTIONS:
        return UNSURE, f"{n} shared propositions, and at least {MIN_QUESTIONS} are needed"
    if low is None or high is None or p_holm is None:
        if distance.estimate == 0 and tolerance is not None:
            return WITHIN, "all answers are embedded alike"
        return UNSURE, "the answers are embedded alike or do not vary, so there is no interval"
    limit = 0.0 if tolerance is None else tolerance
    name = "0, and the floor is unknown" if tolerance is None else f"the tolerance {tolerance:.4f}"
    if low > limit and p_holm <= alpha:
        return BEYOND, f"the interval lies above {name}"
    if low > limit:
        return UNSURE, f"the interval lies above {name}, but p = {p_holm:.4f} is above {alpha:.4g}"
    if tolerance is None:
        return UNSURE, "the floor is unknown; --tolerance sets what may be"
    if high <= tolerance:
        return WITHIN, f"the interval lies within {name}"
    return UNSURE, f"the interval holds {name}"


def worst(verdicts: list[str]) -> str:
    """BEYOND if any is, else UNSURE if any is or there is none, else WITHIN."""
    for each in (BEYOND, UNSURE):
        if each in verdicts:
            return each
    return WITHIN if verdicts else UNSURE
