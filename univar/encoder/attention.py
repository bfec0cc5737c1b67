"""Attention of packed texts: every token sees the tokens of its own text and no padding exists.

`sdpa_groups` runs everywhere: one call of torch per run of equally long texts. `varlen` is one kernel over
the whole batch on CUDA.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from univar.encoder.packing import Layout


def sdpa_groups(qkv: Tensor, layout: Layout, bias: Callable[[int], Tensor] | None = None) -> Tensor:
    """qkv: (rows, 3, heads, head_dim); bias: tokens L -> (heads, L, L), added to the scores.

    Returns (rows, dim), 0 in the rows after the last token.
    """
    tokens, _, heads, head_dim = qkv.shape
    out = torch.empty(tokens, heads * head_dim, dtype=qkv.dtype, device=qkv.device)
    out[layout.tokens :] = 0
    for first, texts, length in layout.groups:
        span = slice(first, first + texts * length)
        q, k, v = qkv[span].view(texts, length, 3, heads, head_dim).permute(2, 0, 3, 1, 4)
        mask = None if bias is None else bias(length)[None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out[span].view(texts, length, heads, head_dim).copy_(attended.transpose(1, 2))
    return out


def varlen(qkv: Tensor, layout: Layout) -> Tensor:
    """The same without bias by `varlen_function()`, on CUDA in bf16 or fp16."""
    function = varlen_function()
    assert function is not None
    tokens, _, heads, head_dim = qkv.shape
    q, k, v = qkv.unbind(1)
    cu_seqlens = torch.from_numpy(layout.cu_seqlens).to(qkv.device, non_blocking=True)
    return function(q, k, v, cu_seqlens, layout.max_length).reshape(tokens, heads * head_dim)


@functools.cache
def varlen_function() -> Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor] | None:
    """f(q, k, v, cu_seqlens, max_length) over packed (T, heads, head_dim), of torch or flash_attn or None."""
    for module, name in (
        ("torch.nn.attention.varlen", "varlen_attn"),
        ("flash_attn", "flash_attn_varlen_func"),
    ):
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
        return wrap_varlen(found)
    return None


def wrap_varlen(found: Callable[..., Tensor]) -> Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]:
    """Give `found` the one signature we call: its first seven arguments keep their order, the rest drifts.

    Where it has `num_splits`, 1 keeps a text's result from depending on what else is in the batch.
    """
    fixed = {"num_splits": 1} if "num_splits" in inspect.signature(found).parameters else {}

    def call(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_length: int) -> Tensor:
        return found(q, k, v, cu_seqlens, cu_seqlens, max_length, max_length, **fixed)

    return call


def relative_bias(table: Tensor) -> Callable[[int], Tensor]:
    """MPNet's bias by distance. table: (buckets, heads); returns f(tokens L) -> (heads, L, L), contiguous."""

    @functools.lru_cache(maxsize=1)
    def bias(length: int) -> Tensor:
        distance = torch.arange(1 - length, length, device=table.device)  # key minus query
        by_distance = table[_bucket(distance, table.shape[0])]  # (2 L - 1, heads)
        place = torch.arange(length, device=table.device)
        return by_distance[place[None, :] - place[:, None] + length - 1].permute(2, 0, 1).contiguous()

    return bias


def _bucket(distance: Tensor, buckets: int, max_distance: int = 128) -> Tensor:
    """T5's buckets: half for each side, half of those exact, the rest logarithmic up to max_distance."""
    side = buckets // 2
    exact = side // 2
    steps = distance.abs()
    growth = torch.log(steps.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = (exact + (growth * (side - exact)).long()).clamp(max=side - 1)
    return torch.where(steps < exact, steps, far) + side * (distance > 0)
