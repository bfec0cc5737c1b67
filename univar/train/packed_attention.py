"""Attention over packed texts with its backward: weights are computed again, a few texts at a time.

In bf16 it is one call of C++ each way where the CPU is fast at that, elsewhere torch's operations.

Forward O = softmax(Q K^T / sqrt(d)) V for each text and head. Backward, with P the weights and G = dO:
dV = P^T G, dS = P * (G V^T - rowsum(G * O)), dQ = dS K / sqrt(d), dK = dS^T Q / sqrt(d). Only qkv, O
and (in C++) the logarithm of each row's sum are kept; weights stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from univar import _native
from univar.encoder.forward_torch import sdpa_groups
from univar.encoder.packing import Layout
from univar.train.native_bf16 import PANEL, bits, training_isa

_BLOCK_SCORES = 96 * 1024
"""Scores of one head that a block of texts has at most: with a dozen heads some megabytes."""


def packed_attention(qkv: Tensor, layout: Layout) -> Tensor:
    """qkv: (rows, 3, heads, head_dim) -> (rows, dim), 0 after the last token; differentiable once."""
    isa = training_isa(qkv)
    if isa is not None and qkv.shape[3] % PANEL == 0:
        return _NativeAttention.apply(qkv, layout, isa)
    return _PackedAttention.apply(qkv, layout)


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
