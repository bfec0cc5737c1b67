"""An encoder to train: parameters in float32, products in a chosen dtype; adapters; mixing with the base.

Texts are packed as in `univar.encoder.forward_torch`, whose steps are shared: no padding is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from univar.encoder.adapter import Adapter
from univar.encoder.checkpoint import MATRICES, PARTS, Affine, LayerWeights, Weights, layer_names
from univar.encoder.config import EncoderConfig
from univar.encoder.forward_torch import activate, relative_bias, rotary_angles, rotated
from univar.encoder.packing import Layout
from univar.kernels.reference import pool
from univar.train.autograd import biased_attention, linear, packed_attention


class TrainableAffine(nn.Module):
    """Weight (out, in) and bias (out,) of a linear layer, or both (dim,) of a LayerNorm, as parameters."""

    def __init__(self, affine: Affine) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(affine.weight))
        self.bias = None if affine.bias is None else nn.Parameter(torch.tensor(affine.bias))
        self.delta: nn.Module | None = None
        """What an adapter adds to the weight, (out, in) float32."""

    def linear(self, x: Tensor, fixed: slice | None = None) -> Tensor:
        """x (T, in) -> (T, out), in x's dtype; the part `fixed` of the bias gets no gradient."""
        bias: Tensor | None = self.bias
        if bias is not None and fixed is not None:
            bias = torch.cat([bias[: fixed.start], bias[fixed].detach(), bias[fixed.stop :]])
        return linear(x, self.whole(), bias)

    def normalize(self, x: Tensor, eps: float) -> Tensor:
        """LayerNorm of x (T, dim), in x's dtype."""
        assert self.bias is not None
        return F.layer_norm(x, self.weight.shape, self.weight.to(x.dtype), self.bias.to(x.dtype), eps)

    def whole(self) -> Tensor:
        """The weight with what the adapter adds."""
        return self.weight if self.delta is None else self.weight + self.delta()

    def affine(self) -> Affine:
        """As the forward without gradients and the export take it, copied."""
        return Affine(_array(self.whole()), None if self.bias is None else _array(self.bias))


class TrainableLayer(nn.Module):
    """One transformer layer; `qkv` and SwiGLU's `up` are stacked as in `LayerWeights`."""

    def __init__(self, weights: LayerWeights, config: EncoderConfig) -> None:
        super().__init__()
        self._config = config
        self.qkv, self.out = TrainableAffine(weights.qkv), TrainableAffine(weights.out)
        self.attention_norm = TrainableAffine(weights.attention_norm)
        self.up, self.down = TrainableAffine(weights.up), TrainableAffine(weights.down)
        self.output_norm = TrainableAffine(weights.output_norm)

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        angles: tuple[Tensor, Tensor] | None,
        bias: Callable[[int], Tensor] | None,
    ) -> Tensor:
        """x: (rows, dim); returns the same shape and dtype."""
        config = self._config
        # The bias of all keys adds the same to all scores of a query, so its gradient is 0, and Adam would
        # blow up the rounding error that remains. With rotation it matters.
        keys = slice(config.dim, 2 * config.dim) if angles is None else None
        qkv = self.qkv.linear(x, fixed=keys).view(len(x), 3, config.heads, config.head_dim)
        if angles is not None:
            qkv = torch.cat([rotated(qkv[:, :2], *angles).to(qkv.dtype), qkv[:, 2:]], dim=1)
        attended = packed_attention(qkv, layout) if bias is None else biased_attention(qkv, layout, bias)
        x = self.attention_norm.normalize(x + self.out.linear(attended), config.norm_eps)
        hidden = activate(self.up.linear(x), config.activation)
        return self.output_norm.normalize(x + self.down.linear(hidden), config.norm_eps)

    def weights(self) -> LayerWeights:
        """As they are now, copied."""
        return LayerWeights(**{part: getattr(self, part).affine() for part in PARTS})


