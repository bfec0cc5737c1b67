"""Change along the directions of values: mean differences of the shipped probes' scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.heads.value_probes import ValueProbes, shipped
from univar.statistics.intervals import Interval, mean
from univar.statistics.permutation import holm, sign_flip

if TYPE_CHECKING:
    from univar.compare.releases import Releases
    from univar.store import Store

MOVED = 0.5
"""Standard deviations of a score from which on a proposition counts as moved."""


@dataclass(frozen=True)
class ProbeShift:
    """How the score of one value differs, second side minus first, in standard deviations.

    up, down: propositions that differ by more than MOVED either way, which a mean may hide
    t:        change over its standard error; None where there is no interval
    """

    value: str
    change: Interval
    up: int
    down: int
    p: float | None
    p_holm: float | None
    t: float | None


def by_score(names: list[str], left: np.ndarray, right: np.ndarray) -> list[ProbeShift]:
    """Scores (n, V) of both sides on shared propositions, as one ProbeShift a value, largest |t| first.

    p by sign-flip over propositions, Holm over the values.
    """
    moved = right.astype(np.float64) - left
    n = np.arange(len(moved))
    p = [
        sign_flip(right[:, [v]], left[:, [v]]) if len(n) > 1 and moved[:, v].any() else np.nan
        for v in range(len(names))
    ]
    corrected = holm(p).tolist()
    found = []
    for v, name in enumerate(names):
        change = mean(moved[:, v], n)
        known = None if np.isnan(p[v]) else float(p[v])
        t = None if change.se is None else change.estimate / change.se
        up, down = int((moved[:, v] > MOVED).sum()), int((moved[:, v] < -MOVED).sum())
        found.append(ProbeShift(name, change, up, down, known, None if known is None else corrected[v], t))
    return sorted(found, key=lambda each: -abs(each.t or 0.0))


def by_probe(probes: ValueProbes, left: np.ndarray, right: np.ndarray) -> list[ProbeShift]:
    """`by_score` of the probes that can be believed. left, right: (n, D) embeddings of the probes' part."""
    kept = np.flatnonzero(probes.measurable)
    scores = [probes.scores(side)[:, kept] for side in (left, right)]
    return by_score([probes.values[v] for v in kept.tolist()], scores[0], scores[1])


def probes_of(store: Store | Releases, part: str | None) -> tuple[ValueProbes | None, str | None]:
    """(probes of the store's encoder and part, None or why there are none)."""
    first = store if not hasattr(store, "stores") else store.stores[0]
    encoder = first.encoder
    found = shipped(str(encoder["id"]), str(encoder["revision"]), part or "values")
    if found is None:
        made = f"{encoder['id']} (revision {encoder['revision']}), part {part}"
        return None, f"no value probes are shipped for {made}: values are not scored"
    return found, None
