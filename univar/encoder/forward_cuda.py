"""The forward on a CUDA device: copies in, computing and copies out overlap; small batches replay a graph.

Batches have one of a few shapes: the numbers of tokens and texts and the longest length are rounded up, and
texts of padding at the end fill the rest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from univar.encoder.checkpoint import Weights
from univar.encoder.config import EncoderConfig
from univar.encoder.forward_torch import TORCH_DTYPES, Norm, PackedTransformer, TorchSteps, varlen_function
from univar.encoder.packing import Layout, micro_batches

BATCH_TOKENS = 65_536
GRAPH_SIZE = 1 << 23
"""Batches of at most this many tokens times dims replay a graph: launching their kernels takes longer."""
MAX_GRAPHS = 32
IN_FLIGHT = 3

Attention = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]
Transformer = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Batch:
    """A packed batch of a rounded shape, on one device.

    ids: (T,) int32; positions: (T,) int64; cu_seqlens: (S + 1,) int32, texts of padding and of length 0 last;
    max_length: no text is longer
    """

    ids: Tensor
    positions: Tensor
    cu_seqlens: Tensor
    max_length: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Tokens, texts, longest: batches of one shape can share a graph."""
        return len(self.ids), len(self.cu_seqlens) - 1, self.max_length

    def to(self, device: torch.device) -> Batch:
        return self._each(lambda x: x.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """In memory from which a device copies by itself."""
        return self._each(Tensor.pin_memory)

    def clone(self) -> Batch:
        return self._each(Tensor.clone)

    def copy_(self, other: Batch) -> None:
        """Take over the contents of a batch of the same shape."""
        for mine, theirs in zip(self.tensors, other.tensors, strict=True):
            mine.copy_(theirs)

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.ids, self.positions, self.cu_seqlens

    def positions_on(self, device: torch.device) -> Tensor:
        """The place of each token in its text, on a device."""
        return self.positions.to(device)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(change(self.ids), change(self.positions), change(self.cu_seqlens), self.max_length)


def pad_batch(ids: np.ndarray, layout: Layout, budget: int, longest: int) -> Batch:
    """A batch of a rounded shape, on the CPU.

    ids: (layout.tokens,) or more; longest: positions of the encoder
    Tokens are rounded up to the budget or half, a quarter ... of it (a single longer text to a multiple of
    64), the longest length and the number of texts to powers of two.
    """
    max_length = min(longest, max(16, 1 << (layout.max_length - 1).bit_length()))
    tokens = max(64, -(-layout.tokens // 64) * 64)
    if tokens <= budget:
        tokens = max(64, budget >> ((budget // tokens).bit_length() - 1))
    padding = np.full(-(-(tokens - layout.tokens) // max_length), max_length)
    if len(padding):
        padding[-1] = tokens - layout.tokens - padding[:-1].sum()
    lengths = np.concatenate([layout.lengths, padding])
    texts = max(16, 1 << (len(lengths) - 1).bit_length())
    ends = np.concatenate([[0], np.cumsum(lengths), np.full(texts - len(lengths), tokens)]).astype(np.int32)
    starts = np.repeat(ends[: len(lengths)], lengths)
    padded = np.zeros(tokens, np.int32)
    padded[: layout.tokens] = ids[: layout.tokens]
    positions = np.arange(tokens) - starts
    return Batch(torch.from_numpy(padded), torch.from_numpy(positions), torch.from_numpy(ends), max_length)


class CudaSteps(TorchSteps):
    """The steps of a layer over a `Batch`, without waiting for the device."""

    def __init__(
        self,
        config: EncoderConfig,
        weights: Weights,
        dtype: torch.dtype,
        device: torch.device,
        attention: Attention,
    ):
        super().__init__(config, weights, dtype, device)
        self._attention = attention

    def embed(self, ids: Any, layout: Any) -> Tensor:
        x = F.embedding(ids, self._word)
        if self._position is not None:
            x = x + F.embedding(layout.positions, self._position)
        return self._normalize(x, self._embedding_norm).to(self._dtype)

    def attend(self, qkv: Tensor, layout: Any) -> Tensor:
        tokens, _, heads, head_dim = qkv.shape
        q, k, v = qkv.unbind(1)
        return self._attention(q, k, v, layout.cu_seqlens, layout.max_length).reshape(
            tokens, heads * head_dim
        )

    def rotate(self, qkv: Tensor, cos: Tensor, sin: Tensor) -> None:
        from univar.kernels.encoder_ops.rotate import rotate

        rotate(qkv, cos, sin)

    def activate(self, hidden: Tensor) -> Tensor:
        if self._config.activation != "swiglu":
            return super().activate(hidden)
        from univar.kernels.encoder_ops.swiglu import swiglu

        return swiglu(hidden)

    def add_norm(self, x: Tensor, residual: Tensor, norm: Norm) -> Tensor:
        from univar.kernels.encoder_ops.residual_layer_norm import residual_layer_norm

        return residual_layer_norm(x, residual, norm.weight, norm.bias, self._config.norm_eps)

    def pool(self, x: Tensor, layout: Any) -> Tensor:
        """(T, dim) -> (S, dim) float32 on the device; rows of length 1."""
        from univar.kernels.encoder_ops.pool_normalize import pool_normalize

        return pool_normalize(x, layout.cu_seqlens, self._config.pooling)


class CudaForward:
    """A loaded encoder on a CUDA device in bf16 or fp16. Safe to call from several threads."""

    def __init__(
        self,
        config: EncoderConfig,
        weights: Weights,
        dtype: str,
        device: torch.device,
        attention: Attention | None = None,
    ):
        attention = attention or varlen_function()
        assert attention is not None
        self.batch_tokens = BATCH_TOKENS
        self._config, self._device = config, device
        steps = CudaSteps(config, weights, TORCH_DTYPES[dtype], device, attention)
        self._transformer: Transformer = PackedTransformer(config, weights, dtype, device, steps)
        self._lanes = _Lanes(device)
        self._graphs: dict[tuple[int, int, int], _Graph] = {}
        self._lock = threading.Lock()

    def batches(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows (b,) int64, embeddings (b, dim) float32) of packed texts, batch by batch."""
        in_flight: deque[tuple[np.ndarray, Callable[[], Tensor]]] = deque()
        for rows, batch_ids, layout in micro_batches(ids, cu_seqlens, self.batch_tokens):
            batch = pad_batch(batch_ids, layout, self.batch_tokens, self._config.positions)
            with self._lock:
                in_flight.append((rows, self._lanes.run(batch, self._embed, len(rows))))
            if len(in_flight) == IN_FLIGHT:
                rows, result = in_flight.popleft()
                yield rows, result().numpy()
        for rows, result in in_flight:
            yield rows, result().numpy()

    def _embed(self, batch: Batch) -> Tensor:
        """(S, dim) float32 on the device."""
        is_small = batch.shape[0] * self._config.dim <= GRAPH_SIZE
        if self._device.type != "cuda" or not is_small:
            return self._transformer(batch.ids, batch)
        graph = self._graphs.get(batch.shape)
        if graph is None and len(self._graphs) < MAX_GRAPHS:
            graph = self._graphs[batch.shape] = _Graph(self._transformer, batch)
        return self._transformer(batch.ids, batch) if graph is None else graph(batch)


class _Graph:
    """The forward of one shape, recorded once; only its inputs change."""

    def __init__(self, transformer: Transformer, batch: Batch) -> None:
        self._batch = batch.clone()
        side = torch.cuda.Stream(batch.ids.device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # kernels are compiled and libraries set up before the recording
            transformer(self._batch.ids, self._batch)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._out = transformer(self._batch.ids, self._batch)

    def __call__(self, batch: Batch) -> Tensor:
        self._batch.copy_(batch)
        self._graph.replay()
        return self._out.clone()


class _Lanes:
    """Three streams of a CUDA device: copies in, computing, copies out. On the CPU nothing overlaps."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams = [torch.cuda.Stream(device) for _ in range(3)] if device.type == "cuda" else None

    def run(self, batch: Batch, compute: Callable[[Batch], Tensor], rows: int) -> Callable[[], Tensor]:
        """Start `compute` on a batch; the function returned gives its first `rows` rows on the CPU."""
        if self._streams is None:
            made = compute(batch)[:rows]
            return lambda: made
        copy_in, computing, copy_out = self._streams
        with torch.cuda.stream(copy_in):
            there = batch.pinned().to(self._device)
        computing.wait_stream(copy_in)
        with torch.cuda.stream(computing):
            for tensor in there.tensors:
                tensor.record_stream(computing)
            made = compute(there)
        copy_out.wait_stream(computing)
        with torch.cuda.stream(copy_out):
            made.record_stream(copy_out)
            out = torch.empty(rows, made.shape[1], pin_memory=True).copy_(made[:rows], non_blocking=True)
            done = copy_out.record_event()

        def wait() -> Tensor:
            done.synchronize()
            return out

        return wait
