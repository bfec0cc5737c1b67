"""What a layer does between its matrix products: by torch everywhere, by our C++ on CPUs with AMX-BF16.

Both classes have the same methods over packed texts; `PackedTransformer` takes the one that `univar.ops`
chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from univar._native import add_layer_norm_bf16, attention_bf16, embed_bf16, gelu_bf16, pool_bf16
from univar.kernels.reference import pool_normalize
from univar.model.attention import relative_bias, sdpa_groups, varlen
from univar.model.config import ModelConfig
from univar.model.linear import activate
from univar.model.packing import Layout
from univar.model.weights import Affine, Weights


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
        self._word = weights.word.to(device)
        self._position = None if weights.position is None else weights.position.to(device)
        self._embedding_norm = self._norm(weights.embedding_norm, torch.float32)
        table = weights.relative_bias
        self._bias = None if table is None else relative_bias(table.to(device, dtype))

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
        return Norm(affine.weight.to(self._device, dtype), affine.bias.to(self._device, dtype))

    def _normalize(self, x: Tensor, norm: Norm) -> Tensor:
        return F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, self._config.norm_eps)


class NativeSteps(TorchSteps):
    """bf16 on a CPU with AMX-BF16; families without a bias by distance, and sizes that `fits` accepts."""

    @staticmethod
    def fits(config: ModelConfig) -> bool:
        """Whether the kernels take a model of this shape."""
        whole_tiles = config.dim % 32 == 0 and config.head_dim % 32 == 0 and config.intermediate % 32 == 0
        return whole_tiles and config.head_dim <= 128 and config.dim <= 8192 and config.family != "mpnet"

    def norm(self, affine: Affine) -> Norm:
        return self._norm(affine, torch.float32)

    def embed(self, ids: np.ndarray, layout: Layout) -> Tensor:
        out = torch.empty(len(ids), self._config.dim, dtype=self._dtype)
        out[layout.tokens :] = 0
        norm = self._embedding_norm
        position = 0 if self._position is None else self._position.data_ptr()
        embed_bf16(
            ids,
            layout.cu_seqlens,
            self._word.data_ptr(),
            position,
            norm.weight.data_ptr(),
            norm.bias.data_ptr(),
            self._config.norm_eps,
            self._config.dim,
            out.data_ptr(),
        )
        return out

    def attend(self, qkv: Tensor, layout: Layout) -> Tensor:
        tokens, _, heads, head_dim = qkv.shape
        out = torch.empty(tokens, heads * head_dim, dtype=self._dtype)
        out[layout.tokens :] = 0
        attention_bf16(qkv.data_ptr(), layout.cu_seqlens, heads, head_dim, out.data_ptr())
        return out

    def add_norm(self, x: Tensor, residual: Tensor, norm: Norm) -> Tensor:
        rows, dim = x.shape
        weight, bias = norm.weight.data_ptr(), norm.bias.data_ptr()
        add_layer_norm_bf16(
            x.data_ptr(), residual.data_ptr(), weight, bias, self._config.norm_eps, rows, dim, x.data_ptr()
        )
        return x

    def activate(self, hidden: Tensor) -> Tensor:
        if self._config.activation != "gelu":
            return super().activate(hidden)
        gelu_bf16(hidden.data_ptr(), hidden.numel())
        return hidden

    def pool(self, x: Tensor, layout: Layout) -> Tensor:
        out = torch.empty(len(layout.cu_seqlens) - 1, self._config.dim, dtype=torch.float32)
        first_only = self._config.pooling == "cls"
        pool_bf16(x.data_ptr(), layout.cu_seqlens, self._config.dim, first_only, out.data_ptr())
        return out
