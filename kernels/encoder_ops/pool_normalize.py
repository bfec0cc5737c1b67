"""One unit vector per packed text: the mean of its token states, or its first, divided by its length.

One program per text, sums in float32. Unlike torch.segment_reduce it never waits for the host, so it can be
part of a CUDA graph. A text may be empty (its row is 0): that pads to a graph's fixed number of texts.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from univar.errors import UsageError
from univar.kernels.checks import POOLINGS
from univar.kernels.launch import check_can_launch, check_same_device, on_device

ROWS = 16


@triton.jit
def pool_normalize_fwd_kernel(
    hidden_ptr,
    cu_seqlens_ptr,
    out_ptr,
    eps,
    D: tl.constexpr,
    FIRST_ONLY: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    text = tl.program_id(0).to(tl.int64)
    start, end = tl.load(cu_seqlens_ptr + text).to(tl.int64), tl.load(cu_seqlens_ptr + text + 1).to(tl.int64)
    if FIRST_ONLY:
        end = tl.minimum(end, start + 1)
    cols = tl.arange(0, BLOCK_D)
    total = tl.zeros((BLOCK_D,), tl.float32)
    row = start
    while row < end:
        offs = row + tl.arange(0, ROWS)
        mask = (offs < end)[:, None] & (cols < D)[None, :]
        tile = tl.load(hidden_ptr + offs[:, None] * D + cols[None, :], mask=mask, other=0.0)
        total += tl.sum(tile.to(tl.float32), 0)
        row += ROWS
    mean = total / tl.maximum((end - start).to(tl.float32), 1.0)
    length = tl.sqrt(tl.sum(mean * mean, 0))
    tl.store(out_ptr + text * D + cols, mean / tl.maximum(length, eps), mask=cols < D)


def pool_normalize(hidden: Tensor, cu_seqlens: Tensor, pooling: str = "mean", eps: float = 1e-12) -> Tensor:
    """As `univar.kernels.reference.pool_normalize`; an empty text gives a row of 0. No gradient.

    Raises UsageError where arguments don't fit together. The values of `cu_seqlens` are not checked.
    """
    _check(hidden, cu_seqlens, pooling)
    texts, dim = len(cu_seqlens) - 1, hidden.shape[1]
    out = torch.empty(texts, dim, dtype=torch.float32, device=hidden.device)
    if texts:
        with on_device(hidden.device):
            pool_normalize_fwd_kernel[(texts,)](
                hidden.contiguous(),
                cu_seqlens.contiguous(),
                out,
                eps,
                dim,
                pooling == "cls",
                ROWS,
                triton.next_power_of_2(dim),
            )
    return out


def _check(hidden: Tensor, cu_seqlens: Tensor, pooling: str) -> None:
    if pooling not in POOLINGS:
        raise UsageError(f"unknown pooling {pooling!r}: give one of {', '.join(POOLINGS)}")
    if hidden.ndim != 2 or not hidden.shape[1] or not hidden.is_floating_point():
        raise UsageError(
            f"hidden must be floating point (T, D), D at least 1, got {hidden.dtype} {tuple(hidden.shape)}"
        )
    if cu_seqlens.ndim != 1 or not len(cu_seqlens) or cu_seqlens.dtype not in (torch.int32, torch.int64):
        raise UsageError(
            f"cu_seqlens must be int32 or int64 (N + 1,), got {cu_seqlens.dtype} {tuple(cu_seqlens.shape)}"
        )
    check_same_device("hidden", hidden, cu_seqlens=cu_seqlens)
    check_can_launch("pool_normalize", hidden.device)
