"""Embeddings of the evaluated rows: those of the encoder under evaluation and of others on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError, UsageError
from univar.evaluate.protocol import SIDES

if TYPE_CHECKING:
    from univar.store import Store


class RowsOf:
    """Some rows of a matrix on the disk, gathered block by block."""

    def __init__(self, embeddings: Any, rows: np.ndarray) -> None:
        self._embeddings, self._rows = embeddings, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        gathered: np.ndarray = self._embeddings[self._rows[rows]]
        return gathered

    def blocks(self, max_rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, embeddings (m, D)) of consecutive rows."""
        for start in range(0, len(self._rows), max_rows):
            yield start, self._embeddings[self._rows[start : start + max_rows]]


@dataclass(frozen=True)
class Encoded:
    """One encoder's embeddings of the evaluated rows.

    name:  the encoder's name in the report; facts: its id, dim, max_length and so on
    sides: "train" and "eval" to embeddings, indexed by the row numbers of the evaluated stores
    """

    name: str
    facts: Mapping[str, object]
    dim: int
    sides: dict[str, Any]

    def some(self, side: str, rows: np.ndarray) -> RowsOf:
        """Rows of one side, not read yet."""
        return RowsOf(self.sides[side], rows)

    def matrix(self, side: str, rows: np.ndarray) -> np.ndarray:
        """Rows of one side, (n, D) float32."""
        return np.ascontiguousarray(self.sides[side][rows], dtype=np.float32)


def encoded(name: str, train: Store, eval: Store) -> Encoded:
    """The embeddings of the evaluated stores."""
    return Encoded(name, dict(train.encoder), train.dim, {"train": train.embeddings, "eval": eval.embeddings})


def matched(name: str, stores: tuple[Store, Store], others: tuple[Store, Store]) -> Encoded:
    """Another encoder's embeddings of the same rows, in the order of the evaluated stores.

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


def other_stores(
    given: str,
    stores: tuple[Store, Store],
    folder: Path | None,
    on_progress: Callable[[str], Any] | None = None,
) -> tuple[str, tuple[Store, Store]]:
    """(name, (train, eval)) of the encoder called `given`.

    given:  "TRAIN,EVAL", two store folders ("TRAIN" alone if there is one store), or an encoder's name or
            folder; the rows of `stores` are then embedded with it into stores below `folder`, or what is
            there already is used
    Raises UsageError without a folder for an encoder, DataError where a store is missing.
    """
    from univar.store import Store

    paths = given.split(",")
    if all(Store.exists(path) for path in paths) and len(paths) <= 2:
        opened = Store(paths[0]), Store(paths[-1])
        return opened[0].encoder["id"], opened
    if len(paths) > 1:
        raise DataError(f"{given}: one of these folders is not a univar store; give TRAIN,EVAL")
    if folder is None:
        raise UsageError(
            f"{given!r} is not a univar store. To embed the rows with the encoder of that name, "
            "add --work FOLDER for its stores"
        )
    from univar.bulk.again import embedded_again
    from univar.encoder.encoder import Encoder

    encoder = Encoder(given)
    if encoder.info["id"] == stores[0].encoder["id"]:
        raise UsageError(f"{given} has the same name as the encoder under evaluation: rename its folder")
    made = [embedded_again(store, encoder, folder, on_progress) for store in stores]
    return encoder.info["id"], (made[0], made[1])
