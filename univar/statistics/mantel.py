"""Do two things agree in how they lay out the same objects, beyond what their kinship explains?

Mantel's test asks it of two tables of distances; the partial one of what three or more other tables leave.
Where the objects are kin (languages of one family, neighbours), both tables follow the kinship, and shuffling
the objects, which destroys it, calls up to a third of unrelated pairs significant. Here the null keeps it:
Moran spectral randomisation (Wagner & Dray 2015, Methods in Ecology and Evolution 6, 1169-1178, its
"singleton" procedure). The coordinates of one side are written in the eigenvectors of the kinship and each
coefficient gets a random sign; whatever covariance the eigenvectors diagonalise, known or not, the draws have
it too. Shuffles of the objects remain for tables without coordinates.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 10_000
SIGNS = 4999
"""Random sets of signs; all of them where there are fewer."""

_TOLERANCE = 1e-12
_AT_ONCE = 512
"""Layouts that are measured at once."""


def mantel(first: np.ndarray, second: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Correlation of the distances, and the one-sided p-value of so high a one.

    first, second: (n, n) distances, symmetric, n >= 3
    The things of one table are renamed in every order while there are at most 10,000 orders, else in 10,000
    random ones and as they are. With n = 3 p cannot be below 1/6, with 4 below 1/24, with 5 below 1/120.
    """
    n = len(first)
    upper = np.triu_indices(n, 1)
    target = residuals(second[upper])
    if math.factorial(n) <= PERMUTATIONS:
        orders = np.array(list(itertools.permutations(range(n))))
    else:
        rng = np.random.default_rng(seed)
        orders = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(PERMUTATIONS))])
    values = np.array([residuals(first[np.ix_(order, order)][upper]) @ target for order in orders])
    return float(values[0]), float((values >= values[0] - _TOLERANCE).mean())


def residuals(values: np.ndarray, controls: np.ndarray | None = None) -> np.ndarray:
    """(m,) of length 1: what a constant and the controls (m, c) leave of values; zeros where nothing is."""
    columns = [np.ones((len(values), 1))] if controls is None else [np.ones((len(values), 1)), controls]
    design = np.hstack(columns)
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    length = float(np.linalg.norm(left))
    if length <= 1e-9 * max(1.0, float(np.linalg.norm(values))):
        return np.zeros(len(values))
    unit: np.ndarray = left / length
    return unit


@dataclass(frozen=True)
class Agreement:
    """Two layouts of n objects. least_p: the smallest p that the signs can give.

    r, partial: correlation of the distances, and of what the controls leave; NaN where nothing is left
    p, partial_p: one-sided, by sign randomisation; procrustes: 1 - m^2 in [0, 1], how much of one layout the
    other explains after turning and scaling, in two dimensions; procrustes_p as the others
    """

    r: float
    p: float
    partial: float
    partial_p: float
    procrustes: float
    procrustes_p: float
    least_p: float


