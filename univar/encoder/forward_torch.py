"""The forward in torch over packed texts: token matrix in, one unit vector per text out, no padding.

It runs every family on any device; `univar.runtime.choose_forward` says when. A text's embedding depends on
what else is in the batch only through the order in which matrix products add up: by at most 1e-6 (fp32) or
4e-3 (bf16, fp16) in any dimension.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from univar import runtime
from univar.encoder.checkpoint import Affine, LayerWeights, Weights
from univar.encoder.config import EncoderConfig
from univar.encoder.packing import Layout, micro_batches
from univar.kernels.reference import pool_normalize

TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

BATCH_TOKENS = {"cpu": 2048, "cuda": 65_536}
"""Tokens of one micro-batch; on the CPU each worker thread has one in hand."""

_PACKING_ROWS = 2048
"""Rows for which oneDNN chooses the layout of packed weights; any number of rows works."""


class TorchForward:
    """A loaded encoder on any device. On the CPU each of `threads` workers runs torch with one thread."""

    def __init__(
        self, config: EncoderConfig, weights: Weights, dtype: str, device: torch.device, threads: int
    ):
        self.batch_tokens = BATCH_TOKENS[device.type]
        self._threads = threads if device.type == "cpu" else 1
        self._transformer = PackedTransformer(config, weights, dtype, device)
        self._workers, self._owner = one_threaded_workers(self._threads), os.getpid()

    def batches(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows (b,) int64, embeddings (b, dim) float32) of packed texts, batch by batch."""
        if self._owner != os.getpid():  # after fork() there are none of the parent's threads
            self._workers, self._owner = one_threaded_workers(self._threads), os.getpid()
        share = -(-len(ids) // self._threads)  # a small call too keeps all threads busy
        budget = max(1, min(self.batch_tokens, share))

        def run(batch: tuple[np.ndarray, np.ndarray, Layout]) -> tuple[np.ndarray, np.ndarray]:
            rows, batch_ids, layout = batch
            return rows, self._transformer(batch_ids, layout).numpy()

        return self._workers.map(run, micro_batches(ids, cu_seqlens, budget))


def one_threaded_workers(n: int) -> ThreadPoolExecutor:
    """n threads in which torch uses one thread each; the setting of all other threads stays.

    Fewer than n, at least one, where the system starts no more.
    """
    before = torch.get_num_threads()
    while True:
        workers = ThreadPoolExecutor(n, thread_name_prefix="univar-encoder")
        if (started := _started(workers, n)) == n:
            torch.set_num_threads(before)
            return workers
        workers.shutdown()
        n = max(1, started)


def _started(workers: ThreadPoolExecutor, n: int) -> int:
    """How many of n threads could be started; each is set to one thread of torch."""
    all_started = threading.Barrier(n)

    def start(_: int) -> None:
        torch.get_num_threads()  # torch sets a thread up at its first question, undoing what came before
        torch.set_num_threads(1)
        with suppress(threading.BrokenBarrierError):
            all_started.wait()

    asked: list[Future[None]] = []
    try:
        for number in range(n):
            asked.append(workers.submit(start, number))
    except RuntimeError:  # "can't start new thread"
        all_started.abort()
        if not asked:
            raise
    wait(asked)
    return len(asked)


@dataclass(frozen=True)
class Norm:
    """Weight and bias (dim,) of a LayerNorm, on its device in its dtype."""

    weight: Tensor
    bias: Tensor


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
        config: EncoderConfig,
        weights: Weights,
        dtype: str,
        device: torch.device,
        steps: TorchSteps | None = None,
    ):
        self._config, self._dtype, self._device = config, TORCH_DTYPES[dtype], device
        self._linear = MkldnnLinear if runtime.choose_linear(device.type).chosen == "mkldnn" else TorchLinear
        attention = runtime.choose_attention(str(device), dtype, config.head_dim).chosen
        use_varlen = attention == "varlen" and weights.relative_bias is None
        self._steps = steps or TorchSteps(config, weights, self._dtype, device, use_varlen)
        self._layers = [self._layer(layer) for layer in weights.layers]

    @torch.inference_mode()
    def __call__(self, ids: np.ndarray, layout: Layout) -> Tensor:
        """ids: (layout.rows,) int32; returns (n, dim) float32, rows of length 1."""
        x = self._steps.embed(ids, layout)
        is_rotary = self._config.rotary_base is not None
        angles = rotary_angles(self._config, layout, self._device) if is_rotary else None
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
            self._steps.rotate(qkv, *angles)
        x = self._steps.add_norm(layer.out(self._steps.attend(qkv, layout)), x, layer.attention_norm)
        hidden = self._steps.activate(layer.up(x))
        return self._steps.add_norm(layer.down(hidden), x, layer.output_norm)


