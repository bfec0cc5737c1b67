"""What a layer does between its matrix products: by torch everywhere, by our C++ on CPUs with AMX-BF16.

Both classes have the same methods over packed texts; `PackedTransformer` takes the one that `univar.runtime`
chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from univar.encoder.attention import relative_bias, sdpa_groups, varlen
from univar.encoder.config import ModelConfig
from univar.encoder.linear import activate
from univar.encoder.packing import Layout
from univar.encoder.weights import Affine, Weights
from univar.kernels.reference import pool_normalize


@dataclass(frozen=True)
class Norm:
    """Weight and bias (dim,) of a LayerNorm, on its device in its dtype."""

    weight: Tensor
    bias: Tensor


class TorchSteps:
    """Any device, any dtype, any family."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        dtype: torch.dtype,
        device: torch.device,
        use_varlen: bool = False,
    ):
        self._config, self._dtype, self._device, self._varlen = config, dtype, device, use_varlen
        self._word = torch.from_numpy(weights.word).to(device)
        position = weights.position
        self._position = None if position is None else torch.from_numpy(position).to(device)
        self._embedding_norm = self._norm(weights.embedding_norm, torch.float32)
        table = weights.relative_bias
        self._bias = None if table is None else relative_bias(torch.from_numpy(table).to(device, dtype))

    def norm(self, affine: Affine) -> Norm:
        """A layer's LayerNorm as `add_norm` takes it."""
        return self._norm(affine, self._dtype)

    def embed(self, ids: np.ndarray, layout: Layout) -> Tensor:
        """ids (rows,) int32 -> (rows, dim): word and position rows added and normalised in fp32."""
        x = F.embedding(torch.from_numpy(ids).to(self._device), self._word)
        if self._position is not None:
            x += F.embedding(layout.positions.to(self._device), self._position)
        return self._normalize(x, self._embedding_norm).to(self._dtype)

    def attend(self, qkv: Tensor, layout: Layout) -> Tensor:
        """qkv: (rows, 3, heads, head_dim) -> (rows, dim)."""
        return varlen(qkv, layout) if self._varlen else sdpa_groups(qkv, layout, self._bias)

    def add_norm(self, x: Tensor, residual: Tensor, norm: Norm) -> Tensor:
        """layer_norm(x + residual), (rows, dim); may overwrite x."""
        return self._normalize(x.add_(residual), norm)

    def activate(self, hidden: Tensor) -> Tensor:
        """The activation of the feed-forward part; may overwrite `hidden`."""
        return activate(hidden, self._config.activation)

    def pool(self, x: Tensor, layout: Layout) -> Tensor:
        """(rows, dim) -> (n, dim) float32 on the CPU, rows of length 1."""
        cu_seqlens = torch.from_numpy(layout.cu_seqlens).to(self._device)
        return pool_normalize(x[: layout.tokens], cu_seqlens, self._config.pooling).cpu()

    def _norm(self, affine: Affine, dtype: torch.dtype) -> Norm:
        assert affine.bias is not None
        weight, bias = map(torch.from_numpy, (affine.weight, affine.bias))
        return Norm(weight.to(self._device, dtype), bias.to(self._device, dtype))

    def _normalize(self, x: Tensor, norm: Norm) -> Tensor:
        return F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, self._config.norm_eps)
