"""value * silu(gate) in one pass: both halves are read once, the product is written once; float32 between."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from univar.errors import UsageError
from univar.kernels.launch import check_can_launch, on_device

BLOCK = 1024


@triton.jit
def swiglu_fwd_kernel(hidden_ptr, out_ptr, F: tl.constexpr, BLOCK_F: tl.constexpr):
    """hidden (T, 2 F): the value, then the gate; out (T, F)."""
    blocks: tl.constexpr = (F + BLOCK_F - 1) // BLOCK_F
    row = (tl.program_id(0) // blocks).to(tl.int64)
    cols = tl.program_id(0) % blocks * BLOCK_F + tl.arange(0, BLOCK_F)
    mask = cols < F
    value = tl.load(hidden_ptr + row * 2 * F + cols, mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(hidden_ptr + row * 2 * F + F + cols, mask=mask, other=0.0).to(tl.float32)
    out = value * gate / (1.0 + tl.exp(-gate))
    tl.store(out_ptr + row * F + cols, out.to(out_ptr.dtype.element_ty), mask=mask)


def swiglu(hidden: Tensor) -> Tensor:
    """hidden (T, 2 F) floating point, the value and then the gate -> (T, F) in its dtype. No gradient.

    Raises UsageError for another shape.
    """
    if hidden.ndim != 2 or hidden.shape[1] % 2 or not hidden.shape[1] or not hidden.is_floating_point():
        raise UsageError(f"hidden must be floating point (T, 2 F), got {hidden.dtype} {tuple(hidden.shape)}")
    check_can_launch("swiglu", hidden.device)
    (tokens, width), hidden = hidden.shape, hidden.contiguous()
    out = torch.empty(tokens, width // 2, dtype=hidden.dtype, device=hidden.device)
    if tokens:
        with on_device(hidden.device):
            swiglu_fwd_kernel[(tokens * triton.cdiv(width // 2, BLOCK),)](hidden, out, width // 2, BLOCK)
    return out
