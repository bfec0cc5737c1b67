"""The transformer forward over packed texts: token matrix in, one unit vector per text out, no padding anywhere.

A text's embedding depends on what else is in the batch only through the order in which a matrix product adds up:
at most 1e-6 (fp32) or 4e-3 (bf16, fp16) in any dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from univar import ops
from univar.kernels.reference import pool_normalize
from univar.model.attention import relative_bias, sdpa_groups, varlen
from univar.model.config import ModelConfig
from univar.model.linear import MkldnnLinear, TorchLinear
from univar.model.packing import Layout
from univar.model.weights import Affine, LayerWeights, Weights

TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class _Norm:
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class _Layer:
    qkv: TorchLinear | MkldnnLinear
    out: TorchLinear | MkldnnLinear
    attention_norm: _Norm
    up: TorchLinear | MkldnnLinear
    down: TorchLinear | MkldnnLinear
    output_norm: _Norm


class PackedTransformer:
    """A loaded encoder. Weights are converted and packed once; calling it from several threads is safe."""

    def __init__(self, config: ModelConfig, weights: Weights, dtype: str, device: torch.device):
        self._config = config
        self._dtype = TORCH_DTYPES[dtype]
        self._device = device
        self._linear = MkldnnLinear if ops.choose_linear(device).chosen == "mkldnn" else TorchLinear
        self._varlen = (
            weights.relative_bias is None and ops.choose_attention(device, dtype).chosen == "varlen"
        )
        self._word = weights.word.to(device)
        self._position = None if weights.position is None else weights.position.to(device)
        self._embedding_norm = self._norm(weights.embedding_norm, torch.float32)
        table = weights.relative_bias
        self._bias = None if table is None else relative_bias(table.to(device, self._dtype))
        self._layers = [self._layer(layer) for layer in weights.layers]

    @torch.inference_mode()
    def __call__(self, ids: np.ndarray, layout: Layout) -> Tensor:
        """ids: (T,) int32, tokens of all texts of `layout`; returns (n, dim) float32 on the CPU, rows of length 1."""
        x = self._embed(torch.from_numpy(ids).to(self._device), layout)
        angles = None if self._config.rotary_base is None else self._angles(layout)
        for layer in self._layers:
            x = self._run(layer, x, layout, angles)
        cu_seqlens = torch.from_numpy(layout.cu_seqlens).to(self._device)
        return pool_normalize(x, cu_seqlens, self._config.pooling).cpu()

    def _layer(self, layer: LayerWeights) -> _Layer:
        def linear(affine: Affine) -> TorchLinear | MkldnnLinear:
            return self._linear(affine, self._dtype, self._device)

        return _Layer(
            qkv=linear(layer.qkv),
            out=linear(layer.out),
            attention_norm=self._norm(layer.attention_norm, self._dtype),
            up=linear(layer.up),
            down=linear(layer.down),
            output_norm=self._norm(layer.output_norm, self._dtype),
        )

    def _norm(self, affine: Affine, dtype: torch.dtype) -> _Norm:
        assert affine.bias is not None
        return _Norm(affine.weight.to(self._device, dtype), affine.bias.to(self._device, dtype))

    def _embed(self, ids: Tensor, layout: Layout) -> Tensor:
        """(T,) -> (T, dim): word and position rows added and normalised in fp32."""
        x = F.embedding(ids, self._word)
        if self._position is not None:
            x += F.embedding(layout.positions.to(self._device), self._position)
        return self._normalize(x, self._embedding_norm).to(self._dtype)

    def _run(self, layer: _Layer, x: Tensor, layout: Layout, angles: tuple[Tensor, Tensor] | None) -> Tensor:
        """One layer, (T, dim) -> (T, dim)."""
        qkv = layer.qkv(x).view(len(x), 3, self._config.heads, self._config.head_dim)
        if angles is not None:
            _rotate(qkv[:, :2], *angles)
        attended = varlen(qkv, layout) if self._varlen else sdpa_groups(qkv, layout, self._bias)
        x = self._normalize(layer.out(attended).add_(x), layer.attention_norm)
        hidden = layer.up(x, self._config.activation)
        return self._normalize(layer.down(hidden).add_(x), layer.output_norm)

    def _normalize(self, x: Tensor, norm: _Norm) -> Tensor:
        return F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, self._config.norm_eps)

    def _angles(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary embedding, each (T, 1, 1, head_dim / 2) float32."""
        assert self._config.rotary_base is not None
        steps = torch.arange(0, self._config.head_dim, 2, device=self._device, dtype=torch.float32)
        frequencies = self._config.rotary_base ** (-steps / self._config.head_dim)
        angles = layout.positions.to(self._device).float()[:, None, None, None] * frequencies
        return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn each pair (i, i + head_dim / 2) of x (T, 2, heads, head_dim) by its angle, in place, computed in fp32."""
    left, right = x.float().chunk(2, dim=-1)
    half = left.shape[-1]
    x[..., :half] = left * cos - right * sin
    x[..., half:] = right * cos + left * sin
