"""Forecasts of how many more answers make a verdict sure, beside a plain reference."""

from __future__ import annotations

import numpy as np
import pytest

from univar.heads.bags import FLOOR, BagFactors, HeldOut
from univar.heads.calibration import log_softmax
from univar.heads.forecast import DRAWS, MOST_MORE, Forecast

FACTORS = BagFactors([1, 2, 5, 10, 20], [1.0, 0.9, 0.8, 0.6, 0.5], 0.1)


def held_out(signal: float, propositions: int = 40) -> HeldOut:
    """Two answers of each of 4 sources to each proposition, whose own log-odds are higher by `signal`."""
    y = np.tile(np.repeat(np.arange(4), 2), propositions)
    odds = np.random.default_rng(3).standard_normal((len(y), 4)) + signal * np.eye(4)[y]
    return HeldOut(odds.astype(np.float32), y, np.repeat(np.arange(propositions), 8))


def plain(evidence: np.ndarray, size: int, held: HeldOut, temperature: float) -> int | None:
    """Every draw to its end, then the median."""
    best = int(np.argmax(evidence))
    rows = np.flatnonzero(held.y == best)
    log_p = np.maximum(log_softmax(held.log_odds[rows], temperature), FLOOR)
    _, place = np.unique(held.clusters[rows], return_inverse=True)
    rng = np.random.default_rng(0)
    needed = []
    for _ in range(DRAWS):
        order = rng.permutation(len(rows))
        _, first = np.unique(place[order], return_index=True)
        taken = order[rng.permutation(first)][:MOST_MORE]
        sums = evidence + np.cumsum(np.vstack([np.zeros(4), log_p[taken]]), axis=0)
        t = np.array([FACTORS.factor(max(size + n, 1)) for n in range(len(sums))])
        reached = np.flatnonzero(np.exp(log_softmax(sums * t[:, None]))[:, best] >= 0.99)
        needed.append(float(reached[0]) if len(reached) else np.inf)
    middle = float(np.median(needed))
    return int(np.ceil(middle)) if np.isfinite(middle) else None


@pytest.mark.parametrize("signal", [0.3, 1.0, 3.0])
def test_it_is_the_median_over_all_draws(signal: float) -> None:
    held = held_out(signal)
    forecast = Forecast(held, 1.3, FACTORS)
    rng = np.random.default_rng(5)
    for _ in range(12):
        evidence = log_softmax(rng.standard_normal((1, 4)))[0]
        assert forecast.more_answers(evidence, 1) == plain(evidence, 1, held, 1.3)


def test_a_clearer_source_needs_fewer_answers() -> None:
    evidence = np.log([0.4, 0.3, 0.2, 0.1])
    many, few = (Forecast(held_out(s), 1.0, FACTORS).more_answers(evidence, 1) for s in (1.0, 3.0))
    assert many is not None
    assert few is not None
    assert 0 < few < many


def test_sure_already_unreachable_and_unseen_sources() -> None:
    held = held_out(3.0)
    assert Forecast(held, 1.0, FACTORS).more_answers(np.array([0.0, -9, -9, -9]), 1) == 0
    assert Forecast(held_out(0.0, 3), 1.0, FACTORS).more_answers(np.zeros(4), 1) is None
    without = HeldOut(held.log_odds[held.y > 0], held.y[held.y > 0], held.clusters[held.y > 0])
    assert Forecast(without, 1.0, FACTORS).more_answers(np.array([0.0, -1, -1, -1]), 1) is None
