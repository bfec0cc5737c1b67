"""Tiles of `info_nce` in plain torch: any device, any floating point dtype, a few megabytes of workspace."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from univar.kernels.info_nce_block import Block, Gradients

TILE = 1024
"""Rows and columns of a tile: large enough for the matrix product, small enough for a core's cache."""


def log_sums(block: Block) -> tuple[Tensor, Tensor]:
    """See `univar.kernels.info_nce_block.Tiles`."""
    rows = _LogSum(block.anchor.shape[0], block)
    cols = _LogSum(block.positive.shape[0], block)
    for row, col, logits in _tiles(block):
        if block.shift is None:
            rows.add_tracked(row, logits, dim=1)
            cols.add_tracked(col, logits, dim=0)
        else:
            powers = logits.sub_(block.shift).exp_()
            rows.sums[row] += powers.sum(dim=1)
            cols.sums[col] += powers.sum(dim=0)
    return rows.result(), cols.result()


def gradients(block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
    """See `univar.kernels.info_nce_block.Tiles`."""
    anchor, positive = _operands(block)
    d_anchor = torch.zeros(anchor.shape, dtype=block.accumulator, device=anchor.device)
    d_positive = torch.zeros(positive.shape, dtype=block.accumulator, device=anchor.device)
    dot = torch.zeros((), dtype=torch.float64, device=anchor.device)
    for row, col, logits in _tiles(block):
        weights = _weights(logits, block, lse_rows[row], None if lse_cols is None else lse_cols[col])
        dot += torch.dot(weights.view(-1), logits.nan_to_num_(neginf=0.0).view(-1))
        weights = weights.to(anchor.dtype)
        d_anchor[row] += weights @ positive[col]
        d_positive[col] += weights.T @ anchor[row]
    return Gradients(d_anchor, d_positive, dot)


def _weights(logits: Tensor, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Tensor:
    """exp(logits - lse_rows) + exp(logits - lse_cols), with one exponential where there is a shared shift."""
    if block.shift is None:
        weights = (logits - lse_rows[:, None]).exp_()
        return weights if lse_cols is None else weights.add_((logits - lse_cols[None, :]).exp_())
    factors = (block.shift - lse_rows).exp()[:, None]
    if lse_cols is not None:
        factors = factors + (block.shift - lse_cols).exp()[None, :]
    return (logits - block.shift).exp_().mul_(factors)


def _tiles(block: Block) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and logits of each tile, with -inf where an element does not count."""
    anchor, positive = _operands(block)
    for first in range(0, anchor.shape[0], TILE):
        row = slice(first, min(first + TILE, anchor.shape[0]))
        for start in range(0, positive.shape[0], TILE):
            col = slice(start, min(start + TILE, positive.shape[0]))
            logits = (anchor[row] @ positive[col].T).to(block.accumulator).mul_(block.scale)
            if block.row_labels is not None and block.col_labels is not None:
                logits.masked_fill_(block.row_labels[row, None] == block.col_labels[None, col], -torch.inf)
            if block.diagonal is not None:
                logits.diagonal(block.diagonal + row.start - col.start).fill_(-torch.inf)
            yield row, col, logits


def _operands(block: Block) -> tuple[Tensor, Tensor]:
    """What the matrix products take: the inputs' dtype where the device multiplies it fast, else float32."""
    return block.anchor, block.positive


class _LogSum:
    """Logarithms of sums of exponentials, tile by tile: shared shift, or a maximum that is tracked."""

    def __init__(self, n: int, block: Block) -> None:
        self.sums = torch.zeros(n, dtype=block.accumulator, device=block.anchor.device)
        self.maxima = torch.full_like(self.sums, -torch.inf)
        self._shift = block.shift

    def add_tracked(self, part: slice, logits: Tensor, dim: int) -> None:
        tile = logits.logsumexp(dim)
        self.maxima[part] = torch.logaddexp(self.maxima[part], tile)

    def result(self) -> Tensor:
        return self.maxima if self._shift is None else self.sums.log() + self._shift
