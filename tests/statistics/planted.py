"""Simulated answers whose truth is known: question, model and their interaction, with a decaying spectrum."""

from __future__ import annotations

import numpy as np

DIMS = 24


def spectrum() -> np.ndarray:
    """Standard deviations of the noise along its axes, as embeddings have them: a few large, many small."""
    return 1 / np.sqrt(1 + np.arange(DIMS))


def answers(
    rng: np.random.Generator, questions: int, sources: int = 2, *, per_cluster: int = 1, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(sources, questions, D) answers and (questions,) clusters.

    shift: squared length of what the last source has beyond the first, along the noise's third axis, in units
    of E|d|^2, the squared distance of two sources' answers to one question
    """
    sd = spectrum()
    n_clusters = -(-questions // per_cluster)
    clusters = np.repeat(np.arange(n_clusters), per_cluster)[:questions]
    topic = 3 * rng.standard_normal((n_clusters, DIMS)) * sd
    noise = rng.standard_normal((sources, questions, DIMS)) * sd
    if per_cluster > 1:
        noise += rng.standard_normal((sources, n_clusters, DIMS))[:, clusters] * sd
    out = topic[clusters] + noise
    variance = 2 * (sd**2).sum() * (2 if per_cluster > 1 else 1)
    direction = np.zeros(DIMS)
    direction[2] = np.sqrt(shift * variance)
    out[-1] += direction
    return out.astype(np.float32), clusters
