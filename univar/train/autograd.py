"""Linear layers and attention over packed texts with their backward passes.

In bf16, on a CPU that multiplies bf16 fast, attention and the gradients of a linear layer by weight and bias
are calls of C++; elsewhere they are torch's operations. On AMX torch's own bf16 product of that shape,
d_out^T x, takes more than twice as long as the other two of a layer, and on every CPU it rounds its sums over
all tokens to bf16; in C++ they stay float32.

On CUDA in bf16 or fp16 attention is one kernel over all texts, forward and backward (torch's varlen_attn).

Attention: O = softmax(Q K^T / sqrt(d)) V for each text and head. Backward, with P the weights and G = dO:
dV = P^T G, dS = P * (G V^T - rowsum(G * O)), dQ = dS K / sqrt(d), dK = dS^T Q / sqrt(d). Only qkv, O and (in
C++) the logarithm of each row's sum are kept. Weights are computed again, a few texts at a time, so that they
stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from univar import _native
from univar.encoder.forward_torch import attended_groups, sdpa_groups, varlen
from univar.encoder.packing import Layout
from univar.runtime import bf16_isa, choose_attention

_PANEL = 32
"""Widths must be multiples of this for C++."""

_BLOCK_SCORES = 96 * 1024
"""Largest number of scores of one head in a block of texts: with a dozen heads a few megabytes."""


def native_isa(x: Tensor) -> str | None:
    """The instruction set with which C++ computes on x: for bf16 on a CPU that is fast at it, else None."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return bf16_isa() if on_cpu else None


def bits(x: Tensor) -> np.ndarray:
    """The 16 bits of each value of x, bf16, which NumPy does not have."""
    return x.detach().contiguous().view(torch.uint16).numpy()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (T, in), weight (out, in) and bias (out,) float32 -> (T, out) in x's dtype; differentiable once."""
    isa = native_isa(x)
    if bias is not None and isa is not None and all(width % _PANEL == 0 for width in weight.shape):
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


def packed_attention(qkv: Tensor, layout: Layout) -> Tensor:
    """qkv: (rows, 3, heads, head_dim) -> (rows, dim), 0 after the last token; differentiable once."""
    if runs_varlen(qkv):
        return _varlen_attention(qkv, layout)
    isa = native_isa(qkv)
    if isa is not None and qkv.shape[3] % _PANEL == 0:
        return _NativeAttention.apply(qkv, layout, isa)
    return _PackedAttention.apply(qkv, layout)


def runs_varlen(qkv: Tensor) -> bool:
    """Whether one kernel over all texts, forward and backward, takes qkv: on CUDA in bf16 or fp16."""
    if not qkv.is_cuda or qkv.dtype == torch.float32:
        return False
    dtype = "bf16" if qkv.dtype == torch.bfloat16 else "fp16"
    return choose_attention(str(qkv.device), dtype, qkv.shape[3]).chosen == "varlen"


def _varlen_attention(qkv: Tensor, layout: Layout) -> Tensor:
    """Only the tokens enter the kernel: it leaves rows after the last one unset, forward and backward."""
    out = varlen(qkv[: layout.tokens], layout)
    return F.pad(out, (0, 0, 0, len(qkv) - layout.tokens))


def biased_attention(qkv: Tensor, layout: Layout, bias: Callable[[int], Tensor]) -> Tensor:
    """`packed_attention` with MPNet's bias by distance, with torch's own gradients.

    bias: tokens L -> (heads, L, L)
    """
    parts = [part.flatten(2).flatten(0, 1) for part in attended_groups(qkv, layout, bias)]
    return torch.cat([*parts, qkv.new_zeros(len(qkv) - layout.tokens, qkv[0, 0].numel())])


class _NativeAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, layout: Layout, isa: str) -> Tensor:
        out, log_sums = _native.attention(bits(qkv), layout.cu_seqlens, isa)
        ctx.saved = qkv.detach(), layout.cu_seqlens, out, log_sums, isa
        return torch.from_numpy(out).view(torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        qkv, cu_seqlens, out, log_sums, isa = ctx.saved
        d_qkv = _native.attention_gradient(bits(qkv), cu_seqlens, out, log_sums, bits(grads[0]), isa)
        return torch.from_numpy(d_qkv).view(torch.bfloat16), None, None


class _PackedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, layout: Layout) -> Tensor:
        out = sdpa_groups(qkv, layout)
        ctx.save_for_backward(qkv, out)
        ctx.layout = layout
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        qkv, out = ctx.saved_tensors
        _, _, heads, head_dim = qkv.shape
        d_qkv = torch.empty_like(qkv)
        d_qkv[ctx.layout.tokens :] = 0
        for first, texts, length in _blocks(ctx.layout):
            span, shape = slice(first, first + texts * length), (texts, length, heads, head_dim)

            def by_head(x: Tensor, shape: tuple[int, ...] = shape) -> Tensor:
                return x.reshape(shape).transpose(1, 2).reshape(-1, shape[1], shape[3])

            q, k, v = (by_head(qkv[span, part]) for part in range(3))
            grad, o = by_head(grads[0][span]), by_head(out[span])
            q = q / math.sqrt(head_dim)
            p = torch.softmax(torch.bmm(q, k.transpose(1, 2)), -1)
            inner = (grad * o).sum(-1, keepdim=True)
            ds = torch.bmm(grad, v.transpose(1, 2)).sub_(inner).mul_(p)
            parts = (torch.bmm(ds, k).div_(math.sqrt(head_dim)), torch.bmm(ds.transpose(1, 2), q))
            for part, gradient in enumerate((*parts, torch.bmm(p.transpose(1, 2), grad))):
                target = d_qkv[span, part].view(shape)
                target.copy_(gradient.view(texts, heads, length, head_dim).transpose(1, 2))
        return d_qkv, None


def _blocks(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """(first token, texts, tokens of each): runs of equally long texts, cut to fit the cache."""
    for first, texts, length in layout.groups:
        step = max(1, _BLOCK_SCORES // length**2)
        for done in range(0, texts, step):
            yield first + done * length, min(step, texts - done), length
