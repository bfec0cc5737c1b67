"""AdamW, its learning-rate curves, and clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from univar.train.settings import TrainSettings

PROTOTYPES_TIMES = 100
"""Times the learning rate that prototypes take: they start anywhere and have far to go."""


def make_optimizer(named: Iterable[tuple[str, nn.Parameter]], settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with weight decay on the model's matrices alone; betas 0.9 and 0.999, eps 1e-8.

    "times" of a group is what its parameters take of the learning rate.
    """
    times = {"prototypes": PROTOTYPES_TIMES, "word": settings.word_rate}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and name != "prototypes"
            key = (settings.weight_decay if decays else 0.0, times.get(name, 1.0))
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": own, "weight_decay": decay, "times": rate} for (decay, rate), own in groups.items()],
        lr=settings.learning_rate,
        betas=(0.9, 0.999),
        eps=1e-8,
        fused=True,
    )


def learning_rate(settings: TrainSettings, step: int, progress: float) -> float:
    """The rate of step `step`, counted from 0.

    progress: share of the run that is done, in 0..1; only the cosine curve asks for it
    Both curves rise linearly from 0 over warmup_steps; then the inverse square root of the steps, or half a
    cosine to 0.
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return settings.learning_rate * step / warmup
    if settings.schedule == "inverse_sqrt":
        return settings.learning_rate * math.sqrt(max(1, warmup) / max(1, step))
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def clip(parameters: list[Tensor], most: float) -> float:
    """Scale the gradients so that their common norm is at most `most`; returns the norm before."""
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    torch.nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return float(norm)
