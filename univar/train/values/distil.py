"""A teacher's vectors handed to a smaller encoder on texts without labels."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from univar.encoder.tokenizer import Tokens
from univar.statistics.intervals import Interval, jackknife_t
from univar.train.values.objective import TeacherObjective, least_squares
from univar.train.values.settings import ValueSettings

_FIT_ROWS = 20_000
"""Rows that the principal axes and the first linear map are fitted on."""


class TeacherTask:
    """Training a student on the vectors that a teacher gives the same texts, or their translations.

    tokens:  the texts as the student reads them
    seen:    (m,) int64, the texts that are trained on
    teacher: (n, E) float32 unit vectors of the teacher
    student: (n, D) float32 unit vectors of the student before it is trained
    target:  (n, teacher_dims) float32, what is learnt: `principal` of the teacher's
    """

    def __init__(
        self,
        tokens: Tokens,
        seen: np.ndarray,
        teacher: np.ndarray,
        student: np.ndarray,
        settings: ValueSettings,
    ) -> None:
        self.ids, self.cu_seqlens = tokens.ids, tokens.cu_seqlens
        self._settings, self._seen, self._base = settings, seen, student
        self.target = principal(teacher, settings.teacher_dims)
        fit = _some(seen)
        self.objective: nn.Module = TeacherObjective(least_squares(student[fit], self.target[fit]))
        digest = hashlib.sha256(tokens.ids.tobytes() + np.ascontiguousarray(teacher).tobytes())
        self.identity: dict[str, Any] = {"texts": digest.hexdigest()}

    def steps_per_epoch(self) -> int:
        """Whole batches of the texts."""
        return max(1, len(self._seen) // self._settings.batch)

    def rows(self, step: int) -> np.ndarray:
        """(batch,) int64, in another order each epoch."""
        epoch, place = divmod(step, self.steps_per_epoch())
        rng = np.random.Generator(np.random.Philox(key=[self._settings.seed, epoch]))
        order = rng.permutation(self._seen)
        return order[place * self._settings.batch : (place + 1) * self._settings.batch]

    def loss(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """() of the unit vectors (b, D) of `rows`."""
        found: Tensor = self.objective(x, torch.from_numpy(self.target[rows]).to(x.device))
        if self._settings.geometry:
            base = torch.from_numpy(self._base[rows]).to(x.device)
            found = found + self._settings.geometry * (1 - (x * base).sum(dim=1)).mean()
        return found


def principal(x: np.ndarray, dims: int) -> np.ndarray:
    """(n, dims) float32 unit vectors: x (n, E) on its first principal axes about the origin.

    Nothing is centred, so that similarities stay what they are.
    """
    part = x[:: max(1, len(x) // _FIT_ROWS)].astype(np.float64)
    _, axes = np.linalg.eigh(part.T @ part)
    kept = x @ axes[:, ::-1][:, : min(dims, x.shape[1])].astype(np.float32)
    return kept / np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), 1e-12)


def mapped_cosine(x: np.ndarray, target: np.ndarray, fit: np.ndarray, test: np.ndarray) -> Interval:
    """Mean cosine of x (n, D), mapped by least squares on the rows `fit`, to target (n, E), on `test`."""
    rows = _some(fit)
    mapped = x[test] @ least_squares(x[rows], target[rows])
    mapped /= np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
    near = (mapped * target[test]).sum(axis=1).astype(np.float64)
    left_out = (near.sum() - near) / max(1, len(near) - 1)
    return jackknife_t(float(near.mean()), left_out)


def _some(rows: np.ndarray) -> np.ndarray:
    """At most about _FIT_ROWS of the rows."""
    return rows[:: max(1, len(rows) // _FIT_ROWS)]
