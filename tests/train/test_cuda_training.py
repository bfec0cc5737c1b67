"""What training does on CUDA devices, told without one: devices, process groups, one kernel of attention."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from univar.encoder.checkpoint import load_weights
from univar.encoder.config import read_config
from univar.encoder.packing import Layout
from univar.train import autograd, gradients
from univar.train.gradients import Backpropagation, Processes
from univar.train.trainable import TrainableEncoder


@pytest.mark.parametrize(("device", "backend"), [("cpu", "gloo"), ("cuda:3", "nccl")])
def test_the_group_follows_the_chosen_device(
    device: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gradients.dist, "is_initialized", lambda: False)
    monkeypatch.setattr(gradients.dist, "get_rank", lambda: 3)
    monkeypatch.setattr(
        gradients.dist, "init_process_group", lambda name, device_id=None: asked.append((name, device_id))
    )
    joined = Processes.of_environment(torch.device(device))
    assert joined == Processes(3, 4, torch.device(device))
    assert asked == [(backend, torch.device(device) if backend == "nccl" else None)]


class OneKernel(torch.autograd.Function):
    """Stands for torch's varlen_attn: one launch forward, one launch backward."""

    launches = 0

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor) -> Tensor:
        OneKernel.launches += 1
        ctx.save_for_backward(q, k, v)
        ctx.ends = cu_seqlens.tolist()
        with uncounted(), torch.no_grad():
            return attention(q, k, v, ctx.ends)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        OneKernel.launches += 1
        with uncounted(), torch.enable_grad():
            given = [x.detach().requires_grad_() for x in ctx.saved_tensors]
            return *torch.autograd.grad(attention(*given, ctx.ends), given, grads[0]), None


def attention(q: Tensor, k: Tensor, v: Tensor, ends: list[int]) -> Tensor:
    """Softmax attention text by text; (T, heads, head_dim)."""
    parts = []
    for start, end in pairwise(ends):
        scores = torch.einsum("qhd,khd->hqk", q[start:end], k[start:end]) / q.shape[2] ** 0.5
        parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[start:end]))
    return torch.cat(parts)


VIEWS = {
    *("view", "t", "transpose", "permute", "expand", "slice", "select", "unbind", "detach", "split", "alias"),
    *("unsqueeze", "squeeze", "as_strided", "_unsafe_view", "unsafe_split", "lift_fresh"),
    *("empty", "empty_like", "new_empty", "_local_scalar_dense"),
}
"""Operations that launch nothing."""


class Launches(TorchDispatchMode):
    """Counts operations that would launch a kernel."""

    paused = False

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.count += not Launches.paused and name not in VIEWS
        return func(*args, **(kwargs or {}))


class uncounted:
    """Inside, operations belong to one kernel that is counted elsewhere."""

    def __enter__(self) -> None:
        Launches.paused = True

    def __exit__(self, *_: object) -> None:
        Launches.paused = False


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention takes the path of CUDA, with a stub for the kernel."""

    def stub(qkv: Tensor, layout: Layout) -> Tensor:
        q, k, v = qkv.unbind(1)
        return OneKernel.apply(q, k, v, layout.cu_seqlens_on(qkv.device)).flatten(1)

    monkeypatch.setattr(autograd, "runs_varlen", lambda qkv: True)
    monkeypatch.setattr(autograd, "varlen", stub)
    monkeypatch.setattr(OneKernel, "launches", 0)


def texts_of(lengths: list[int]) -> tuple[np.ndarray, Layout]:
    layout = Layout(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    ids = np.zeros(layout.rows, np.int32)
    ids[: layout.tokens] = np.random.default_rng(0).integers(5, 20, layout.tokens)
    return ids, layout


def gradients_of(encoder: TrainableEncoder, ids: np.ndarray, layout: Layout) -> list[Tensor]:
    weights = [p for p in encoder.parameters() if p.requires_grad]
    loss = encoder(ids, layout).sum(0).square().sum()
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [x.to_dense() if x.is_sparse else x for x in found if x is not None]


def encoder_of(folder: Path) -> TrainableEncoder:
    config = read_config(folder)
    return TrainableEncoder(config, load_weights(config), torch.float32)


def test_attention_of_cuda_has_the_gradients_of_the_cpu(
    tiny_bert: Path, request: pytest.FixtureRequest
) -> None:
    ids, layout = texts_of([9, 9, 7, 3, 1])
    assert layout.rows > layout.tokens  # rows that the kernel leaves unset
    encoder = encoder_of(tiny_bert)
    plain = gradients_of(encoder, ids, layout)
    request.getfixturevalue("as_on_cuda")
    for found, wanted in zip(gradients_of(encoder, ids, layout), plain, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert OneKernel.launches == 2 * encoder.config.layers


@pytest.mark.usefixtures("as_on_cuda")
def test_launches_of_a_training_chunk_do_not_grow_with_its_texts(tiny_bert: Path) -> None:
    encoder = encoder_of(tiny_bert)
    counted = []
    for texts in (4, 40):
        ids, layout = texts_of(sorted(range(1, texts + 1), reverse=True))
        OneKernel.launches = 0
        with Launches() as launches:
            gradients_of(encoder, ids, layout)
        counted.append(launches.count + OneKernel.launches)
    assert counted[0] == counted[1]
    per_layer = counted[0] / encoder.config.layers
    assert 2 * per_layer <= 120, counted


def test_a_chunk_on_cuda_holds_16_times_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Encoder(torch.nn.Module):
        word = torch.empty(1, 1, device="meta")

    monkeypatch.setattr(gradients, "CUDA_CHUNKS", 16)
    back = Backpropagation(Encoder(), None, 1, 4096)  # type: ignore[arg-type]
    assert back._budget(1 << 20) <= 4096 + 256
    monkeypatch.setattr(Encoder, "word", type("Word", (), {"device": torch.device("cuda:1")}))
    back = Backpropagation(Encoder(), None, 1, 4096)  # type: ignore[arg-type]
    assert back._budget(1 << 20) == 65_536 + 256
