"""Readers of answer files."""

from univar.data.read import read_rows
from univar.data.rows import RefusedRow, RowBatch

__all__ = ["RefusedRow", "RowBatch", "read_rows"]
