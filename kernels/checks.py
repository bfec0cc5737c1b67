"""Checks that a kernel shares with its twin on NumPy arrays; this module imports neither torch nor NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from univar.errors import DataError, UsageError

if TYPE_CHECKING:

    class Matrix(Protocol):
        """A tensor or an array."""

        @property
        def ndim(self) -> int: ...
        @property
        def shape(self) -> tuple[int, ...]: ...


POOLINGS = ("mean", "cls")
MAX_K = 256
"""Neighbours that a search by a kernel gives at most."""


def check_search(queries: Matrix, corpus: Matrix, k: int) -> None:
    """Raise UsageError unless queries are (Q, D), the corpus is (N, D) and k is in 1..MAX_K."""
    if queries.ndim != 2 or corpus.ndim != 2 or queries.shape[1] != corpus.shape[1] or not queries.shape[1]:
        raise UsageError(
            "queries (Q, D) and corpus (N, D) must have the same D, at least 1, got "
            f"{tuple(queries.shape)} and {tuple(corpus.shape)}"
        )
    if not 1 <= k <= MAX_K:
        raise UsageError(f"k must be in 1..{MAX_K}, got {k}")


def not_finite(side: str, row: int) -> DataError:
    """The error for a row ("query" or "corpus") with a NaN or an infinity."""
    return DataError(f"{side} row {row} contains NaN or infinity, so it has no nearest neighbours: remove it")
