"""The forward in C++ (`univar._native`), without torch; `univar.runtime.choose_forward` says when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from univar._native import Forward, ForwardPool, ForwardRun
from univar.encoder.checkpoint import PARTS, Affine, LayerWeights, Weights
from univar.encoder.config import EncoderConfig
from univar.encoder.tokenizer import NativeTokenizer, Texts, text_buffers
from univar.errors import DataError


class NativeForward:
    """A loaded encoder on the CPU with `threads` threads of its own."""

    def __init__(self, config: EncoderConfig, weights: Weights, dtype: str, isa: str, threads: int):
        forward = Forward(_shape(config, weights), _arrays(weights), dtype, isa)
        self._pool = ForwardPool(forward, threads)

    def batches(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows (b,) int64, embeddings (b, dim) float32) of packed texts, in the order they are finished.

        No further batch is started once the iterator is deleted.
        """
        return finished(self._pool.start(ids, cu_seqlens))

    def embed(self, tokenizer: NativeTokenizer, texts: Texts) -> ForwardRun:
        """Start to tokenise and embed texts in the same threads; `finished` gives the results of the run."""
        offsets, data = text_buffers(texts)
        return self._pool.embed(tokenizer.native, offsets, data, max_length=tokenizer.max_length)


def finished(run: ForwardRun) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows (b,) int64, embeddings (b, dim) float32) of a run, in the order they are finished.

    Raises DataError for a token that the encoder does not know.
    """
    try:
        while (rows := run.take()) is not None:
            yield rows, run.embeddings[rows]
    except ValueError as error:
        raise DataError(f"{error}: the tokenizer belongs to another encoder") from None


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
