"""Embeddings of the rows that are compared, of the encoder under test and of those it is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError

if TYPE_CHECKING:
    from univar.store import Store

SIDES = ("train", "eval")


class RowsOf:
    """Some rows of a matrix on the disk, gathered block by block."""

    def __init__(self, embeddings: Any, rows: np.ndarray) -> None:
        self._embeddings, self._rows = embeddings, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self._embeddings[self._rows[rows]]

    def blocks(self, max_rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, embeddings (m, D)) of consecutive rows."""
        for start in range(0, len(self._rows), max_rows):
            yield start, self._embeddings[self._rows[start : start + max_rows]]


@dataclass(frozen=True)
class Encoded:
    """What one encoder made of the rows under evaluation.

    name:  the encoder's name in the report; facts: its id, dim, max_length and so on
    sides: "train" and "eval" to embeddings, indexed by the row numbers of the stores under evaluation
    """

    name: str
    facts: dict[str, Any]
    dim: int
    sides: dict[str, Any]

    def some(self, side: str, rows: np.ndarray) -> RowsOf:
        """Rows of one side, not read yet."""
        return RowsOf(self.sides[side], rows)

    def matrix(self, side: str, rows: np.ndarray) -> np.ndarray:
        """Rows of one side, (n, D) float32."""
        return np.ascontiguousarray(self.sides[side][rows], dtype=np.float32)


def encoded(name: str, train: Store, eval: Store) -> Encoded:
    """The embeddings that the stores under evaluation hold."""
    return Encoded(name, dict(train.encoder), train.dim, {"train": train.embeddings, "eval": eval.embeddings})


def matched(name: str, stores: tuple[Store, Store], others: tuple[Store, Store]) -> Encoded:
    """Another encoder's embeddings of the same rows, in the order of the stores under evaluation.

    stores, others: (train, eval). Raises DataError where the other stores lack rows.
    """
    sides = {
        side: RowsOf(other.embeddings, _order(store, other))
        for side, store, other in zip(SIDES, stores, others, strict=True)
    }
    return Encoded(name, dict(others[0].encoder), others[0].dim, sides)


def _order(store: Store, other: Store) -> np.ndarray:
    """Number in `other` of each row of `store`."""
    from univar._native import HashIndex

    index = HashIndex()
    index.insert(other.row_hash, np.arange(len(other), dtype=np.int64))
    order = index.find(store.row_hash)
    missing = int((order < 0).sum())
    if missing:
        raise DataError(
            f"{missing:,} of {len(store):,} rows of {store.path} are not in {other.path}: "
            "embed the same answers with both encoders"
        )
    return order
