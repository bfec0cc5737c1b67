"""The map of a store: its answers on the first two principal axes, and where new answers lie among them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from univar.store import Store

ROWS_FOR_AXES = 20_000
"""Rows, spread evenly over the store, that the axes are of."""

ROWS_SHOWN = 2_000
"""Rows of the store that the map shows."""

VALUES = "values"


class Places:
    """Two coordinates of each answer, by the part `values` where the store has it.

    The axes are worked out when they are first asked for: from at most ROWS_FOR_AXES rows, which for two axes
    of thousands of answers changes little.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._columns = store.parts.get(VALUES, slice(0, store.dim))

    def of(self, vectors: np.ndarray) -> list[list[float]]:
        """[x, y] of each of the vectors (n, dim)."""
        mean, axes, _ = self._axes
        return [[round(float(x), 5), round(float(y), 5)] for x, y in (self._unit(vectors) - mean) @ axes]

    @cached_property
    def background(self) -> dict[str, Any]:
        """`shares` of the variance on each axis, `sources`, and `points` [x, y, number of the source]."""
        rows = _spread(len(self._store), ROWS_SHOWN)
        codes, _ = self._store.codes("source")
        used, place = np.unique(codes[rows], return_inverse=True)
        firsts = rows[np.array([np.flatnonzero(place == n)[0] for n in range(len(used))], np.int64)]
        columns = {name: self._store.text(name, firsts) for name in ("model", "language")}
        sources = [
            {"model": model, "language": language} for model, language in zip(*columns.values(), strict=True)
        ]
        points = self.of(self._rows(rows))
        return {
            "shares": [round(float(share), 4) for share in self._axes[2]],
            "rows": len(self._store),
            "sources": sources,
            "points": [[*point, int(source)] for point, source in zip(points, place, strict=True)],
        }

    @cached_property
    def _axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean (d,), axes (d, 2), and the share of the variance on each (2,)."""
        x = self._unit(self._rows(_spread(len(self._store), ROWS_FOR_AXES)))
        mean = x.mean(axis=0)
        centred = (x - mean).astype(np.float64)
        variances, directions = np.linalg.eigh(centred.T @ centred)
        axes = directions[:, ::-1][:, :2]
        heaviest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
        shares = variances[::-1][:2] / max(variances.sum(), np.finfo(np.float64).tiny)
        return mean, (axes * np.where(heaviest < 0, -1, 1)).astype(np.float32), shares

    def _rows(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.asarray(self._store.embeddings[rows], np.float32)
        return found

    def _unit(self, vectors: np.ndarray) -> np.ndarray:
        own = vectors[:, self._columns]
        unit: np.ndarray = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
        return unit


def _spread(n: int, most: int) -> np.ndarray:
    """At most `most` of n rows, (m,) int64, evenly spread and in order."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
