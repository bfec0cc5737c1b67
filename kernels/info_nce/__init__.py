"""Symmetric contrastive loss (InfoNCE) over B pairs without ever writing the B x B matrix of logits.

S = s * anchor @ positive.T with s = exp(log_scale). Row i's target is column i, and the other way round.

Own logits stay outside the tiles. With d_i = S_ii and r_i = log sum_{j != i} exp(S_ij), row i's loss is
softplus(r_i - d_i), and its gradient at S_ii is -sigmoid(r_i - d_i): no "softmax minus one", which at a low
loss is all rounding. Tiles give the r_i of rows and the k_j of columns in one pass.

Backward: off the diagonal dL/dS_ij = (exp(S_ij - lse_i) + exp(S_ij - lse_j)) / 2B =: W_ij / 2B, so
d anchor = s W positive / 2B, d positive = s W.T anchor / 2B and d log s = sum W * S / 2B, from tiles that are
made a second time. With several positives per row (same_source="multipos") the target is the mean of
its positives' logits, which is s <anchor_i, mean positive of its label>: a table of label means, outside the
tiles too.

Across processes each holds B / world rows of both sides: see `univar.kernels.info_nce.exchange`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from univar.errors import UsageError
from univar.kernels import reference
from univar.kernels.info_nce import tiles_torch
from univar.kernels.info_nce.block import Block, Tiles
from univar.kernels.info_nce.exchange import Alone, Gathered, Ring, agree
from univar.kernels.launch import NEEDS, can_launch, refuse_other_devices

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

SameSource = Literal["negatives", "drop", "multipos"]
Impl = Literal["auto", "triton", "chunked", "dense"]
Exchange = Literal["auto", "gather", "ring"]
SAME_SOURCE = ("negatives", "drop", "multipos")
IMPLS = ("auto", "triton", "chunked", "dense")
EXCHANGES = ("auto", "gather", "ring")
DENSE_UP_TO, DENSE_UP_TO_ON_CUDA = 512, 4096
GATHER_UP_TO_BYTES = 4 << 30


def info_nce(
    anchor: Tensor,
    positive: Tensor,
    *,
    log_scale: Tensor | float,
    labels: Tensor | None = None,
    same_source: SameSource = "negatives",
    symmetric: bool = True,
    impl: Impl = "auto",
    group: ProcessGroup | None = None,
    exchange: Exchange = "auto",
) -> Tensor:
    """The mean loss of telling each pair from the batch's other pairs; () float32, differentiable.

    anchor, positive: (B, D) float32, bfloat16, float16 or float64, row i of both is a pair. Embeddings of
                 length 1 are meant, others work. Matrix products are made in this dtype where it is fast, in
                 float32 elsewhere; autocast has no effect.
    log_scale:   () log(1 / temperature), a parameter to be learned or a number; logits are exp(log_scale) *
                 anchor @ positive.T
    labels:      (B,) integers, the source of each pair; needed by "drop" and "multipos"
    same_source: what other pairs of a row's own source are: "negatives" like all others, "drop": neither
                 negative nor positive, "multipos": further positives, each with an equal share
    symmetric:   mean of both directions; False: anchor to positive only
    impl:        "dense" writes the B x B matrix, "chunked" (torch) and "triton" (CUDA) never do, "auto" takes
                 the fastest here
    group:       processes whose rows are one batch, each with equally many. Each gets the loss of the whole
                 batch; the *sum* of their gradients is that of one process. Where gradients are averaged over
                 processes, as DistributedDataParallel does, multiply the loss by their number, once.
    exchange:    "gather" brings all positives to each process, "ring" passes blocks of them around, "auto"
                 gathers up to 4 GiB
    Raises UsageError where arguments don't fit together.
    """
    scale = log_scale if isinstance(log_scale, Tensor) else torch.tensor(log_scale, device=anchor.device)
    _check(anchor, positive, scale, labels, same_source)
    for name, value, known in (("impl", impl, IMPLS), ("exchange", exchange, EXCHANGES)):
        if value not in known:
            raise UsageError(f"unknown {name} {value!r}: give one of {', '.join(known)}")
    if same_source == "negatives":
        labels = None
    chosen = _choose(impl, anchor, group)
    if chosen == "dense":
        return reference.info_nce(anchor, positive, scale, labels, same_source, symmetric)
    team = _team(group, exchange, positive)
    plan = _Plan(_tiles(chosen), team, same_source == "drop", same_source == "multipos", symmetric)
    codes = None if labels is None else team.gather(labels.long()).unique(return_inverse=True)[1].int()
    return _InfoNCE.apply(anchor, positive, scale, codes, plan)


@dataclass(frozen=True)
class _Plan:
    tiles: Tiles
    team: Alone
    drop: bool
    multipos: bool
    symmetric: bool


class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, positive: Tensor, log_scale: Tensor, codes: Tensor | None, plan: _Plan
    ) -> Tensor:
        """codes: (N,) int32, the labels of all processes as small numbers."""
        with torch.autocast(anchor.device.type, enabled=False):
            longest = agree(plan.team, anchor, log_scale, torch.stack([_longest(anchor), _longest(positive)]))
            ctx.scale = float(log_scale.double().exp())
            ctx.bound = ctx.scale * float(longest.prod())
            block = _block(anchor, positive, codes, plan, ctx.scale, ctx.bound)
            log_rows, log_cols = plan.team.log_sums(plan.tiles, block)
            own = _own_logits(block)
            losses = F.softplus(log_rows - own)
            if plan.symmetric:
                losses = (losses + F.softplus(log_cols - own)) / 2
            ctx.save_for_backward(anchor, positive, log_scale, codes, log_rows, log_cols)
            ctx.plan = plan
            loss = losses.sum() / block.columns
            if plan.multipos and codes is not None:
                loss = loss + _Positives(block, codes, plan.team).loss
            return plan.team.sum(loss).to(block.accumulator)

    @staticmethod
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        anchor, positive, log_scale, codes, log_rows, log_cols = ctx.saved_tensors
        plan: _Plan = ctx.plan
        with torch.autocast(anchor.device.type, enabled=False):
            block = _block(anchor, positive, codes, plan, ctx.scale, ctx.bound)
            own = _own_logits(block)
            lse_rows = torch.logaddexp(log_rows, own)
            lse_cols = torch.logaddexp(log_cols, own) if plan.symmetric else None
            made = plan.team.gradients(plan.tiles, block, lse_rows, lse_cols)
            at_own = -torch.sigmoid(log_rows - own)
            if plan.symmetric:
                at_own -= torch.sigmoid(log_cols - own)
            share = d_loss / (block.columns * (2 if plan.symmetric else 1))
            factor = share * block.scale
            weights = at_own.to(block.accumulator)[:, None]
            d_anchor = made.anchor.addcmul_(weights, block.positive).mul_(factor)
            d_positive = made.positive.addcmul_(weights, block.anchor).mul_(factor)
            d_scale = share * (made.dot + (at_own * own).sum())
            if plan.multipos:
                positives = _Positives(block, codes, plan.team)
                d_anchor.add_(d_loss * positives.d_anchor)
                d_positive.add_(d_loss * positives.d_positive)
                d_scale = d_scale + d_loss * positives.loss
        return (
            d_anchor.to(anchor.dtype),
            d_positive.to(positive.dtype),
            d_scale.to(log_scale.dtype),
            None,
            None,
        )


class _Positives:
    """The own rows' part of mean_i (S_ii - mean of S_ij over i's positives j): `loss` and its gradients.

    Exactly 0 where a label has one pair.
    """

    def __init__(self, block: Block, codes: Tensor, team: Alone) -> None:
        counts = torch.bincount(codes)
        own = _own_part(codes, block, team).long()
        share = (1 / counts[own]).to(block.accumulator)[:, None]

        def from_own_to_mean(side: Tensor) -> Tensor:
            rows = side.to(block.accumulator)
            sums = rows.new_zeros(len(counts), rows.shape[1]).index_add_(0, own, rows)
            return torch.where(share == 1, 0, rows - team.sum(sums)[own] * share)

        self.d_anchor = from_own_to_mean(block.positive) * (block.scale / block.columns)
        self.d_positive = from_own_to_mean(block.anchor) * (block.scale / block.columns)
        self.loss = (block.anchor.to(block.accumulator) * self.d_anchor).sum()


def _block(
    anchor: Tensor, positive: Tensor, codes: Tensor | None, plan: _Plan, scale: float, bound: float
) -> Block:
    """The own rows against the own columns."""
    dtype = plan.tiles.operand_dtype(anchor)
    block = Block(
        anchor.detach().to(dtype).contiguous(),
        positive.detach().to(dtype).contiguous(),
        scale,
        bound,
        len(anchor) * plan.team.world,
    )
    if codes is None or not plan.drop:
        return block
    own = _own_part(codes, block, plan.team)
    return replace(block, row_labels=own, col_labels=own)


def _own_part(codes: Tensor, block: Block, team: Alone) -> Tensor:
    rows = len(block.anchor)
    return codes[team.rank * rows : (team.rank + 1) * rows]


def _own_logits(block: Block) -> Tensor:
    """The logit of each own pair, (m,) float64."""
    return (block.anchor.to(block.accumulator) * block.positive).sum(dim=1, dtype=torch.float64) * block.scale


def _longest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=1, dtype=torch.promote_types(x.dtype, torch.float32)).max()


def _choose(impl: Impl, anchor: Tensor, group: ProcessGroup | None) -> str:
    """The implementation to run: "triton", "chunked" or "dense"."""
    if impl == "dense" and group is not None:
        raise UsageError("impl='dense' knows one process only: leave it out where a group is given")
    if impl == "triton" and not can_launch(anchor.device):
        raise UsageError(f"impl='triton' {NEEDS}: give 'chunked' or 'auto'")
    if impl != "auto":
        return impl
    if group is None and len(anchor) <= (DENSE_UP_TO_ON_CUDA if anchor.is_cuda else DENSE_UP_TO):
        return "dense"
    is_fast = anchor.is_cuda and anchor.dtype != torch.float64 and can_launch(anchor.device)
    return "triton" if is_fast else "chunked"


def _tiles(impl: str) -> Tiles:
    if impl == "triton":
        from univar.kernels.info_nce import tiles_triton

        return tiles_triton
    return tiles_torch


def _team(group: ProcessGroup | None, exchange: Exchange, positive: Tensor) -> Alone:
    if group is None:
        return Alone()
    if exchange == "auto":
        size_bytes = positive.numel() * positive.element_size() * group.size()
        exchange = "gather" if size_bytes <= GATHER_UP_TO_BYTES else "ring"
    return Gathered(group) if exchange == "gather" else Ring(group)


def _check(
    anchor: Tensor, positive: Tensor, log_scale: Tensor, labels: Tensor | None, same_source: str
) -> None:
    """Raise UsageError where arguments don't fit together."""
    if same_source not in SAME_SOURCE:
        raise UsageError(f"unknown same_source {same_source!r}: give one of {', '.join(SAME_SOURCE)}")
    if anchor.ndim != 2 or anchor.shape != positive.shape or 0 in anchor.shape:
        raise UsageError(
            "anchor and positive must be (B, D), one row a pair, B and D at least 1, got "
            f"{tuple(anchor.shape)} and {tuple(positive.shape)}"
        )
    if not anchor.is_floating_point() or anchor.dtype != positive.dtype:
        raise UsageError(
            f"anchor and positive must have one floating point dtype, got {anchor.dtype} and {positive.dtype}"
        )
    if log_scale.ndim != 0:
        raise UsageError(f"log_scale must be one number, got a tensor of shape {tuple(log_scale.shape)}")
    refuse_other_devices("anchor", anchor, positive=positive, log_scale=log_scale, labels=labels)
    if same_source == "negatives":
        return
    if labels is None:
        raise UsageError(f"same_source={same_source!r} needs labels, the source of each pair")
    if labels.shape != anchor.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise UsageError(
            f"labels must be {len(anchor)} integers, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
