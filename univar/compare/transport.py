"""Which answers moved: one source's answers to a proposition carried over to the other's at the least cost.

Optimal transport with the squared distance as cost and equal weights (Kantorovich; POT's exact solver). With
one answer on each side there is nothing to choose, so it is used where a side gave several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.compare.rows import Rows

SHOWN = 5
"""Answers that are shown."""


@dataclass(frozen=True)
class Move:
    """An answer of the first source, and the one of the second to which most of it is carried.

    a, b: rows of the comparison; cost: mean squared distance that the answer is carried
    """

    proposition: int
    a: int
    b: int
    cost: float


def is_installed() -> bool:
    """Whether POT is there (the extra `[compare]`)."""
    import importlib.util

    return importlib.util.find_spec("ot") is not None


def several(rows: Rows) -> np.ndarray:
    """(n,) codes of the propositions that both sources answered, at least one of them more than once."""
    counts = np.zeros((len(rows.clusters), 2), np.int64)
    np.add.at(counts, (rows.cluster, rows.source), 1)
    found: np.ndarray = np.flatnonzero(counts.all(axis=1) & (counts.max(axis=1) > 1))
    return found


def moves(rows: Rows) -> list[Move]:
    """Every answer of source 0 to a proposition of `several`, the one that is carried farthest first."""
    import ot

    found = []
    for proposition in several(rows).tolist():
        here = np.flatnonzero(rows.cluster == proposition)
        left, right = (here[rows.source[here] == side] for side in (0, 1))
        x, y = (rows.embeddings[side].astype(np.float64) for side in (left, right))
        cost = np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0.0)
        plan = np.asarray(ot.emd([], [], cost))
        carried = (plan * cost).sum(axis=1) / plan.sum(axis=1)
        found += [
            Move(proposition, int(row), int(right[plan[place].argmax()]), float(carried[place]))
            for place, row in enumerate(left.tolist())
        ]
    return sorted(found, key=lambda move: -move.cost)
