"""Pairs to take the loss of, and the loss with its gradients by any implementation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from univar import info_nce

NAMES = ("loss", "d_anchor", "d_positive", "d_log_scale")


@dataclass(frozen=True)
class Pairs:
    anchor: Tensor
    positive: Tensor
    labels: Tensor

    def to(self, dtype: torch.dtype) -> Pairs:
        return Pairs(self.anchor.to(dtype), self.positive.to(dtype), self.labels)


def random_pairs(batch: int, dim: int, device: torch.device, labels: int | None = None) -> Pairs:
    """Independent directions, rows of length 1, float64; a label has about four pairs."""
    generator = torch.Generator().manual_seed(1000 * batch + dim)
    sides = [torch.randn(batch, dim, generator=generator, dtype=torch.float64) for _ in range(2)]
    anchor, positive = (F.normalize(side, dim=1).to(device) for side in sides)
    codes = torch.randint(0, labels or max(3, batch // 4), (batch,), generator=generator)
    return Pairs(anchor, positive, codes.to(device))


def converged_pairs(batch: int, dim: int, device: torch.device) -> Pairs:
    """Pairs that training has brought together: the positive is the anchor, a little turned.

    Anchors are orthogonal up to `dim` pairs, beyond that random directions; a label has about four pairs.
    """
    generator = torch.Generator().manual_seed(batch)
    if batch <= dim:
        square = torch.randn(dim, batch, generator=generator, dtype=torch.float64)
        anchor = torch.linalg.qr(square).Q.T.contiguous()
    else:
        anchor = random_pairs(batch, dim, torch.device("cpu")).anchor
    turn = F.normalize(torch.randn(batch, dim, generator=generator, dtype=torch.float64), dim=1)
    positive = F.normalize(anchor + 0.01 * turn, dim=1)
    labels = torch.arange(batch) // 4
    return Pairs(anchor.to(device), positive.to(device), labels.to(device))


INPUTS = {"random": random_pairs, "converged": converged_pairs}


def loss_and_gradients(pairs: Pairs, scale: float, impl: str, **options: object) -> list[Tensor]:
    """[loss, d_anchor, d_positive, d_log_scale] of `NAMES`, float64 on the CPU."""
    anchor, positive = (x.clone().requires_grad_() for x in (pairs.anchor, pairs.positive))
    dtype = torch.promote_types(anchor.dtype, torch.float32)
    log_scale = torch.tensor(scale, dtype=dtype, device=anchor.device).log().requires_grad_()
    loss = info_nce(anchor, positive, log_scale=log_scale, labels=pairs.labels, impl=impl, **options)
    loss.backward()
    return [x.detach().double().cpu() for x in (loss, anchor.grad, positive.grad, log_scale.grad)]


def error(got: Tensor, exact: Tensor) -> float:
    """Length of the difference, relative to the exact value where that is not tiny."""
    return float((got - exact).norm() / exact.norm().clamp_min(1e-6))
