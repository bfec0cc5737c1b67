"""Readers of answer files."""

from univar.answers.read import estimate_rows, read_rows
from univar.answers.rows import RejectedRow, RowBatch

__all__ = ["RejectedRow", "RowBatch", "estimate_rows", "read_rows"]
