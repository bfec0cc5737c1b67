"""Readers of answer files."""

from univar.answers.estimate import estimate_rows
from univar.answers.read import read_rows
from univar.answers.rows import RejectedRow, RowBatch

__all__ = ["RejectedRow", "RowBatch", "estimate_rows", "read_rows"]