class TorchSteps:
    """What the forward does between its matrix products, on any device, in any dtype, for any family.

    `univar.encoder.forward_cuda` overrides those that have a kernel.
    """

    def __init__(
        self,
        config: EncoderConfig,
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
            x += F.embedding(layout.positions_on(self._device), self._position)
        return self._normalize(x, self._embedding_norm).to(self._dtype)

    def attend(self, qkv: Tensor, layout: Layout) -> Tensor:
        """qkv: (rows, 3, heads, head_dim) -> (rows, dim)."""
        return varlen(qkv, layout) if self._varlen else sdpa_groups(qkv, layout, self._bias)

    def rotate(self, qkv: Tensor, cos: Tensor, sin: Tensor) -> None:
        """Turn queries and keys of qkv (rows, 3, heads, head_dim) in place, by `rotary_angles`."""
        qkv[:, :2] = rotated(qkv[:, :2], cos, sin)

    def add_norm(self, x: Tensor, residual: Tensor, norm: Norm) -> Tensor:
        """layer_norm(x + residual), (rows, dim); may overwrite x."""
        return self._normalize(x.add_(residual), norm)

    def activate(self, hidden: Tensor) -> Tensor:
        """The activation of the feed-forward part, (rows, intermediate); may overwrite `hidden`."""
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


class TorchLinear:
    """x (T, in) -> x @ weight.T + bias (T, out), in the weight's dtype and on its device."""

    def __init__(self, affine: Affine, dtype: torch.dtype, device: torch.device):
        self._weight = torch.from_numpy(affine.weight).to(device, dtype)
        self._bias = _bias(affine, dtype, device)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)


class MkldnnLinear:
    """The same by oneDNN on the CPU with weights packed once, 1.15 times as fast for MPNet-base as F.linear.

    The operator is private to torch: `univar.runtime` tries it first.
    """

    def __init__(self, affine: Affine, dtype: torch.dtype, device: torch.device):
        weight = torch.from_numpy(affine.weight).to(dtype)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKING_ROWS)
        self._bias = _bias(affine, dtype, device)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")


Linear = TorchLinear | MkldnnLinear


