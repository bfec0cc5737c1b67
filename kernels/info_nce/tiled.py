"""InfoNCE without ever writing the B x B matrix of logits, as an autograd function over tiles.

S = s * anchor @ positive.T with s = exp(log_scale). Row i's target is column i, and the other way round.

The diagonal, each pair's own logit, stays outside the tiles. With d_i = S_ii and
r_i = log sum_{j != i} exp(S_ij), row i's loss is softplus(r_i - d_i), and its gradient at S_ii is
-sigmoid(r_i - d_i): no "softmax minus one", which at a low loss is all rounding. One pass over the tiles
gives the r_i of rows and the k_j of columns.

Backward: off the diagonal dL/dS_ij = (exp(S_ij - lse_i) + exp(S_ij - lse_j)) / 2B =: W_ij / 2B, so
d anchor = s W positive / 2B, d positive = s W.T anchor / 2B and d log s = sum W * S / 2B, from tiles that are
computed a second time. With several positives per row (same_source="multipos") the target is the mean of its
positives' logits, which is s <anchor_i, mean positive of its label>: a table of label means, also outside the
tiles.

With several processes each holds B / world rows of both sides: see `univar.kernels.info_nce.exchange`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from univar.kernels.info_nce import tiles_torch
from univar.kernels.info_nce.block import Block, Tiles
from univar.kernels.info_nce.exchange import AllGather, RingExchange, SingleProcess, largest_norms
from univar.kernels.launch import on_device

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

GATHER_UP_TO_BYTES = 4 << 30


@dataclass(frozen=True)
class _Setup:
    tiles: Tiles
    processes: SingleProcess
    drop: bool
    multipos: bool
    symmetric: bool


def tiled_info_nce(
    anchor: Tensor,
    positive: Tensor,
    log_scale: Tensor,
    labels: Tensor | None,
    same_source: str,
    symmetric: bool,
    use_triton: bool,
    group: ProcessGroup | None,
    exchange: str,
) -> Tensor:
    """The loss () of `univar.info_nce`, whose arguments these are, by tiles in Triton or in torch."""
    processes = _processes(group, exchange, positive)
    setup = _Setup(_tiles(use_triton), processes, same_source == "drop", same_source == "multipos", symmetric)
    codes = None if labels is None else processes.gather(labels.long()).unique(return_inverse=True)[1].int()
    return _InfoNCE.apply(anchor, positive, log_scale, codes, setup)


def _tiles(use_triton: bool) -> Tiles:
    if use_triton:
        from univar.kernels.info_nce import tiles_triton

        return tiles_triton
    return tiles_torch


def _processes(group: ProcessGroup | None, exchange: str, positive: Tensor) -> SingleProcess:
    if group is None:
        return SingleProcess()
    if exchange == "auto":
        size_bytes = positive.numel() * positive.element_size() * group.size()
        exchange = "gather" if size_bytes <= GATHER_UP_TO_BYTES else "ring"
    return AllGather(group) if exchange == "gather" else RingExchange(group)


class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, positive: Tensor, log_scale: Tensor, codes: Tensor | None, setup: _Setup
    ) -> Tensor:
        """codes: (N,) int32, the labels of all processes as small numbers."""
        with torch.autocast(anchor.device.type, enabled=False):
            norms = torch.stack([_largest_norm(anchor), _largest_norm(positive)])
            norms = largest_norms(setup.processes, anchor, log_scale, norms)
            ctx.scale = float(log_scale.double().exp())
            ctx.bound = ctx.scale * float(norms.prod())
            block = _block(anchor, positive, codes, setup, ctx.scale, ctx.bound)
            with on_device(anchor.device):
                log_rows, log_cols = setup.processes.log_sums(setup.tiles, block)
            diagonal = _diagonal_logits(block)
            losses = F.softplus(log_rows - diagonal)
            if setup.symmetric:
                losses = (losses + F.softplus(log_cols - diagonal)) / 2
            ctx.save_for_backward(anchor, positive, log_scale, codes, log_rows, log_cols)
            ctx.setup = setup
            loss = losses.sum() / block.columns
            if setup.multipos and codes is not None:
                loss = loss + _FurtherPositives(block, codes, setup.processes).loss
            return setup.processes.sum(loss).to(block.accumulator)

    @staticmethod
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        anchor, positive, log_scale, codes, log_rows, log_cols = ctx.saved_tensors
        setup: _Setup = ctx.setup
        with torch.autocast(anchor.device.type, enabled=False):
            block = _block(anchor, positive, codes, setup, ctx.scale, ctx.bound)
            diagonal = _diagonal_logits(block)
            lse_rows = torch.logaddexp(log_rows, diagonal)
            lse_cols = torch.logaddexp(log_cols, diagonal) if setup.symmetric else None
            with on_device(anchor.device):
                off_diagonal = setup.processes.gradients(setup.tiles, block, lse_rows, lse_cols)
            d_diagonal = -torch.sigmoid(log_rows - diagonal)
            if setup.symmetric:
                d_diagonal -= torch.sigmoid(log_cols - diagonal)
            share = d_loss / (block.columns * (2 if setup.symmetric else 1))
            factor = share * block.scale
            weights = d_diagonal.to(block.accumulator)[:, None]
            d_anchor = off_diagonal.anchor.addcmul_(weights, block.positive).mul_(factor)
            d_positive = off_diagonal.positive.addcmul_(weights, block.anchor).mul_(factor)
            d_scale = share * (off_diagonal.dot + (d_diagonal * diagonal).sum())
            if setup.multipos:
                further = _FurtherPositives(block, codes, setup.processes)
                d_anchor.add_(d_loss * further.d_anchor)
                d_positive.add_(d_loss * further.d_positive)
                d_scale = d_scale + d_loss * further.loss
        return (
            d_anchor.to(anchor.dtype),
            d_positive.to(positive.dtype),
            d_scale.to(log_scale.dtype),
            None,
            None,
        )


class _FurtherPositives:
    """This process's part of mean_i (S_ii - mean of S_ij over i's positives j): `loss` and its gradients.

    Exactly 0 for a label with one pair.
    """

    def __init__(self, block: Block, codes: Tensor, processes: SingleProcess) -> None:
        counts = torch.bincount(codes)
        local = _local_part(codes, block, processes).long()
        share = (1 / counts[local]).to(block.accumulator)[:, None]

        def distance_to_label_mean(side: Tensor) -> Tensor:
            rows = side.to(block.accumulator)
            sums = rows.new_zeros(len(counts), rows.shape[1]).index_add_(0, local, rows)
            return torch.where(share == 1, 0, rows - processes.sum(sums)[local] * share)

        self.d_anchor = distance_to_label_mean(block.positive) * (block.scale / block.columns)
        self.d_positive = distance_to_label_mean(block.anchor) * (block.scale / block.columns)
        self.loss = (block.anchor.to(block.accumulator) * self.d_anchor).sum()


def _block(
    anchor: Tensor, positive: Tensor, codes: Tensor | None, setup: _Setup, scale: float, bound: float
) -> Block:
    """This process's rows against its own columns."""
    dtype = setup.tiles.operand_dtype(anchor)
    block = Block(
        anchor.detach().to(dtype).contiguous(),
        positive.detach().to(dtype).contiguous(),
        scale,
        bound,
        len(anchor) * setup.processes.world,
    )
    if codes is None or not setup.drop:
        return block
    local = _local_part(codes, block, setup.processes)
    return replace(block, row_labels=local, col_labels=local)


def _local_part(codes: Tensor, block: Block, processes: SingleProcess) -> Tensor:
    rows = len(block.anchor)
    return codes[processes.rank * rows : (processes.rank + 1) * rows]


def _diagonal_logits(block: Block) -> Tensor:
    """The logit of each of this process's pairs, (m,) float64."""
    return (block.anchor.to(block.accumulator) * block.positive).sum(dim=1, dtype=torch.float64) * block.scale


def _largest_norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=1, dtype=torch.promote_types(x.dtype, torch.float32)).max()
