"""The speed of stock matrix products in a model's shapes: what a forward can be measured against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.paired import cost_of
from univar.encoder.config import EncoderConfig


def gemm_rate(dim: int, intermediate: int, rows: int = 2048, packed: bool = False) -> float:
    """FLOP per CPU-second of torch's bf16 linears in the shapes of one layer, in one thread, warmed up.

    packed: with weights that oneDNN has laid out beforehand.
    """
    shapes = [(dim, 3 * dim), (dim, dim), (dim, intermediate), (intermediate, dim)]
    products = [(torch.randn(rows, i).bfloat16(), torch.randn(o, i).bfloat16()) for i, o in shapes]
    multiply = torch.nn.functional.linear
    if packed:
        products = [(x, torch.ops.mkldnn._reorder_linear_weight(w, rows)) for x, w in products]
        multiply = packed_linear
    return products_rate(multiply, products, sum(2 * rows * i * o for i, o in shapes))


def attention_rate(heads: int, head_dim: int, length: int) -> float:
    """FLOP per CPU-second of torch's batched bf16 products in the shapes of one text's attention."""
    queries, keys = (torch.randn(heads, length, head_dim).bfloat16() for _ in range(2))
    weights = torch.rand(heads, length, length).bfloat16()
    products = [(queries, keys.transpose(1, 2).contiguous()), (weights, keys)]
    return products_rate(torch.bmm, products, 4 * heads * length * length * head_dim)


def products_rate(multiply: Callable, products: list[tuple[torch.Tensor, torch.Tensor]], flop: int) -> float:
    """FLOP per CPU-second of products that together are `flop`, in one thread, warmed up."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # two would spin while they wait for each other, and CPU time counts that

    def repeat(n: int) -> None:
        for _ in range(n):
            for left, right in products:
                multiply(left, right)

    with torch.inference_mode():
        repeat(5)
        cost = cost_of(lambda: repeat(50))
    torch.set_num_threads(before)
    return 50 * flop / cost.cpu_s


def linear_flop(config: EncoderConfig, lengths: np.ndarray) -> float:
    """FLOP of a model's linears over texts of `lengths` (N,) tokens."""
    weights = 4 * config.dim * config.dim + 2 * config.dim * config.intermediate
    return config.layers * 2.0 * weights * float(lengths.sum())


def attention_flop(config: EncoderConfig, lengths: np.ndarray) -> float:
    """FLOP of attention's two products over texts of `lengths` (N,) tokens."""
    return config.layers * 4.0 * config.dim * float((lengths**2.0).sum())


def packed_linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
