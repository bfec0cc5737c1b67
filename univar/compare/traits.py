"""What may move apart from what an answer says: declined answers and length; and change value by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.statistics.distances import paired
from univar.statistics.intervals import Interval, mean
from univar.statistics.permutation import holm, sign_flip

if TYPE_CHECKING:
    from univar.compare.releases import Releases
    from univar.compare.rows import Rows
    from univar.store import Store

TRAITS = ("declined", "length")


@dataclass(frozen=True)
class Trait:
    """A change of the answers' form, over propositions.

    name:   "declined", a share of the answers; "length", the natural logarithm of their characters
    before, after: means; change: after - before with its interval; p: by sign-flip, None: nothing varied
    """

    name: str
    before: float
    after: float
    change: Interval
    p: float | None

    @classmethod
    def of(cls, name: str, before: np.ndarray, after: np.ndarray) -> Trait:
        """before, after: (n,) means of each proposition."""
        if not len(before):
            return cls(name, float("nan"), float("nan"), Interval(float("nan"), None, None, 0), None)
        moved = (after - before).astype(np.float64)
        change = mean(moved, np.arange(len(moved)))
        p = sign_flip(after[:, None], before[:, None]) if moved.any() and len(moved) > 1 else None
        return cls(name, float(before.mean()), float(after.mean()), change, p)


def traits(store: Store | Releases) -> np.ndarray:
    """(N, 2) float32: 1 where an answer declines; log of its characters."""
    from univar.answers.declined import is_declined

    answers, languages = store.column("answer"), store.column("language")
    declined = [is_declined(answer, language) for answer, language in zip(answers, languages, strict=True)]
    lengths = np.log([max(len(answer), 1) for answer in answers])
    return np.stack([np.array(declined, np.float32), lengths.astype(np.float32)], axis=1)


def value_of_cluster(store: Store | Releases, rows: Rows, taken: np.ndarray | None = None) -> dict[int, str]:
    """The value that each proposition is about, from the column `value`; empty without it.

    taken: (N,) the store's rows that `rows` holds; None: all
    """
    if "value" not in store.columns:
        return {}
    codes, names = store.codes("value")
    codes = codes if taken is None else codes[taken]
    clusters, first = np.unique(rows.cluster, return_index=True)
    values = [names[code] for code in codes[first].tolist()]
    return {cluster: value for cluster, value in zip(clusters.tolist(), values, strict=True) if value}


def by_value(
    left: np.ndarray, right: np.ndarray, clusters: np.ndarray, values: Mapping[int, str]
) -> list[tuple[str, Interval, float | None, float | None]]:
    """(value, D2, p, Holm's p over the values) over the propositions about each value, largest D2 first.

    left, right: (n, D) answers to the propositions `clusters` (n,). Values with one proposition have no D2
    and are left out.
    """
    of = np.array([values.get(cluster, "") for cluster in clusters.tolist()], dtype=object)
    found = []
    for value in sorted(set(of.tolist()) - {""}):
        here = of == value
        if here.sum() > 1:
            found.append((value, paired(left[here], right[here]), sign_flip(left[here], right[here])))
    corrected = holm([p for *_, p in found]).tolist()
    rows = [(value, d2, p, c) for (value, d2, p), c in zip(found, corrected, strict=True)]
    return sorted(rows, key=lambda row: -row[1].estimate)
