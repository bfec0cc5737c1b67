"""Weights between the base's and the trained ones (WiSE-FT, arXiv 2109.01903)."""

from __future__ import annotations

import torch

from univar.train.trainable import TrainableEncoder


@torch.no_grad()
def mix_in_base(model: TrainableEncoder, base: TrainableEncoder, share: float) -> None:
    """Turn every trained parameter of `model` into (1 - share) trained + share base, in place.

    base: the model as it was before the first step. What an adapter adds to it shrinks to 1 - share by its B,
    which started at zero; A stays.
    """
    starts = dict(base.named_parameters())
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or name.endswith("delta.a"):
            continue
        start = starts.get(name)
        parameter.lerp_(torch.zeros_like(parameter) if start is None else start.to(parameter.device), share)
