"""Mantel's test: do two tables of distances between the same things agree?"""

from __future__ import annotations

import itertools
import math

import numpy as np

PERMUTATIONS = 10_000


def mantel(first: np.ndarray, second: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Correlation of the distances, and the one-sided p-value of so high a one.

    first, second: (n, n) distances, symmetric, n >= 3
    The things of one table are renamed in every order while there are at most 10,000 orders, else in 10,000
    random ones and as they are. With n = 3 p cannot be below 1/6, with 4 below 1/24, with 5 below 1/120.
    """
    n = len(first)
    upper = np.triu_indices(n, 1)
    target = _standardised(second[upper])
    if math.factorial(n) <= PERMUTATIONS:
        orders = np.array(list(itertools.permutations(range(n))))
    else:
        rng = np.random.default_rng(seed)
        orders = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(PERMUTATIONS))])
    values = np.array([_standardised(first[np.ix_(order, order)][upper]) @ target for order in orders])
    return float(values[0]), float((values >= values[0] - 1e-12).mean())


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-12)
