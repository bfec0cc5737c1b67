"""A linear layer with its backward. In bf16 the gradients by weight and bias are one call of C++.

On AMX torch's own bf16 product of that shape, d_out^T x, takes more than twice as long as the other two of a
layer, and everywhere its sums over all tokens come out rounded to bf16; here they stay float32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from univar import _native
from univar.train.native_bf16 import PANEL, bits, training_isa


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (T, in), weight (out, in) and bias (out,) float32 -> (T, out) in x's dtype; differentiable once."""
    isa = training_isa(x)
    if bias is not None and isa is not None and all(width % PANEL == 0 for width in weight.shape):
        return _NativeLinear.apply(x, weight, bias, isa)
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


class _NativeLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, isa: str) -> Tensor:
        rounded = weight.to(x.dtype)
        ctx.isa = isa
        ctx.save_for_backward(x, rounded)
        return F.linear(x, rounded, bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        d_x = grads[0] @ weight if ctx.needs_input_grad[0] else None
        if not any(ctx.needs_input_grad[1:]):
            return d_x, None, None, None
        d_weight, d_bias = torch.empty(weight.shape), torch.empty(len(weight))
        _native.linear_gradient(bits(x), bits(grads[0]), d_weight.numpy(), d_bias.numpy(), ctx.isa)
        return d_x, d_weight, d_bias, None
