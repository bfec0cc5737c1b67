"""What value training minimises: labels within a question, the base's geometry, and a teacher's vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from univar.heads.lda import LinearHead

SIMILARITY_WEIGHT = 4.0
"""Weight of the squared difference of pairwise similarities beside the cosine, in `TeacherObjective`."""


@dataclass(frozen=True)
class LabelledBatch:
    """One batch of n answers.

    labels: (n, V) bool; questions: (n,) int64; base: (n, D) float32, the untrained encoder's unit vectors
    """

    labels: Tensor
    questions: Tensor
    base: Tensor


class LabelObjective(nn.Module):
    """One logistic head a value, started from probes of the untrained encoder.

    The loss is the cross-entropy of each label, plus `pairwise` times the logistic loss of pairs of answers
    to one question of which one carries the value, plus `geometry` times one minus the cosine to the
    untrained encoder's vector.
    """

    def __init__(self, head: LinearHead, pairwise: float, geometry: float) -> None:
        super().__init__()
        self.head = nn.Parameter(torch.from_numpy(head.weights.copy()))
        self.head_bias = nn.Parameter(torch.from_numpy(head.bias.copy()))
        self._pairwise, self._geometry = pairwise, geometry

    def forward(self, x: Tensor, batch: LabelledBatch) -> Tensor:
        """x: (n, D) float32 unit vectors -> ()."""
        odds = x @ self.head + self.head_bias
        loss = F.binary_cross_entropy_with_logits(odds, batch.labels.to(odds.dtype))
        if self._pairwise:
            loss = loss + self._pairwise * within_question(odds, batch.labels, batch.questions)
        if self._geometry:
            loss = loss + self._geometry * (1 - (x * batch.base).sum(dim=1)).mean()
        return loss


def within_question(odds: Tensor, labels: Tensor, questions: Tensor) -> Tensor:
    """Mean of log(1 + exp(lacking - carrying)) over pairs of answers to one question; 0 without a pair.

    odds: (n, V) float32; labels: (n, V) bool; questions: (n,)
    """
    same = (questions[:, None] == questions[None]).unsqueeze(2)
    pairs = same & labels[:, None] & ~labels[None]  # (carrying, lacking, V)
    if not bool(pairs.any()):
        return odds.sum() * 0
    return F.softplus(odds[None] - odds[:, None])[pairs].mean()


class TeacherObjective(nn.Module):
    """A linear map of the student's vectors to the teacher's, thrown away afterwards.

    The loss is one minus the cosine of the two, plus SIMILARITY_WEIGHT times the squared difference of the
    texts' pairwise similarities.
    """

    def __init__(self, start: np.ndarray) -> None:
        super().__init__()
        self.head = nn.Parameter(torch.from_numpy(start.astype(np.float32)))

    def forward(self, x: Tensor, teacher: Tensor) -> Tensor:
        """x: (n, D) unit vectors of the student; teacher: (n, E) unit vectors -> ()."""
        near = F.cosine_similarity(x @ self.head, teacher, dim=1)
        off = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        apart = (x @ x.T - teacher @ teacher.T)[off].square().mean() if len(x) > 1 else x.sum() * 0
        return (1 - near).mean() + SIMILARITY_WEIGHT * apart


def least_squares(student: np.ndarray, teacher: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """(D, E) float32: the map of student vectors (n, D) that comes nearest the teacher's (n, E)."""
    x, y = student.astype(np.float64), teacher.astype(np.float64)
    gram = x.T @ x + ridge * len(x) * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ y).astype(np.float32)


def one_cycle(peak: float, step: int, steps: int, warmup: float = 0.1) -> float:
    """Learning rate of step 0..steps-1: up in a line over the share `warmup`, then down half a cosine."""
    share = (step + 1) / steps
    if share < warmup:
        return peak * share / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))
