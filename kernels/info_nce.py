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

Across processes each holds B / world rows of both sides: see `univar.kernels.info_nce_ranks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from univar.kernels import info_nce_torch, reference
from univar.kernels.info_nce_block import Block

from univar.errors import UsageError

SameSource = Literal["negatives", "drop", "multipos"]
Impl = Literal["auto", "triton", "chunked", "dense"]
SAME_SOURCE = ("negatives", "drop", "multipos")
IMPLS = ("auto", "triton", "chunked", "dense")
DENSE_UP_TO = 2048


def info_nce(
    anchor: Tensor,
    positive: Tensor,
    *,
    log_scale: Tensor | float,
    labels: Tensor | None = None,
    same_source: SameSource = "negatives",
    symmetric: bool = True,
    impl: Impl = "auto",
) -> Tensor:
    """The mean loss of telling each pair from the batch's other pairs; () float32, differentiable.

    anchor, positive: (B, D) float32, bfloat16, float16 or float64, row i of both is a pair. Embeddings of
                 length 1 are meant, others work. Matrix products are made in this dtype.
    log_scale:   () log(1 / temperature), a parameter to be learned or a number; logits are exp(log_scale) *
                 anchor @ positive.T
    labels:      (B,) integers, the source of each pair; needed by "drop" and "multipos"
    same_source: what other pairs of a row's own source are: "negatives" like all others, "drop": neither
                 negative nor positive, "multipos": further positives, each with an equal share
    symmetric:   mean of both directions; False: anchor to positive only
    impl:        "dense" writes the B x B matrix, "chunked" never does, "auto" takes the faster one
    Raises UsageError where arguments don't fit together.
    """
    scale = log_scale if isinstance(log_scale, Tensor) else torch.tensor(log_scale, device=anchor.device)
    _check(anchor, positive, scale, labels, same_source, impl)
    if same_source == "negatives":
        labels = None
    if _choose(impl, anchor) == "dense":
        return reference.info_nce(anchor, positive, scale, labels, same_source, symmetric)
    options = _Options(same_source == "drop", same_source == "multipos", symmetric)
    codes = None if labels is None else labels.unique(return_inverse=True)[1].to(torch.int32)
    return _InfoNCE.apply(anchor, positive, scale, codes, options)


@dataclass(frozen=True)
class _Options:
    drop: bool
    multipos: bool
    symmetric: bool


class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchor: Tensor,
        positive: Tensor,
        log_scale: Tensor,
        labels: Tensor | None,
        options: _Options,
    ) -> Tensor:
        with torch.autocast(anchor.device.type, enabled=False):
            block = _block(anchor, positive, log_scale, labels, options)
            own = block.scale * (anchor.to(block.accumulator) * positive.to(block.accumulator)).sum(1)
            log_rows, log_cols = info_nce_torch.log_sums(block)
            losses = F.softplus(log_rows - own)
            if options.symmetric:
                losses = (losses + F.softplus(log_cols - own)) / 2
            ctx.save_for_backward(anchor, positive, log_scale, labels, own, log_rows, log_cols)
            ctx.block, ctx.options = block, options
            loss = losses.mean()
            if options.multipos:
                loss = loss + _positives(block, labels).loss
            return loss

    @staticmethod
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        anchor, positive, log_scale, labels, own, log_rows, log_cols = ctx.saved_tensors
        block, options = ctx.block, ctx.options
        with torch.autocast(anchor.device.type, enabled=False):
            lse_rows = torch.logaddexp(log_rows, own)
            lse_cols = torch.logaddexp(log_cols, own) if options.symmetric else None
            made = info_nce_torch.gradients(block, lse_rows, lse_cols)
            at_own = -torch.sigmoid(log_rows - own)
            if options.symmetric:
                at_own = at_own - torch.sigmoid(log_cols - own)
            share = d_loss / (len(own) * (2 if options.symmetric else 1))
            factor = share * block.scale
            d_anchor = made.anchor.addcmul_(at_own[:, None], positive.to(block.accumulator)).mul_(factor)
            d_positive = made.positive.addcmul_(at_own[:, None], anchor.to(block.accumulator)).mul_(factor)
            d_scale = share * (made.dot + (at_own * own).sum(dtype=torch.float64))
            if options.multipos:
                positives = _positives(block, labels)
                d_anchor += d_loss * positives.d_anchor
                d_positive += d_loss * positives.d_positive
                d_scale = d_scale + d_loss * positives.loss
        return (
            d_anchor.to(anchor.dtype),
            d_positive.to(positive.dtype),
            d_scale.to(log_scale.dtype),
            None,
            None,
        )


@dataclass(frozen=True)
class _Positives:
    loss: Tensor
    d_anchor: Tensor
    d_positive: Tensor


def _positives(block: Block, labels: Tensor) -> _Positives:
    """mean_i (S_ii - mean of S_ij over i's positives j) and its gradients; exactly 0 for a label of one."""
    anchor, positive = block.anchor.to(block.accumulator), block.positive.to(block.accumulator)
    codes = labels.long()
    counts = torch.bincount(codes)
    share = (1 / counts[codes]).to(block.accumulator)[:, None]

    def from_own_to_mean(x: Tensor) -> Tensor:
        sums = torch.zeros(len(counts), x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, codes, x)
        return torch.where(share == 1, 0, x - sums[codes] * share)

    d_anchor = from_own_to_mean(positive) * (block.scale / len(anchor))
    d_positive = from_own_to_mean(anchor) * (block.scale / len(anchor))
    return _Positives((anchor * d_anchor).sum(), d_anchor, d_positive)


def _block(
    anchor: Tensor, positive: Tensor, log_scale: Tensor, labels: Tensor | None, options: _Options
) -> Block:
    scale = math.exp(float(log_scale))
    bound = scale * float(_longest(anchor) * _longest(positive))
    masked = labels if options.drop else None
    return Block(anchor, positive, scale, bound, len(anchor), 0, masked, masked)


def _longest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=1, dtype=torch.promote_types(x.dtype, torch.float32)).max()


def _choose(impl: Impl, anchor: Tensor) -> str:
    if impl != "auto":
        return impl
    return "dense" if len(anchor) <= DENSE_UP_TO else "chunked"


def _check(
    anchor: Tensor, positive: Tensor, log_scale: Tensor, labels: Tensor | None, same_source: str, impl: str
) -> None:
    """Raise UsageError where arguments don't fit together."""
    if same_source not in SAME_SOURCE:
        raise UsageError(f"unknown same_source {same_source!r}: give one of {', '.join(SAME_SOURCE)}")
    if impl not in IMPLS:
        raise UsageError(f"unknown impl {impl!r}: give one of {', '.join(IMPLS)}")
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
    others = {"positive": positive} if labels is None else {"positive": positive, "labels": labels}
    for name, tensor in others.items():
        if tensor.device != anchor.device:
            raise UsageError(f"anchor is on {anchor.device}, {name} on {tensor.device}: move one of them")
    if same_source == "negatives":
        return
    if labels is None:
        raise UsageError(f"same_source={same_source!r} needs labels, the source of each pair")
    if labels.shape != anchor.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise UsageError(
            f"labels must be {len(anchor)} integers, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
