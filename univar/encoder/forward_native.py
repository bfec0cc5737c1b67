"""The forward without torch (`univar._native`), chosen by `univar.runtime.choose_forward`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from univar._native import Forward, ForwardPool, Run
from univar.encoder.checkpoint import PARTS, Affine, LayerWeights, Weights
from univar.encoder.config import EncoderConfig
from univar.encoder.text_buffers import Texts, text_buffers
from univar.encoder.tokenizer import NativeTokenizer
from univar.errors import DataError


class NativeForward:
    """A loaded encoder on the CPU with `threads` threads of its own."""

    def __init__(self, config: EncoderConfig, weights: Weights, dtype: str, isa: str, threads: int):
        forward = Forward(_shape(config, weights), _arrays(weights), dtype, isa)
        self._pool = ForwardPool(forward, threads)

    def batches(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows (b,) int64, embeddings (b, dim) float32) of packed texts, as they are done.

        Nothing more is begun once the iterator is gone.
        """
        return finished(self._pool.start(ids, cu_seqlens))

    def embed(self, tokenizer: NativeTokenizer, texts: Texts) -> Run:
        """Texts that the same threads tokenise and embed; what is done is asked of the Run."""
        offsets, data = text_buffers(texts)
        return self._pool.embed(tokenizer.native, offsets, data, max_length=tokenizer.max_length)


def finished(run: Run) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows (b,) int64, embeddings (b, dim) float32) of a run, as they are done.

    Raises DataError for a token that the model does not know.
    """
    try:
        while (rows := run.take()) is not None:
            yield rows, run.embeddings[rows]
    except ValueError as error:
        raise DataError(f"{error}: the tokenizer belongs to another model") from None


def _shape(config: EncoderConfig, weights: Weights) -> dict[str, Any]:
    return {
        "dim": config.dim,
        "heads": config.heads,
        "intermediate": config.intermediate,
        "layers": len(weights.layers),
        "vocab": len(weights.word),
        "positions": config.positions,
        "activation": config.activation,
        "pooling": config.pooling,
        "norm_eps": config.norm_eps,
        "rotary_base": config.rotary_base or 0.0,
    }


def _arrays(weights: Weights) -> dict[str, Any]:
    return {
        "word": weights.word,
        "position": weights.position,
        "embedding_norm": _pair(weights.embedding_norm),
        "layers": [_layer(layer) for layer in weights.layers],
    }


def _layer(layer: LayerWeights) -> dict[str, Any]:
    return {part: _pair(getattr(layer, part)) for part in PARTS}


def _pair(affine: Affine) -> tuple[np.ndarray, np.ndarray | None]:
    return affine.weight, affine.bias
