"""Contrastive loss (InfoNCE) over B pairs: its one function, its arguments, and which implementation runs.

Small batches write the B x B matrix of logits (`univar.kernels.reference.info_nce`); all others go through it
tile by tile (`univar.kernels.info_nce.tiled`, which has the mathematics).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from univar.errors import UsageError
from univar.kernels import reference
from univar.kernels.launch import NEEDS, can_launch, check_same_device

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

SameSource = Literal["negatives", "drop", "multipos"]
Impl = Literal["auto", "triton", "chunked", "dense"]
Exchange = Literal["auto", "gather", "ring"]
SAME_SOURCE = ("negatives", "drop", "multipos")
IMPLS = ("auto", "triton", "chunked", "dense")
EXCHANGES = ("auto", "gather", "ring")
DENSE_UP_TO, DENSE_UP_TO_ON_CUDA = 512, 4096


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
    """The mean loss of telling each pair from the other pairs of the batch; () float32, differentiable.

    anchor, positive: (B, D) float32, bfloat16, float16 or float64; row i of both is a pair. Embeddings of
                 length 1 are expected, others work. Matrix products use this dtype where it is fast, float32
                 elsewhere; autocast around the call has no effect.
    log_scale:   () log(1 / temperature), a parameter or a number; logits are exp(log_scale) * anchor @
                 positive.T
    labels:      (B,) integers, the source of each pair; needed by "drop" and "multipos"
    same_source: how other pairs of a row's own source count: "negatives" like all others, "drop" not at all,
                 "multipos" as further positives, each with an equal share
    symmetric:   mean of both directions; False: anchor to positive only
    impl:        "dense" writes the B x B matrix; "chunked" (torch) and "triton" (CUDA) never do; "auto" takes
                 the fastest one here
    group:       processes whose rows form one batch, equally many each. Every process gets the loss of the
                 whole batch; the *sum* of their gradients equals that of one process. Where gradients are
                 averaged over processes, as DistributedDataParallel does, multiply the loss by their number.
    exchange:    "gather" brings all positives to every process, "ring" passes blocks of them around, "auto"
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
        with torch.autocast(anchor.device.type, enabled=False):
            return reference.info_nce(anchor, positive, scale, labels, same_source, symmetric)
    from univar.kernels.info_nce.tiled import tiled_info_nce

    return tiled_info_nce(
        anchor, positive, scale, labels, same_source, symmetric, chosen == "triton", group, exchange
    )


def _choose(impl: Impl, anchor: Tensor, group: ProcessGroup | None) -> str:
    """The implementation to run: "triton", "chunked" or "dense"."""
    if impl == "dense" and group is not None:
        raise UsageError("impl='dense' works in one process only: leave it out where a group is given")
    if impl == "triton" and not can_launch(anchor.device):
        raise UsageError(f"impl='triton' {NEEDS}: give 'chunked' or 'auto'")
    if impl != "auto":
        return impl
    if group is None and len(anchor) <= (DENSE_UP_TO_ON_CUDA if anchor.is_cuda else DENSE_UP_TO):
        return "dense"
    is_fast = anchor.is_cuda and anchor.dtype != torch.float64 and can_launch(anchor.device)
    return "triton" if is_fast else "chunked"


def _check(
    anchor: Tensor, positive: Tensor, log_scale: Tensor, labels: Tensor | None, same_source: str
) -> None:
    """Raise UsageError where arguments don't fit together."""
    if same_source not in SAME_SOURCE:
        raise UsageError(f"unknown same_source {same_source!r}: give one of {', '.join(SAME_SOURCE)}")
    if anchor.ndim != 2 or anchor.shape != positive.shape or 0 in anchor.shape:
        raise UsageError(
            "anchor and positive must be (B, D), one row per pair, B and D at least 1, got "
            f"{tuple(anchor.shape)} and {tuple(positive.shape)}"
        )
    if not anchor.is_floating_point() or anchor.dtype != positive.dtype:
        raise UsageError(
            f"anchor and positive must have one floating point dtype, got {anchor.dtype} and {positive.dtype}"
        )
    if log_scale.ndim != 0:
        raise UsageError(f"log_scale must be one number, got a tensor of shape {tuple(log_scale.shape)}")
    check_same_device("anchor", anchor, positive=positive, log_scale=log_scale, labels=labels)
    if same_source == "negatives":
        return
    if labels is None:
        raise UsageError(f"same_source={same_source!r} needs labels, the source of each pair")
    if labels.shape != anchor.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise UsageError(
            f"labels must be {len(anchor)} integers, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
