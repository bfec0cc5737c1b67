"""How many more answers would make a verdict sure, by held-out answers of the likeliest source."""

from __future__ import annotations

import numpy as np

from univar.heads.bags import FLOOR, BagFactors, HeldOut
from univar.heads.calibration import log_softmax

MOST_MORE = 100
"""Answers up to which a forecast looks ahead."""

DRAWS = 50
"""Orders in which a source's held-out answers are added."""


class Forecast:
    """Forecasts for the verdicts of one head. The orders of a source are drawn once, and kept.

    held_out, temperature, factors: of the head
    """

    def __init__(self, held_out: HeldOut, temperature: float, factors: BagFactors) -> None:
        self._held_out, self._temperature, self._factors = held_out, temperature, factors
        self._orders: dict[int, tuple[np.ndarray, np.ndarray] | None] = {}

    def more_answers(self, evidence: np.ndarray, size: int, level: float = 0.99) -> int | None:
        """How many more answers make the likeliest source `level` sure, if it is the true one.

        evidence: (C,) of the bag, before its factor; size: its propositions
        returns: the median over draws of the source's own held-out answers, added one by one; None where half
                 of the draws end without reaching `level`
        """
        best = int(np.argmax(evidence))
        if best not in self._orders:
            self._orders[best] = self._drawn(best)
        found = self._orders[best]
        if found is None:
            return None
        log_p, taken = found
        sums = np.repeat(evidence[None].astype(np.float64), DRAWS, axis=0)
        needed = np.full(DRAWS, np.inf)
        for step in range(taken.shape[1] + 1):
            if step:
                sums += log_p[taken[:, step - 1]]
            p = np.exp(log_softmax(sums * self._factors.factor(max(size + step, 1))))[:, best]
            needed[(p >= level) & np.isinf(needed)] = step
            if 2 * np.isfinite(needed).sum() > DRAWS:  # the median is known: later draws come after it
                return int(np.ceil(np.median(needed)))
        return None

    def _drawn(self, best: int) -> tuple[np.ndarray, np.ndarray] | None:
        """(m, C) log_p of a source's answers, (DRAWS, T) orders of one a proposition; None: unseen."""
        rows = np.flatnonzero(self._held_out.y == best)
        if not len(rows):
            return None
        log_p = np.maximum(log_softmax(self._held_out.log_odds[rows], self._temperature), FLOOR)
        _, place = np.unique(self._held_out.clusters[rows], return_inverse=True)
        rng = np.random.default_rng(0)
        taken = []
        for _ in range(DRAWS):
            order = rng.permutation(len(rows))
            _, first = np.unique(place[order], return_index=True)
            taken.append(order[rng.permutation(first)][:MOST_MORE])
        return log_p, np.array(taken)
