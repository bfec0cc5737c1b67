"""Readers of answer files."""

from univar.data.estimate import estimate_rows
from univar.data.read import read_rows
from univar.data.rows import RefusedRow, RowBatch

__all__ = ["RefusedRow", "RowBatch", "estimate_rows", "read_rows"]
