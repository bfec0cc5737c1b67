"""Stores of several releases as one: their columns together, and who is to be compared with whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.compare.rows import part_of
from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    from univar.store import Store

RELEASE = "release"
"""The column that a joined store has beside those of its parts."""


class Releases:
    """Several stores read as one, with a column `release`; columns that one of them lacks are left out."""

    def __init__(self, stores: Sequence[Store]) -> None:
        _refuse_other_encoders(stores)
        self.stores = list(stores)
        self.names = _names([store.path for store in stores])
        self.path = " and ".join(str(store.path) for store in stores)
        everywhere = [name for name in stores[0].columns if all(name in s.columns for s in stores)]
        self.columns = [name for name in everywhere if name != RELEASE] + [RELEASE]
        self.release = np.repeat(np.arange(len(stores)), [len(store) for store in stores])

    def __len__(self) -> int:
        return len(self.release)

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """(codes (N,) int64, labels) of a column of all stores."""
        if name == RELEASE:
            return self.release, self.names
        if name != "source" and name not in self.columns:
            raise UsageError(f"no column {name!r} in all of {self.path}: there are {', '.join(self.columns)}")
        parts = [store.codes(name) for store in self.stores]
        labels = sorted({label for _, own in parts for label in own})
        number = {label: i for i, label in enumerate(labels)}
        renumbered = [np.array([number[label] for label in own], np.int64)[codes] for codes, own in parts]
        return np.concatenate(renumbered), labels

    def column(self, name: str) -> np.ndarray:
        """(N,) object, strings of a column."""
        return np.concatenate([store.column(name) for store in self.stores])

    def part(self, part: str | None) -> tuple[np.ndarray, str | None]:
        """What `rows.part_of` gives, of all stores."""
        found = [part_of(store, part) for store in self.stores]
        return np.concatenate([embeddings for embeddings, _ in found]), found[0][1]


def _names(paths: Sequence[Path]) -> list[str]:
    """Folder names, or whole paths where two folders have the same name."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise UsageError(f"{names[0]} is given twice: a release is compared with another one")
    return names


def _refuse_other_encoders(stores: Sequence[Store]) -> None:
    from univar.store import encoder_differences

    for store in stores[1:]:
        for name, ours, theirs in encoder_differences(stores[0].encoder, store.encoder):
            raise DataError(
                f"{stores[0].path} and {store.path} are of different encoders ({name}: {ours!r} and "
                f"{theirs!r}), so their embeddings cannot be compared. Add --work FOLDER to embed all of "
                f"them again from their texts, with --encoder or with that of {stores[0].path}"
            )


def of_one_encoder(
    stores: Sequence[Store], encoder: str | None, work: Path | None, on_note: Callable[[str], Any]
) -> list[Store]:
    """The stores, or where their encoders differ or one is given, stores of the same rows below `work`."""
    from univar.store import encoder_differences

    differ = any(encoder_differences(stores[0].encoder, store.encoder) for store in stores[1:])
    if encoder is None and not (differ and work is not None):
        return list(stores)
    if work is None:
        raise UsageError("--encoder embeds the stores again: add --work FOLDER for them")
    from univar.bulk.again import embedded_again
    from univar.encoder.encoder import Encoder
    from univar.search.attribute import shipped_encoder

    loaded = Encoder(encoder or shipped_encoder(stores[0]))
    return [embedded_again(store, loaded, work, on_note) for store in stores]
