"""Which share of the answers' variance questions, languages and models have, and how alike languages are.

A component is the covariance of answers that share just that: with c(S) the mean product of two embeddings
that share the factors S and no other, c(question) - c() is the questions' variance, and so on. Pairs of one
row with itself never enter, so that noise is in the rest alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from univar.compare.rows import Rows
from univar.statistics.centring import centre, group_sums
from univar.statistics.intervals import Interval, jackknife_t

if TYPE_CHECKING:
    from univar.store import Store

Factors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shares:
    """Share of the variance by component, e.g. {"question": 0.2, "model x language": 0.03, "rest": 0.4}."""

    shares: dict[str, float]

    def note(self) -> str:
        """One sentence."""
        listed = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.shares.items())
        return f"shares of variance: {listed}"


def factors_of(store: Store, rows: Rows) -> dict[str, np.ndarray]:
    """(N,) codes of question, language and model; those that do not vary are left out."""
    found = {
        "question": rows.cluster,
        "language": store.codes("language")[0],
        "model": store.codes("model")[0],
    }
    return {name: codes.astype(np.int64) for name, codes in found.items() if len(np.unique(codes)) > 1}


def variance_shares(embeddings: np.ndarray, factors: Factors) -> Shares | None:
    """Shares of the total variance; None where no two answers differ in all factors. embeddings: (N, D)."""
    names = list(factors)
    every = [subset for k in range(len(names) + 1) for subset in combinations(names, k)]
    at_least = {subset: _products(embeddings, [factors[name] for name in subset]) for subset in every}
    exactly = {}
    for subset in every:
        above = [other for other in every if set(subset) <= set(other)]
        signs = [(-1.0) ** (len(other) - len(subset)) for other in above]
        total, pairs = (sum(s * at_least[o][n] for s, o in zip(signs, above, strict=True)) for n in (0, 1))
        if pairs > 0.5:
            exactly[subset] = total / pairs
    if () not in exactly:
        return None
    base = exactly[()]
    whole = float(np.einsum("nd,nd->", embeddings, embeddings, dtype=np.float64)) / len(embeddings) - base
    if whole <= 1e-12:
        return None
    parts: dict[str, float] = {}
    for name in names:
        if (name,) in exactly:
            parts[name] = (exactly[(name,)] - base) / whole
    for pair in combinations(names, 2):
        if pair in exactly and all((name,) in exactly for name in pair):
            own = exactly[pair] - sum(exactly[(name,)] for name in pair) + base
            parts[f"{pair[1]} x {pair[0]}"] = own / whole
    return Shares({**parts, "rest": 1 - sum(parts.values())})


def _products(embeddings: np.ndarray, factors: list[np.ndarray]) -> tuple[float, float]:
    """(sum of products, number of pairs) of answers that agree in all the factors."""
    groups = np.zeros(len(embeddings), np.int64)
    for codes in factors:
        groups = groups * (int(codes.max(initial=0)) + 1) + codes
    _, groups = np.unique(groups, return_inverse=True)
    sums, counts = group_sums(embeddings, np.arange(len(embeddings)), groups, int(groups.max()) + 1)
    return float(np.einsum("nd,nd->", sums, sums, dtype=np.float64)), float((counts.astype(float) ** 2).sum())


@dataclass(frozen=True)
class Consistency:
    """How alike a model answers in two languages, against the other models in each.

    value: cosine of the model's mean deviation from the others in both languages, without the noise's part
    """

    model: str
    one: str
    other: str
    value: Interval


def consistencies(store: Store, rows: Rows) -> tuple[list[Consistency], str | None]:
    """Every model in every two of its languages, least alike first; a sentence where they cannot be given.

    rows: grouped by model and language. Needs answers of at least 3 other models to a question in a language.
    """
    languages, names = store.codes("language")
    models, model_names = store.codes("model")
    if len(names) < 2:
        return [], None
    groups = rows.cluster * len(names) + languages
    deviations = centre(rows.embeddings, models.astype(np.int64), groups)
    found = []
    for model in range(len(model_names)):
        sides: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for language in range(len(names)):
            here = np.flatnonzero((models == model) & (languages == language) & deviations.is_centred)
            if len(here):
                codes, places = np.unique(rows.cluster[here], return_inverse=True)
                sums, counts = group_sums(deviations.embeddings, here, places, len(codes))
                sides[language] = (codes, sums / counts[:, None].astype(np.float32))
        for a, b in combinations(sorted(sides), 2):
            _, of_a, of_b = np.intersect1d(sides[a][0], sides[b][0], return_indices=True)
            if len(of_a) > 2:
                value = _within_bounds(consistency(sides[a][1][of_a], sides[b][1][of_b]))
                found.append(Consistency(model_names[model], names[a], names[b], value))
    note = None if found else "languages of one model: needs 3 other models that answered the same in them"
    return sorted(found, key=lambda each: each.value.estimate), note


def consistency(u: np.ndarray, v: np.ndarray) -> Interval:
    """Cosine of E u and E v over shared questions; NaN where either is not above its noise.

    u, v: (n, D). Products of answers to one question never enter: their noise may be shared.
    """
    u, v = u.astype(np.float64), v.astype(np.float64)
    cross, own_u, own_v = _cross(u, v), _cross(u, u), _cross(v, v)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = cross[0] / np.sqrt(own_u[0] * own_v[0])
        left = cross[1] / np.sqrt(own_u[1] * own_v[1])
    if not (own_u[0] > 0 and own_v[0] > 0 and np.isfinite(left).all()):
        return Interval(float("nan"), None, None, len(u))
    n = len(u)
    return jackknife_t(float(n * whole - (n - 1) * left.mean()), left)  # a ratio's bias, taken off


def _within_bounds(found: Interval) -> Interval:
    """A cosine lies in [-1, 1], and so does what is said of where it lies."""
    low, high = (None if bound is None else float(np.clip(bound, -1, 1)) for bound in (found.low, found.high))
    return Interval(float(np.clip(found.estimate, -1, 1)), low, high, found.clusters, found.se)


def _cross(u: np.ndarray, v: np.ndarray) -> tuple[float, np.ndarray]:
    """Sum of u_q . v_q' over q != q', whole and without each question in turn (n,), per pair."""
    n, a, b = len(u), u.sum(axis=0), v.sum(axis=0)
    own = np.einsum("nd,nd->n", u, v)
    whole = float(a @ b - own.sum())
    left = whole - (v @ a - own) - (u @ b - own)
    return whole / (n * (n - 1)), left / ((n - 1) * (n - 2))
