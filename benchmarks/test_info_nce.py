"""InfoNCE, forward and backward, on the CPU: `univar.info_nce` beside plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.conftest import THREADS, Measure
from univar import info_nce

BATCH, DIM, SCALE = 4096, 384, 20.0
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.03}
"""Relative error of loss and gradients against float64."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
    """The loss as most training code has it: one matrix of logits, cross entropy both ways."""
    logits = anchor @ positive.T * log_scale.exp().to(anchor.dtype)
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def plain_fp32_logits(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
    """The product in the inputs' dtype, the logits in float32, as under autocast."""
    logits = (anchor @ positive.T).float() * log_scale.exp()
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def chunked(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
    return info_nce(anchor, positive, log_scale=log_scale, impl="chunked")


IMPLS: dict[str, tuple[Loss, torch.dtype]] = {
    "univar fp32": (chunked, torch.float32),
    "torch fp32": (plain, torch.float32),
    "univar bf16": (chunked, torch.bfloat16),
    "torch bf16": (plain, torch.bfloat16),
    "torch bf16, fp32 logits": (plain_fp32_logits, torch.bfloat16),
}


def views(batch: int, dim: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Two noisy views of random directions, rows of length 1, float32."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(batch, dim, generator=generator)
    made = [centre + torch.randn(batch, dim, generator=generator) for _ in range(2)]
    anchor, positive = (F.normalize(view, dim=1).to(device) for view in made)
    return anchor, positive


def step(loss: Loss, anchor: Tensor, positive: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Loss, and its gradients by anchor, positive and log scale."""
    inputs = [side.to(dtype).requires_grad_() for side in (anchor, positive)]
    inputs.append(torch.tensor(math.log(SCALE), device=anchor.device, requires_grad=True))
    value = loss(*inputs)
    value.backward()
    return [value.detach(), *(one.grad for one in inputs if one.grad is not None)]


def assert_near(got: list[Tensor], exact: list[Tensor], tolerance: float) -> None:
    """Loss and gradients, by the length of the difference over the exact length."""
    for name, own, truth in zip(("loss", "d_anchor", "d_positive", "d_log_scale"), got, exact, strict=True):
        error = (own.double() - truth.double()).norm() / truth.double().norm()
        assert error < tolerance, f"{name} is off by {error:.2%}"


@pytest.fixture(scope="module")
def exact() -> list[Tensor]:
    """In float64."""
    return step(plain, *views(BATCH, DIM), torch.float64)


@pytest.mark.parametrize("impl", IMPLS)
def test_info_nce(impl: str, exact: list[Tensor], measure: Measure) -> None:
    torch.set_num_threads(THREADS)
    loss, dtype = IMPLS[impl]
    anchor, positive = views(BATCH, DIM)
    if impl != "torch bf16":  # the logits of plain bf16 have 8 bits, which no tolerance should hide
        assert_near(step(loss, anchor, positive, dtype), exact, TOLERANCE[dtype])
    measure(
        f"info_nce: forward and backward of {BATCH:,} pairs, {DIM} dims",
        lambda: step(loss, anchor, positive, dtype),
        pairs=BATCH,
    )
