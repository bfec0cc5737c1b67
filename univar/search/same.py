"""Do two sets of answers come from one source? A test over shared questions, or over questions of their own.

Over questions that both sides answered, signs of the paired differences are exchanged (`sign_flip` in
`univar.statistics.permutation`) and D2 is the paired U-statistic. Where fewer than SHARED propositions are
shared, clusters are exchanged between the sides and D2 is the unpaired U-statistic, which needs the questions
of both sides to be draws of one pool. The floor is the distance of a side to itself, over answers to one
question split at random: without repeats it is unknown, and then said to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from univar.statistics.distances import by_question, paired, shared, unpaired
from univar.statistics.intervals import Interval
from univar.statistics.permutation import EXACT_UP_TO, PERMUTATIONS, block_permutation, sign_flip

SHARED = 5
"""Shared propositions from which the paired test is used."""
_SPLITS = 20


@dataclass(frozen=True)
class Side:
    """Answers of one side.

    embeddings: (n, D) float32; questions, clusters: (n,) str, question and proposition of each
    """

    embeddings: np.ndarray
    questions: np.ndarray
    clusters: np.ndarray


@dataclass(frozen=True)
class SameResult:
    """What the test found.

    test: "paired" or "unpaired"; questions: shared ones, or those of both sides; d2: with its interval
    p: of one source; smallest_p: the least that so many propositions can give; floor: of a side's distance to
    itself, None where no question was answered twice
    """

    test: str
    rows: tuple[int, int]
    questions: int
    propositions: int
    d2: Interval
    p: float
    smallest_p: float
    floor: float | None

    def verdict(self, level: float = 0.05) -> str:
        """ "different", "no difference found" or "cannot tell", which no p-value could change."""
        if self.smallest_p > level or np.isnan(self.d2.estimate):
            return "cannot tell"
        return "different" if self.p <= level else "no difference found"

    def facts(self) -> dict[str, Any]:
        """As --json prints it."""
        return {
            "verdict": self.verdict(),
            "test": self.test,
            "rows": list(self.rows),
            "questions": self.questions,
            "propositions": self.propositions,
            "d2": None if np.isnan(self.d2.estimate) else self.d2.estimate,
            "d2_low": self.d2.low,
            "d2_high": self.d2.high,
            "p": self.p,
            "smallest_p": self.smallest_p,
            "floor": self.floor,
        }


def same_source(a: Side, b: Side, *, seed: int = 0) -> SameResult:
    """Test whether two sides come from one source.

    Answers to one question are averaged first. Raises ValueError for a side without rows.
    """
    if not len(a.questions) or not len(b.questions):
        raise ValueError("a side has no answers")
    sides = [by_question(side.embeddings, side.questions, side.clusters) for side in (a, b)]
    rows = (len(a.questions), len(b.questions))
    x, y, clusters = shared(*sides)
    n = len(np.unique(clusters))
    floor = _floor([a, b], seed)
    if n >= SHARED:
        smallest = 1 / 2 ** (n - 1) if n <= EXACT_UP_TO else 1 / (1 + PERMUTATIONS)
        p = sign_flip(x, y, clusters, seed=seed)
        return SameResult("paired", rows, len(x), n, paired(x, y, clusters), p, smallest, floor)
    n_x, n_y = (len(np.unique(side.clusters)) for side in sides)
    p = block_permutation(
        sides[0].embeddings, sides[1].embeddings, sides[0].clusters, sides[1].clusters, seed=seed
    )
    smallest = 1.0 if min(n_x, n_y) < 3 else 1 / 1000
    d2 = unpaired(sides[0].embeddings, sides[1].embeddings)
    questions = len(sides[0].questions) + len(sides[1].questions)
    return SameResult("unpaired", rows, questions, n_x + n_y, d2, p, smallest, floor)


def _floor(sides: list[Side], seed: int) -> float | None:
    """95 % quantile of D2 between random halves of a side's repeated answers; None without repeats."""
    rng = np.random.default_rng(seed)
    found = []
    for side in sides:
        codes, place, counts = np.unique(side.questions, return_inverse=True, return_counts=True)
        twice = np.flatnonzero(counts >= 2)
        if len(twice) < SHARED:
            continue
        for _ in range(_SPLITS):
            order = rng.permutation(len(place))
            rank = np.empty(len(place), np.int64)
            by_code = order[np.argsort(place[order], kind="stable")]
            starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
            rank[by_code] = np.arange(len(place)) - np.repeat(starts, counts)
            halves = [
                by_question(side.embeddings[own], codes[place[own]], side.clusters[own])
                for own in (rank == 0, rank == 1)
            ]
            found.append(paired(*shared(*halves)).estimate)
    return float(np.quantile(found, 0.95)) if found else None