def agreement(
    distances: np.ndarray, scores: np.ndarray, controls: list[np.ndarray], kinship: np.ndarray, seed: int = 0
) -> Agreement:
    """How two layouts agree, tested against layouts that follow the kinship as much and are otherwise random.

    distances: (n, n) between the objects on one side, n >= 3; scores: (n, c) coordinates on the other
    controls:  (n, n) distances each, whose linear part is taken from both sides
    kinship:   (n, n) similarities, whose eigenvectors carry the random signs; its strength is not used
    """
    upper = np.triu_indices(len(distances), 1)
    x = distances[upper]
    held = np.stack([control[upper] for control in controls], axis=1) if controls else np.empty((len(x), 0))
    layout = principal_coordinates(distances)
    points = scores - scores.mean(axis=0)
    draws, least = spectral_draws(points, kinship, seed)
    plain, partial, fit = residuals(x), residuals(x, held), []
    found = np.empty((1 + len(draws), 3))
    basis = np.linalg.qr(np.column_stack([np.ones(len(x)), held]))[0]
    for first in range(0, len(found), _AT_ONCE):
        part = np.concatenate([points[None], draws])[first : first + _AT_ONCE]  # (s, n, c)
        y = np.linalg.norm(part[:, upper[0]] - part[:, upper[1]], axis=2)  # (s, pairs)
        found[first : first + len(part), 0] = _correlations(y - y.mean(axis=1, keepdims=True), plain)
        found[first : first + len(part), 1] = _correlations(y - (y @ basis) @ basis.T, partial)
        fit.append(_fits(layout, part))
    found[:, 2] = np.concatenate(fit)
    p = (found >= found[0] - 1e-9).mean(axis=0)
    free = len(x) > held.shape[1] + 2 and bool(partial.any()) and abs(found[0, 1]) > _TOLERANCE
    return Agreement(
        r=float(found[0, 0]),
        p=float(p[0]),
        partial=float(found[0, 1]) if free else math.nan,
        partial_p=float(p[1]) if free else math.nan,
        procrustes=float(found[0, 2]),
        procrustes_p=float(p[2]),
        least_p=least,
    )


def _correlations(left: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(s,) of rows of residuals (s, m) with a unit vector (m,); 0 where a row has no length."""
    found: np.ndarray = left @ target / np.maximum(np.linalg.norm(left, axis=1), 1e-9)
    return found


def _fits(layout: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(s,) `procrustes` of one layout (n, 2) with each of (s, n, c), whose columns have mean 0."""
    fixed = layout - layout.mean(axis=0)
    sizes = np.linalg.norm(fixed) * np.linalg.norm(points, axis=(1, 2))
    singular = np.linalg.svd(fixed.T @ points, compute_uv=False).sum(axis=1)
    found: np.ndarray = (singular / np.maximum(sizes, _TOLERANCE)) ** 2
    return found


def spectral_draws(points: np.ndarray, kinship: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """(s, n, c) layouts with random signs of the kinship's eigenvectors, and the least p they can give.

    points: (n, c), columns of mean 0; all c columns of an eigenvector have one sign, so their own
    correlation stays. All sets of signs are taken where there are at most SIGNS, the points' own left out:
    there are 2^(n-2), since turning all signs changes no distance.
    """
    n = len(points)
    centring = np.eye(n) - 1 / n
    vectors = np.linalg.eigh(centring @ ((kinship + kinship.T) / 2) @ centring)[1]
    constant = np.abs(vectors.sum(axis=0)).argmax()  # the eigenvector of equal entries says nothing
    vectors = np.delete(vectors, constant, axis=1)
    coefficients = vectors.T @ points
    free = n - 2
    if 2**free - 1 <= SIGNS:
        bits = np.arange(1, 2**free)[:, None] >> np.arange(free) & 1
        signs = np.hstack([np.ones((len(bits), 1)), 1.0 - 2.0 * bits])
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (SIGNS, n - 1))
    return np.einsum("nk,sk,kc->snc", vectors, signs, coefficients, optimize=True), 1 / (1 + len(signs))


def principal_coordinates(distances: np.ndarray, dims: int = 2) -> np.ndarray:
    """(n, dims) points whose distances are nearest to these (classical scaling); squared ones may be < 0."""
    n = len(distances)
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-centring @ (np.sign(distances) * distances**2) @ centring / 2)
    order = np.argsort(-values)[:dims]
    points: np.ndarray = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    return points


def procrustes(first: np.ndarray, second: np.ndarray) -> float:
    """1 - m^2 of two layouts (n, c) and (n, d): both of size 1, one turned and scaled onto the other."""
    sides = []
    for points in (first, second):
        centred = points - points.mean(axis=0)
        size = float(np.linalg.norm(centred))
        if size <= _TOLERANCE:
            return 0.0
        sides.append(centred / size)
    singular = np.linalg.svd(sides[0].T @ sides[1], compute_uv=False)
    return float(singular.sum() ** 2)
