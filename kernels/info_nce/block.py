"""What the tiles of `info_nce` are given and give back: one rectangle of the logits, diagonal left out."""

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
    bound:      no logit is larger in absolute value
    columns:    how many logits a sum has at most, over all rectangles
    diagonal:   element (i, i + diagonal) is a pair's own logit, which does not count; None: none is here
    row_labels: (m,) and col_labels (n,) int32: where they are equal the element does not count, and those of
                a pair are; None: all do
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

        So it is up to a scale of 75 at 64k pairs; above, sums are taken relative to maxima.
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
    """How a rectangle is worked through, without ever writing it."""

    def operand_dtype(self, embeddings: Tensor) -> torch.dtype:
        """What `Block.anchor` and `Block.positive` have to be."""

    def log_sums(self, block: Block) -> tuple[Tensor, Tensor]:
        """log of the sum of exp(logit) by row (m,) and by column (n,), float64; -inf where nothing counts."""

    def gradients(self, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        """lse_rows (m,), lse_cols (n,) float64 or None for rows only: over all logits, own ones included."""
