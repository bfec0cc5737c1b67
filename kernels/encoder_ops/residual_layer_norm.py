"""layer_norm(x + residual) in one pass: both are read once, the result is written once, over x.

torch's two calls write and read the sum in between. One program per row, sums in float32.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from univar.errors import UsageError
from univar.kernels.launch import check_can_launch, check_same_device, on_device


@triton.jit
def residual_layer_norm_fwd_kernel(
    x_ptr, residual_ptr, weight_ptr, bias_ptr, eps, D: tl.constexpr, BLOCK_D: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK_D)
    mask = cols < D
    x = tl.load(x_ptr + row * D + cols, mask=mask, other=0.0).to(tl.float32)
    x += tl.load(residual_ptr + row * D + cols, mask=mask, other=0.0).to(tl.float32)
    centred = tl.where(mask, x - tl.sum(x, 0) / D, 0.0)
    scaled = centred * tl.rsqrt(tl.sum(centred * centred, 0) / D + eps)
    weight = tl.load(weight_ptr + cols, mask=mask, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + cols, mask=mask, other=0.0).to(tl.float32)
    tl.store(x_ptr + row * D + cols, (scaled * weight + bias).to(x_ptr.dtype.element_ty), mask=mask)


def warps(dim: int) -> int:
    """One warp reads 16 bytes a thread and waits for no other, as long as a row fits into its registers."""
    return 1 if dim <= 1024 else 4


def residual_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """layer_norm(x + residual) * weight + bias, written over x. No gradient.

    x, residual: (T, D) of one floating point dtype, x contiguous; weight, bias: (D,) floating point
    Raises UsageError where arguments don't fit together.
    """
    _check(x, residual, weight, bias)
    if len(x):
        dim = x.shape[1]
        vectors = residual.contiguous(), weight.contiguous(), bias.contiguous()
        with on_device(x.device):
            residual_layer_norm_fwd_kernel[(len(x),)](
                x, *vectors, eps, dim, triton.next_power_of_2(dim), num_warps=warps(dim)
            )
    return x


def _check(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> None:
    if (
        x.ndim != 2
        or residual.shape != x.shape
        or not weight.shape == bias.shape == x.shape[1:]
        or not x.shape[1]
    ):
        raise UsageError(
            "x and residual must be (T, D), weight and bias (D,), D at least 1, got "
            f"{', '.join(str(tuple(t.shape)) for t in (x, residual, weight, bias))}"
        )
    if not x.is_floating_point() or residual.dtype != x.dtype:
        raise UsageError(
            f"x and residual must have one floating point dtype, got {x.dtype}, {residual.dtype}"
        )
    if not x.is_contiguous():
        raise UsageError("x must be contiguous, since the result is written over it: give x.contiguous()")
    check_same_device("x", x, residual=residual, weight=weight, bias=bias)
    check_can_launch("residual_layer_norm", x.device)
