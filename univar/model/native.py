"""The forward without torch (`univar._native.NativeEncoder`), which `univar.ops` chooses where it can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from univar._native import NativeEncoder
from univar.model.config import ModelConfig
from univar.model.weights import Affine, LayerWeights, Weights


class NativeForward:
    """A loaded encoder on the CPU with `threads` threads of its own."""

    def __init__(self, config: ModelConfig, weights: Weights, dtype: str, isa: str, threads: int):
        self._native = NativeEncoder(
            word=weights.word.numpy(),
            position=None if weights.position is None else weights.position.numpy(),
            embedding_norm=_norm(weights.embedding_norm),
            layers=[_layer(layer) for layer in weights.layers],
            heads=config.heads,
            intermediate=config.intermediate,
            positions=config.positions,
            activation=config.activation,
            pooling=config.pooling,
            norm_eps=config.norm_eps,
            rotary_base=config.rotary_base or 0.0,
            dtype=dtype,
            isa=isa,
            threads=threads,
        )

    def batches(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows (b,) int64, embeddings (b, dim) float32) of packed texts, as they are done.

        Nothing more is begun once the iterator is closed.
        """
        run = self._native.start(ids, cu_seqlens)
        while (rows := run.take()) is not None:
            yield rows, run.embeddings[rows]


def _layer(layer: LayerWeights) -> tuple[Any, ...]:
    linears = (layer.qkv, layer.out, layer.up, layer.down)
    norms = (layer.attention_norm, layer.output_norm)
    return (*map(_linear, linears), *map(_norm, norms))


def _linear(affine: Affine) -> tuple[np.ndarray, np.ndarray | None]:
    return affine.weight.numpy(), None if affine.bias is None else affine.bias.numpy()


def _norm(affine: Affine) -> tuple[np.ndarray, np.ndarray]:
    assert affine.bias is not None
    return affine.weight.numpy(), affine.bias.numpy()
