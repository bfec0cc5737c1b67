"""Rotary position embedding of queries and keys in one pass, in place; in torch it is nine.

One program per token. Each pair (i, i + head_dim / 2) is turned by the token's angle, in float32 (RoFormer,
equation 34, with halves in place of neighbours).
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from univar.errors import UsageError
from univar.kernels.launch import check_can_launch, check_same_device, on_device


@triton.jit
def rotate_fwd_kernel(
    qkv_ptr,
    cos_ptr,
    sin_ptr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """qkv (T, 3, HEADS, 2 HALF), of which the first two parts change; cos, sin (T, HALF) float32."""
    token = tl.program_id(0).to(tl.int64)
    heads, dims = tl.arange(0, BLOCK_H)[:, None], tl.arange(0, BLOCK)[None, :]
    mask = (heads < 2 * HEADS) & (dims < HALF)
    cos = tl.load(cos_ptr + token * HALF + dims, mask=dims < HALF, other=0.0)
    sin = tl.load(sin_ptr + token * HALF + dims, mask=dims < HALF, other=0.0)
    at = qkv_ptr + token * (6 * HEADS * HALF) + heads * (2 * HALF) + dims
    left = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    right = tl.load(at + HALF, mask=mask, other=0.0).to(tl.float32)
    tl.store(at, (left * cos - right * sin).to(qkv_ptr.dtype.element_ty), mask=mask)
    tl.store(at + HALF, (right * cos + left * sin).to(qkv_ptr.dtype.element_ty), mask=mask)


def rotate(qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn queries and keys of qkv (T, 3, heads, head_dim) in place; returns it. No gradient.

    qkv: floating point, contiguous, head_dim even; cos, sin: T x head_dim / 2 values, float32
    Raises UsageError where arguments don't fit together.
    """
    if qkv.ndim != 4 or qkv.shape[1] != 3 or qkv.shape[3] % 2 or not qkv.is_contiguous():
        raise UsageError(
            f"qkv must be contiguous (T, 3, heads, head_dim), head_dim even, got {tuple(qkv.shape)}"
        )
    tokens, _, heads, head_dim = qkv.shape
    half = head_dim // 2
    if not cos.numel() == sin.numel() == tokens * half:
        raise UsageError(f"cos and sin must have {tokens} x {half} values, got {cos.numel()}, {sin.numel()}")
    check_same_device("qkv", qkv, cos=cos, sin=sin)
    check_can_launch("rotate", qkv.device)
    if tokens:
        blocks = triton.next_power_of_2(2 * heads), triton.next_power_of_2(half)
        with on_device(qkv.device):
            rotate_fwd_kernel[(tokens,)](qkv, cos.contiguous(), sin.contiguous(), heads, half, *blocks)
    return qkv
