"""Tiles of `info_nce` in plain torch: any device, any floating point dtype, a few megabytes of workspace."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from univar._native import cpu_features
from univar.kernels.info_nce.block import Block, Gradients

TILE = 1024
"""Rows and columns of a tile: large enough for the matrix product, small enough to stay in the cache."""


def operand_dtype(embeddings: Tensor) -> torch.dtype:
    """The inputs' dtype where matrix products in it are fast and cannot overflow, else float32.

    On a CPU that is bfloat16 only with AMX.
    """
    dtype, is_cpu = embeddings.dtype, embeddings.device.type == "cpu"
    if dtype == torch.float16 or (dtype == torch.bfloat16 and is_cpu and not cpu_features()["amx_bf16"]):
        return torch.float32
    return dtype


def log_sums(block: Block) -> tuple[Tensor, Tensor]:
    """See `univar.kernels.info_nce.block.Tiles`."""
    rows, cols = _empty_sums(block, block.anchor), _empty_sums(block, block.positive)
    for row, col, logits in _tiles(block):
        if block.exp_fits_float32:
            powers = _mask_excluded(logits.exp_(), block, row, col, 0.0)
            rows[row] += powers.sum(dim=1)
            cols[col] += powers.sum(dim=0)
        else:
            _mask_excluded(logits, block, row, col, -torch.inf)
            rows[row] = torch.logaddexp(rows[row], logits.logsumexp(dim=1))
            cols[col] = torch.logaddexp(cols[col], logits.logsumexp(dim=0))
    rows, cols = rows.double(), cols.double()
    return (rows.log(), cols.log()) if block.exp_fits_float32 else (rows, cols)


def gradients(block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
    """See `univar.kernels.info_nce.block.Tiles`."""
    anchor, positive = block.anchor, block.positive
    d_anchor = torch.zeros(anchor.shape, dtype=block.accumulator, device=anchor.device)
    d_positive = torch.zeros(positive.shape, dtype=block.accumulator, device=anchor.device)
    dot = torch.zeros((), dtype=torch.float64, device=anchor.device)
    for row, col, logits in _tiles(block):
        weights = _weights(
            logits, block.exp_fits_float32, lse_rows[row], None if lse_cols is None else lse_cols[col]
        )
        _mask_excluded(weights, block, row, col, 0.0)
        dot += torch.dot(weights.view(-1), logits.view(-1))
        weights = weights.to(anchor.dtype)
        d_anchor[row] += weights @ positive[col]
        d_positive[col] += weights.T @ anchor[row]
    return Gradients(d_anchor, d_positive, dot)


def _empty_sums(block: Block, side: Tensor) -> Tensor:
    """Sums of nothing for each row of a side: of exponentials, or their logarithms."""
    start = 0.0 if block.exp_fits_float32 else -torch.inf
    return torch.full(side.shape[:1], start, dtype=block.accumulator, device=side.device)


def _weights(logits: Tensor, exp_fits_float32: bool, lse_rows: Tensor, lse_cols: Tensor | None) -> Tensor:
    """exp(logits - lse_rows) + exp(logits - lse_cols), by one exponential where exp(logits) fits."""
    dtype = logits.dtype
    if exp_fits_float32:
        factors = lse_rows.neg().exp().to(dtype)[:, None]
        if lse_cols is not None:
            factors = factors + lse_cols.neg().exp().to(dtype)[None, :]
        return logits.exp().mul_(factors)
    weights = (logits - lse_rows.to(dtype)[:, None]).exp_()
    return weights if lse_cols is None else weights.add_((logits - lse_cols.to(dtype)[None, :]).exp_())


def _tiles(block: Block) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and logits of each tile."""
    for row in _slices(block.anchor):
        for col in _slices(block.positive):
            products = block.anchor[row] @ block.positive[col].T
            yield row, col, products.to(block.accumulator).mul_(block.scale)


def _slices(side: Tensor) -> Iterator[slice]:
    for start in range(0, side.shape[0], TILE):
        yield slice(start, min(start + TILE, side.shape[0]))


def _mask_excluded(tile: Tensor, block: Block, row: slice, col: slice, value: float) -> Tensor:
    """Put `value` where an element does not count: equal labels, and the diagonal."""
    if block.row_labels is not None and block.col_labels is not None:
        tile.masked_fill_(block.row_labels[row, None] == block.col_labels[None, col], value)
    if block.diagonal is not None:
        offset = block.diagonal + row.start - col.start
        if -tile.shape[0] < offset < tile.shape[1]:
            tile.diagonal(offset).fill_(value)
    return tile