class TrainableEncoder(nn.Module):
    """An encoder to train.

    dtype:         of the matrix products; parameters and their gradients are float32
    checkpointing: keep only each layer's input for the backward pass and compute the rest again
    normalize:     False returns rows as they are pooled, whose norms a loss may use
    """

    def __init__(
        self,
        config: EncoderConfig,
        weights: Weights,
        dtype: torch.dtype,
        checkpointing: bool = False,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.config, self.dtype, self.checkpointing = config, dtype, checkpointing
        self._normalize = normalize
        self.word = nn.Parameter(torch.tensor(weights.word))
        self.position = None if weights.position is None else nn.Parameter(torch.tensor(weights.position))
        # The one token type is trained as a vector of its own, as other trainers do. Its start is already
        # added to a table of `weights`, so this vector starts at 0.
        token_type = torch.zeros(1, config.dim) if weights.has_token_type else None
        self.token_type = None if token_type is None else nn.Parameter(token_type)
        bias = weights.relative_bias
        self.relative_bias = None if bias is None else nn.Parameter(torch.tensor(bias))
        self.embedding_norm = TrainableAffine(weights.embedding_norm)
        self.layers = nn.ModuleList(TrainableLayer(layer, config) for layer in weights.layers)

    def forward(self, ids: np.ndarray, layout: Layout) -> Tensor:
        """ids: (layout.rows,) int32 of texts sorted by length; returns (n, dim) float32.

        The gradient of `word` is sparse: a chunk of texts has a few thousand of its words.
        """
        device = self.word.device
        x = F.embedding(torch.from_numpy(ids).to(device), self.word, sparse=True)
        if self.position is not None:
            x = x + F.embedding(layout.positions.to(device), self.position)
        if self.token_type is not None:
            x = x + self.token_type
        x = self.embedding_norm.normalize(x, self.config.norm_eps).to(self.dtype)
        angles = None if self.config.rotary_base is None else rotary_angles(self.config, layout, device)
        bias = None if self.relative_bias is None else relative_bias(self.relative_bias.to(self.dtype))
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, layout, angles, bias, use_reentrant=False)
            else:
                x = layer(x, layout, angles, bias)
        cu_seqlens = torch.from_numpy(layout.cu_seqlens).to(device)
        pooled = pool(x[: layout.tokens], cu_seqlens, self.config.pooling)
        return F.normalize(pooled, dim=1) if self._normalize else pooled

    def weights(self) -> Weights:
        """As they are now, adapters merged, copied."""
        word, position = _array(self.word), None if self.position is None else _array(self.position)
        if self.token_type is not None:
            table = word if position is None else position
            table += _array(self.token_type)
        return Weights(
            word=word,
            position=position,
            embedding_norm=self.embedding_norm.affine(),
            relative_bias=None if self.relative_bias is None else _array(self.relative_bias),
            layers=[layer.weights() for layer in self.layers],  # type: ignore[operator]
            has_token_type=self.token_type is not None,
        )


def _array(x: Tensor) -> np.ndarray:
    """A copy, as the forward without gradients and the export take it."""
    return x.detach().cpu().numpy().copy()


class LowRank(nn.Module):
    """What an adapter adds to a matrix of `parts` stacked matrices: (alpha / rank) B A for each of them.

    A starts at random from `generator`, B at zero: nothing is added at first.
    """

    def __init__(
        self, shape: tuple[int, int], parts: int, rank: int, alpha: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        rows, columns = shape[0] // parts, shape[1]
        bound = math.sqrt(3 / columns) / math.sqrt(3)
        start = torch.rand(parts, rank, columns, generator=generator) * 2 * bound - bound
        self.a, self.b = nn.Parameter(start), nn.Parameter(torch.zeros(parts, rows, rank))
        self._scale = alpha / rank

    def forward(self) -> Tensor:
        """(out, in) float32."""
        return (self._scale * torch.bmm(self.b, self.a)).flatten(0, 1)


def attach_low_rank(encoder: TrainableEncoder, rank: int, seed: int) -> None:
    """Freeze the encoder and give each of its matrices a low-rank part to train; alpha is twice the rank."""
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for number, layer in enumerate(encoder.layers):
        names = layer_names(encoder.config.family, number)
        for part in MATRICES:
            affine = getattr(layer, part)
            stacked = len(names[part])
            affine.delta = LowRank(tuple(affine.weight.shape), stacked, rank, 2 * rank, generator)


def low_rank_adapter(encoder: TrainableEncoder) -> Adapter:
    """The low-rank parts of an encoder after `attach_low_rank`."""
    matrices: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    rank = 0
    for number, layer in enumerate(encoder.layers):
        names = layer_names(encoder.config.family, number)
        for part in MATRICES:
            delta = getattr(layer, part).delta
            rank = delta.a.shape[1]
            a, b = (matrix.detach().cpu().numpy() for matrix in (delta.a, delta.b))
            matrices |= dict(zip(names[part], zip(a, b, strict=True), strict=True))
    return Adapter(rank, 2.0 * rank, matrices)


@torch.no_grad()
def mix_in_base(encoder: TrainableEncoder, base: TrainableEncoder, share: float) -> None:
    """Turn every trained parameter of `encoder` into (1 - share) trained + share base, in place.

    base: the encoder before the first step. An adapter's B, which started at zero, shrinks to 1 - share; its
    A stays (WiSE-FT, arXiv 2109.01903).
    """
    starts = dict(base.named_parameters())
    for name, parameter in encoder.named_parameters():
        if not parameter.requires_grad or name.endswith("delta.a"):
            continue
        start = starts.get(name)
        parameter.lerp_(torch.zeros_like(parameter) if start is None else start.to(parameter.device), share)
