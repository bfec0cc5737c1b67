"""A store in memory with the surface that an index needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from univar.search.exact import ArrayEmbeddings


class MemoryStore:
    def __init__(self, array: np.ndarray, path: Path = Path("memory"), fingerprint: str = "f0") -> None:
        self.embeddings, self.dim, self.path = ArrayEmbeddings(array), array.shape[1], path
        self.encoder = {"id": "tiny", "dim": array.shape[1]}
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self.embeddings)


@pytest.fixture
def memory_store():
    return MemoryStore


@pytest.fixture(scope="session")
def clustered():
    """(3000, 24) float16 unit vectors around 60 centres, as real embeddings lie."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((60, 24))
    rows = centres[rng.integers(0, 60, 3000)] + 0.5 * rng.standard_normal((3000, 24))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="session")
def queries(clustered):
    rng = np.random.default_rng(6)
    rows = clustered[rng.integers(0, 3000, 40)].astype(np.float32) + 0.1 * rng.standard_normal((40, 24))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
