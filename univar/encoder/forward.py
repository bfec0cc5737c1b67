"""The transformer forward over packed texts: token matrix in, one unit vector per text out, no padding.

A text's embedding depends on what else is in the batch only through the order in which matrix products add
up: by at most 1e-6 (fp32) or 4e-3 (bf16, fp16) in any dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from univar import runtime
from univar.encoder.config import ModelConfig
from univar.encoder.linear import MkldnnLinear, TorchLinear
from univar.encoder.packing import Layout
from univar.encoder.steps import Norm, TorchSteps
from univar.encoder.weights import Affine, LayerWeights, Weights

TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Linear = TorchLinear | MkldnnLinear


@dataclass(frozen=True)
class _Layer:
    qkv: Linear
    out: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    output_norm: Norm


class PackedTransformer:
    """A loaded encoder. Weights are converted and packed once; calling it from several threads is safe."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        dtype: str,
        device: torch.device,
        steps: TorchSteps | None = None,
    ):
        self._config, self._dtype, self._device = config, TORCH_DTYPES[dtype], device
        self._linear = MkldnnLinear if runtime.choose_linear(device.type).chosen == "mkldnn" else TorchLinear
        attention = runtime.choose_attention(device.type, dtype).chosen
        use_varlen = attention == "varlen" and weights.relative_bias is None
        self._steps = steps or TorchSteps(config, weights, self._dtype, device, use_varlen)
        self._layers = [self._layer(layer) for layer in weights.layers]

    @torch.inference_mode()
    def __call__(self, ids: np.ndarray, layout: Layout) -> Tensor:
        """ids: (layout.rows,) int32; returns (n, dim) float32, rows of length 1."""
        x = self._steps.embed(ids, layout)
        angles = None if self._config.rotary_base is None else self._angles(layout)
        for layer in self._layers:
            x = self._run(layer, x, layout, angles)
        return self._steps.pool(x, layout)

    def _layer(self, layer: LayerWeights) -> _Layer:
        def linear(affine: Affine) -> Linear:
            return self._linear(affine, self._dtype, self._device)

        return _Layer(
            qkv=linear(layer.qkv),
            out=linear(layer.out),
            attention_norm=self._steps.norm(layer.attention_norm),
            up=linear(layer.up),
            down=linear(layer.down),
            output_norm=self._steps.norm(layer.output_norm),
        )

    def _run(self, layer: _Layer, x: Tensor, layout: Layout, angles: tuple[Tensor, Tensor] | None) -> Tensor:
        """One layer, (rows, dim) -> (rows, dim)."""
        qkv = layer.qkv(x).view(len(x), 3, self._config.heads, self._config.head_dim)
        if angles is not None:
            _rotate(qkv[:, :2], *angles)
        x = self._steps.add_norm(layer.out(self._steps.attend(qkv, layout)), x, layer.attention_norm)
        hidden = self._steps.activate(layer.up(x))
        return self._steps.add_norm(layer.down(hidden), x, layer.output_norm)

    def _angles(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary embedding, each (rows, 1, 1, head_dim / 2) float32."""
        assert self._config.rotary_base is not None
        steps = torch.arange(0, self._config.head_dim, 2, device=self._device, dtype=torch.float32)
        frequencies = self._config.rotary_base ** (-steps / self._config.head_dim)
        angles = layout.positions.to(self._device).float()[:, None, None, None] * frequencies
        return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn each pair (i, i + head_dim / 2) of x (T, 2, heads, head_dim) by its angle, in place, in fp32."""
    left, right = x.float().chunk(2, dim=-1)
    x.copy_(torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1))
