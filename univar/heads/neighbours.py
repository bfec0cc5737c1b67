"""The vote of nearest neighbours as log-odds, so that it can be calibrated beside other heads."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 20
ALPHA = 0.1
"""Votes that every source has to begin with: no source is impossible for want of a neighbour."""
_QUERIES_AT_ONCE = 512


def vote_log_odds(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(Q, C) float32 log of the smoothed shares. labels: (Q, k) int, sources of the neighbours, -1: none."""
    votes = np.zeros((len(labels), n_classes))
    query, place = np.nonzero(labels >= 0)
    np.add.at(votes, (query, labels[query, place]), 1.0)
    total = votes.sum(axis=1, keepdims=True) + ALPHA * n_classes
    odds: np.ndarray = np.log((votes + ALPHA) / total).astype(np.float32)
    return odds


def held_out_votes(
    x: np.ndarray, y: np.ndarray, folds: np.ndarray, n_classes: int, k: int = NEIGHBOURS
) -> np.ndarray:
    """(N, C) float32 vote of each row's k nearest rows by cosine, of other folds only.

    x: (N, D) float32; y, folds: (N,). Memory: one (512, N) matrix of similarities.
    """
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    labels = np.full((len(x), k), -1, np.int64)
    for first in range(0, len(x), _QUERIES_AT_ONCE):
        rows = slice(first, first + _QUERIES_AT_ONCE)
        scores = unit[rows] @ unit.T
        scores[folds[rows][:, None] == folds[None]] = -np.inf
        width = min(k, scores.shape[1] - 1)
        near = np.argpartition(scores, -width, axis=1)[:, -width:]
        found = np.isfinite(np.take_along_axis(scores, near, axis=1))
        labels[rows, :width] = np.where(found, y[near], -1)
    return vote_log_odds(labels, n_classes)
