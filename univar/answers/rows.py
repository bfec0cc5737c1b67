"""What passes through the readers: raw batches, finished batches, rejected rows; and their limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 4096
BATCH_BYTES = 16 << 20
MAX_ROW_BYTES = 32 << 20
"""A longer row is rejected without being held whole."""

MAX_COLUMNS = 256
MAX_COLUMN_NAME = 64

TOO_LONG = f"the row is longer than {MAX_ROW_BYTES >> 20} MiB"


def is_empty(column: str) -> str:
    """Why a row is rejected that has nothing in `column`."""
    return f"{column} is empty"


@dataclass(frozen=True)
class RowBatch:
    """Rows that can be embedded.

    table: non-null large_string columns: `schema.IDENTITY_COLUMNS`, then the input's others in the order they
        came; a column of a JSONL file is there if a row of this batch has it.
    file: the input as it was given, "stdin" for "-".
    rows: (n,) int64, where each row is in `file`, from 1: its first line, in Parquet its number.
    """

    table: pa.Table
    file: str
    rows: np.ndarray


@dataclass(frozen=True)
class RejectedRow:
    """A row that cannot be used: `row` as in `RowBatch.rows`, `reason` as a sentence without the place."""

    file: str
    row: int
    reason: str


OnRejected = Callable[[RejectedRow], Any]


@dataclass
class RawBatch:
    """Rows as a format's reader found them; names are already ours.

    rows: as in RowBatch. columns: name to one value per row, a list of Python values or a large_string array,
    either with nulls. rejected: (row, reason) of rows that could not even be taken apart.
    """

    rows: list[int] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)
