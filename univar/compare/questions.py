"""Which propositions moved: a test of each that was asked in several wordings, or sampled several times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.compare.cells import Side
from univar.compare.rows import Rows
from univar.statistics.permutation import EXACT_UP_TO, holm, sign_flip, unresolvable, within_strata

MIN_PROMPTS = 6
"""Shared prompts of a proposition from which on its wordings are what is flipped; fewer are too few."""
PERMUTATIONS = 999


@dataclass(frozen=True)
class QuestionShift:
    """One proposition between two releases.

    squared: |d|^2 of its mean answers; it holds noise and only ranks
    p, p_holm: None where it has neither MIN_PROMPTS wordings nor two samples of a prompt on both sides
    """

    proposition: str
    squared: float
    p: float | None
    p_holm: float | None


def by_question(
    rows: Rows, old: int, new: int, sides: tuple[Side, Side], clusters: np.ndarray
) -> tuple[list[QuestionShift], str | None]:
    """Every shared proposition, the surest first, corrected by Holm; a sentence on what cannot be told.

    old, new: codes of the two sources; sides: their answers; clusters: (n,) the propositions both answered
    """
    found, least = [], 1.0
    mine = np.flatnonzero((rows.source == old) | (rows.source == new))
    order = mine[np.argsort(rows.cluster[mine], kind="stable")]
    bounds = np.searchsorted(rows.cluster[order], np.stack([clusters, clusters + 1]))
    for cluster, first, last in zip(clusters.tolist(), *bounds.tolist(), strict=True):
        x, y = (_of(side, cluster) for side in sides)
        _, of_x, of_y = np.intersect1d(x.prompt, y.prompt, return_indices=True)
        p = None
        if len(of_x) >= MIN_PROMPTS:
            p = sign_flip(x.embeddings[of_x], y.embeddings[of_y], n=PERMUTATIONS)
            least = min(least, _least(len(of_x)))
            d = x.embeddings[of_x].mean(axis=0) - y.embeddings[of_y].mean(axis=0)
        else:
            here = order[first:last]
            tested = within_strata(
                rows.embeddings[here], rows.source[here] == new, rows.prompt[here], n=PERMUTATIONS
            )
            if tested is not None:
                p, smallest = tested
                least = min(least, smallest)
            d = x.embeddings.mean(axis=0) - y.embeddings.mean(axis=0)
        found.append((rows.clusters[cluster], float(np.sum(d.astype(np.float64) ** 2)), p))
    corrected = holm([np.nan if p is None else p for *_, p in found]).tolist()
    shifts = [
        QuestionShift(name, squared, p, None if p is None else c)
        for (name, squared, p), c in zip(found, corrected, strict=True)
    ]
    shifts.sort(key=lambda each: (2.0 if each.p is None else each.p, -each.squared))
    tests = sum(each.p is not None for each in shifts)
    if not tests:
        return (
            shifts,
            "no question can be tested by itself: none has 6 wordings, or two samples on both sides",
        )
    return shifts, unresolvable(tests, least)


def _of(side: Side, cluster: int) -> Side:
    first, last = np.searchsorted(side.cluster, [cluster, cluster + 1])
    return Side(side.embeddings[first:last], side.prompt[first:last], side.cluster[first:last])


def _least(prompts: int) -> float:
    return 2.0 ** (1 - prompts) if prompts <= EXACT_UP_TO else 1 / (1 + PERMUTATIONS)
