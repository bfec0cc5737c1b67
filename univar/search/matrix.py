"""A matrix in memory in a store's place, so that an `Index` can be built over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from univar.errors import DataError, UsageError


class Matrix:
    """What an index needs of a store, for rows that are in none.

    embeddings: (N, D), N and D at least 1, finite. Raises DataError for others.
    """

    def __init__(self, embeddings: np.ndarray) -> None:
        values = np.ascontiguousarray(embeddings, dtype=np.float32)
        if values.ndim != 2 or not values.size:
            raise DataError(f"embeddings have shape {values.shape}: give a matrix of rows and dimensions")
        if not np.isfinite(values).all():
            raise DataError("embeddings contain NaN or infinity: embed these rows again")
        self._values = values
        self.embeddings = self
        self.shape, self.dtype = values.shape, values.dtype
        self.dim = values.shape[1]
        self.path = Path("the matrix")
        self.encoder: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.asarray(self._values[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype=dtype)

    def blocks(self, max_rows: int = 65_536) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, (m, D)) of consecutive rows, m <= max_rows."""
        for row in range(0, len(self), max_rows):
            yield row, self._values[row : row + max_rows]

    @property
    def fingerprint(self) -> str:
        """None: raises UsageError, since there is no folder to keep an index in."""
        raise UsageError("an index of a matrix has no store to be saved in: write a store, and index that")

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """None: raises UsageError, since a matrix has no columns."""
        raise UsageError(f"a matrix has no column {name!r}: build the index from a store")