def _bias(affine: Affine, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    return None if affine.bias is None else torch.from_numpy(affine.bias).to(device, dtype)


def activate(x: Tensor, activation: str) -> Tensor:
    """x: (T, F), or (T, 2 F) for "swiglu", whose second half is the gate; may overwrite x. Returns (T, F)."""
    if activation == "gelu":
        return F.gelu(x)
    if activation == "gelu_tanh":
        return F.gelu(x, approximate="tanh")
    if activation == "relu":
        return x.relu_()
    assert activation == "swiglu"
    value, gate = x.chunk(2, dim=1)
    return F.silu(gate).mul_(value)


def rotary_angles(config: EncoderConfig, layout: Layout, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, each (rows, 1, 1, head_dim / 2) float32."""
    assert config.rotary_base is not None
    steps = torch.arange(0, config.head_dim, 2, device=device, dtype=torch.float32)
    frequencies = config.rotary_base ** (-steps / config.head_dim)
    angles = layout.positions_on(device).float()[:, None, None, None] * frequencies
    return angles.cos(), angles.sin()


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Each pair (i, i + head_dim / 2) of x (T, 2, heads, head_dim) turned by its angle; float32."""
    left, right = x.float().chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def attended_groups(
    qkv: Tensor, layout: Layout, bias: Callable[[int], Tensor] | None = None
) -> Iterator[Tensor]:
    """Attention within each text: (texts, L, heads, head_dim) of each run of equally long texts, in order.

    qkv: (rows, 3, heads, head_dim); bias: tokens L -> (heads, L, L), added to the scores. Differentiable.
    """
    parts = qkv.split([*(texts * length for _, texts, length in layout.groups), len(qkv) - layout.tokens])
    for part, (_, texts, length) in zip(parts, layout.groups, strict=False):
        q, k, v = part.view(texts, length, *qkv.shape[1:]).permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if bias is None else bias(length)[None]
        yield F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def sdpa_groups(qkv: Tensor, layout: Layout, bias: Callable[[int], Tensor] | None = None) -> Tensor:
    """`attended_groups` as one matrix (rows, dim), 0 in the rows after the last token."""
    tokens, _, heads, head_dim = qkv.shape
    out = torch.empty(tokens, heads * head_dim, dtype=qkv.dtype, device=qkv.device)
    out[layout.tokens :] = 0
    for (first, texts, length), attended in zip(
        layout.groups, attended_groups(qkv, layout, bias), strict=True
    ):
        out[first : first + texts * length].view(texts, length, heads, head_dim).copy_(attended)
    return out


def varlen(qkv: Tensor, layout: Layout) -> Tensor:
    """The same without bias, by one kernel over the whole batch, on CUDA in bf16 or fp16."""
    function = varlen_function()
    assert function is not None
    tokens, _, heads, head_dim = qkv.shape
    q, k, v = qkv.unbind(1)
    cu_seqlens = layout.cu_seqlens_on(qkv.device)
    return function(q, k, v, cu_seqlens, layout.max_length).reshape(tokens, heads * head_dim)


@functools.cache
def varlen_function() -> Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor] | None:
    """f(q, k, v, cu_seqlens, max_length) over packed (T, heads, head_dim), of torch or flash_attn or None."""
    for module, name in (
        ("torch.nn.attention.varlen", "varlen_attn"),
        ("flash_attn", "flash_attn_varlen_func"),
    ):
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
        return wrap_varlen(found)
    return None


def wrap_varlen(found: Callable[..., Tensor]) -> Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]:
    """Give `found` the one signature we call: its first seven arguments keep their order, the rest drifts.

    Where it has `num_splits`, 1 keeps a text's result from depending on what else is in the batch.
    """
    fixed = {"num_splits": 1} if "num_splits" in inspect.signature(found).parameters else {}

    def call(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_length: int) -> Tensor:
        return found(q, k, v, cu_seqlens, cu_seqlens, max_length, max_length, **fixed)

    return call


def relative_bias(table: Tensor) -> Callable[[int], Tensor]:
    """MPNet's bias by distance. table: (buckets, heads); returns f(tokens L) -> (heads, L, L), contiguous."""

    @functools.lru_cache(maxsize=1)
    def bias(length: int) -> Tensor:
        distance = torch.arange(1 - length, length, device=table.device)  # key minus query
        by_distance = table[_bucket(distance, table.shape[0])]  # (2 L - 1, heads)
        place = torch.arange(length, device=table.device)
        return by_distance[place[None, :] - place[:, None] + length - 1].permute(2, 0, 1).contiguous()

    return bias


def _bucket(distance: Tensor, buckets: int, max_distance: int = 128) -> Tensor:
    """T5's buckets: half for each side, half of those exact, the rest logarithmic up to max_distance."""
    side = buckets // 2
    exact = side // 2
    steps = distance.abs()
    growth = torch.log(steps.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = (exact + (growth * (side - exact)).long()).clamp(max=side - 1)
    return torch.where(steps < exact, steps, far) + side * (distance > 0)
