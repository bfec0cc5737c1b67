"""Low-rank parts of a model's matrices to train: what `univar.encoder.adapter` keeps and merges."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from univar.encoder.adapter import Adapter
from univar.encoder.checkpoint import MATRICES, layer_names
from univar.train.trainable import TrainableEncoder


class LowRank(nn.Module):
    """What is added to a matrix that is `parts` matrices stacked: (alpha / rank) B A for each of them.

    A starts at random from `generator`, B at zero: nothing is added at first.
    """

    def __init__(
        self, shape: tuple[int, int], parts: int, rank: int, alpha: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        rows, columns = shape[0] // parts, shape[1]
        bound = math.sqrt(3 / columns) / math.sqrt(3)
        start = torch.rand(parts, rank, columns, generator=generator) * 2 * bound - bound
        self.a, self.b = nn.Parameter(start), nn.Parameter(torch.zeros(parts, rows, rank))
        self._scale = alpha / rank

    def forward(self) -> Tensor:
        """(out, in) float32."""
        return (self._scale * torch.bmm(self.b, self.a)).flatten(0, 1)


def attach(model: TrainableEncoder, rank: int, seed: int) -> None:
    """Freeze the model and give each of its matrices a low-rank part to train; alpha is twice the rank."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for number, layer in enumerate(model.layers):
        names = layer_names(model.config.family, number)
        for part in MATRICES:
            affine = getattr(layer, part)
            stacked = len(names[part])
            affine.delta = LowRank(tuple(affine.weight.shape), stacked, rank, 2 * rank, generator)


def detach(model: TrainableEncoder) -> Adapter:
    """The low-rank parts of a model that `attach` prepared."""
    matrices: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    rank = 0
    for number, layer in enumerate(model.layers):
        names = layer_names(model.config.family, number)
        for part in MATRICES:
            delta = getattr(layer, part).delta
            rank = delta.a.shape[1]
            a, b = (matrix.detach().cpu().numpy() for matrix in (delta.a, delta.b))
            matrices |= dict(zip(names[part], zip(a, b, strict=True), strict=True))
    return Adapter(rank, 2.0 * rank, matrices)
