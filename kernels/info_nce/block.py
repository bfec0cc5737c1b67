"""What the tiles of `info_nce` take and return: one rectangle of the logits, without its diagonal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

EXPONENT_RANGE = 86.0
"""exp(x) and its reciprocal are normal float32 numbers, with room to spare, for |x| up to this."""


@dataclass(frozen=True)
class Block:
    """A rectangle of logits scale * anchor @ positive.T.

    anchor:     (m, D), positive: (n, D), of one floating point dtype, contiguous
    scale:      1 / temperature
    bound:      no logit has a larger absolute value
    columns:    number of columns over all rectangles
    diagonal:   element (i, i + diagonal) is a pair's own logit, which does not count; None: there is none
    row_labels: (m,) and col_labels (n,) int32: elements with equal labels do not count, and a pair's own
                labels are equal; None: all elements count
    """

    anchor: Tensor
    positive: Tensor
    scale: float
    bound: float
    columns: int
    diagonal: int | None = 0
    row_labels: Tensor | None = None
    col_labels: Tensor | None = None

    @property
    def accumulator(self) -> torch.dtype:
        """float32, or float64 for float64 inputs."""
        return torch.promote_types(self.anchor.dtype, torch.float32)

    @property
    def exp_fits_float32(self) -> bool:
        """Whether exp(logit) can be summed as it is: then one exponential serves rows and columns.

        This holds for scales up to 75 at 64k pairs; above, sums are taken relative to maxima.
        """
        return self.bound <= EXPONENT_RANGE - math.log(self.columns)


@dataclass(frozen=True)
class Gradients:
    """With W = exp(logit - lse_row) + exp(logit - lse_col), 0 where an element does not count.

    anchor: W @ positive (m, D); positive: W.T @ anchor (n, D); dot: sum of W * logits, ().
    All float32 (float64 for float64 inputs), `dot` float64.
    """

    anchor: Tensor
    positive: Tensor
    dot: Tensor


class Tiles(Protocol):
    """How the sums and gradients of a rectangle are computed without writing it."""

    def operand_dtype(self, embeddings: Tensor) -> torch.dtype:
        """The dtype that `Block.anchor` and `Block.positive` must have."""

    def log_sums(self, block: Block) -> tuple[Tensor, Tensor]:
        """log of the sum of exp(logit) by row (m,) and by column (n,), float64; -inf where nothing counts."""

    def gradients(self, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        """lse_rows (m,), lse_cols (n,) float64, over all logits and the diagonal; None: rows only."""
