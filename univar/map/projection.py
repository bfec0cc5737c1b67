"""Two coordinates of each embedding by principal components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from univar.errors import DataError

_BLOCK_ROWS = 65536


def project(embeddings: Any, fit: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components, the same whatever the blocks or the machine's choice of sign.

    embeddings: (N, D) array, or `Store.embeddings`; N >= 1
    fit:        (N,) bool, rows of an array that the mean and the axes are taken from, at least one; None: all
    returns:    coordinates (N, 2) float64 and the share of the variance on each axis (2,) float64
    Each axis points to where its largest weight is positive.
    """
    n = len(embeddings)
    if not n:
        raise DataError("there are no embeddings to project: embed some answers first")
    fitted = embeddings if fit is None else embeddings[fit]
    mean = sum(block.sum(axis=0) for block in _blocks(fitted)) / len(fitted)
    covariance = sum((block - mean).T @ (block - mean) for block in _blocks(fitted)) / len(fitted)
    axes, variances, _ = np.linalg.svd(covariance)
    axes = axes[:, :2]
    axes = axes * np.where(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0) < 0, -1, 1)
    coordinates = np.zeros((n, 2))
    coordinates[:, : axes.shape[1]] = np.concatenate([(block - mean) @ axes for block in _blocks(embeddings)])
    shares = np.zeros(2)
    shares[: axes.shape[1]] = variances[:2] / max(variances.sum(), np.finfo(np.float64).tiny)
    return coordinates, shares


def _blocks(embeddings: Any) -> Iterator[np.ndarray]:
    """Blocks in float64."""
    if hasattr(embeddings, "blocks"):
        parts = (block for _, block in embeddings.blocks(_BLOCK_ROWS))
    else:
        rows = np.asarray(embeddings)
        parts = (rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS))
    for part in parts:
        yield np.asarray(part, dtype=np.float64)
