"""Exact nearest neighbours of arrays: `univar.knn` beside FAISS's flat indexes and torch, on the CPU.

FAISS is loaded with the BLAS that fits the processor and uses it for every batch ("tuned"): as shipped it is
several times slower. The truth is float64; scores nearer than float32 resolves may stand in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.conftest import THREADS, Measure
from univar import knn
from univar.search.faiss_setup import load_faiss, tuned

ROWS, QUERIES, DIM, K = 50_000, 256, 384, 10
CENTRES, BLOCK = 2_000, 16_384
RESOLUTION = 2e-6  # what sums of 384 products in float32 may be off by

Search = Callable[[np.ndarray], np.ndarray]
"""Queries (Q, D) float32 to the rows (Q, k) of their neighbours, nearest first."""


def clustered(n: int, seed: int) -> np.ndarray:
    """(n, DIM) float32 rows of length 1 around common centres, as embeddings of answers lie."""
    centres = np.random.default_rng(0).standard_normal((CENTRES, DIM), dtype=np.float32) + 0.5
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, CENTRES, n)] + 0.4 * rng.standard_normal((n, DIM), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return clustered(QUERIES, 1)


@pytest.fixture(scope="module", params=["float32", "float16"])
def corpus(request: pytest.FixtureRequest) -> np.ndarray:
    return clustered(ROWS, 2).astype(request.param)


@pytest.fixture(scope="module")
def exact(queries: np.ndarray, corpus: np.ndarray) -> np.ndarray:
    """(Q, N) float64, all inner products."""
    return queries.astype(np.float64) @ corpus.astype(np.float64).T


def by_univar(corpus: np.ndarray) -> Search:
    return lambda queries: knn(queries, corpus, K, device="cpu")[1]


def by_faiss(corpus: np.ndarray) -> Search:
    faiss: Any = load_faiss()
    index = faiss.IndexFlatIP(DIM)
    if corpus.dtype == np.float16:
        index = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.train(corpus[:1].astype(np.float32))
    index.add(corpus.astype(np.float32))

    def search(queries: np.ndarray) -> np.ndarray:
        with tuned(len(queries), THREADS):
            return index.search(queries, K)[1]

    return search


def by_torch(corpus: np.ndarray) -> Search:
    """Block by block, so that float16 rows need not be widened all at once."""
    blocks = torch.from_numpy(corpus).split(BLOCK)

    def search(queries: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(queries)
        scores, indices = [], []
        for number, block in enumerate(blocks):
            best = (rows @ block.float().T).topk(K, dim=1)
            scores.append(best.values)
            indices.append(best.indices + number * BLOCK)
        chosen = torch.cat(scores, dim=1).topk(K, dim=1).indices
        return torch.cat(indices, dim=1).gather(1, chosen).numpy()

    return search


IMPLS = {"univar": by_univar, "faiss flat, tuned": by_faiss, "torch": by_torch}


@pytest.mark.parametrize("impl", IMPLS)
def test_search(
    impl: str, queries: np.ndarray, corpus: np.ndarray, exact: np.ndarray, measure: Measure
) -> None:
    if impl.startswith("faiss"):
        pytest.importorskip("faiss")
    torch.set_num_threads(THREADS)
    search = IMPLS[impl](corpus)
    found = np.take_along_axis(exact, search(queries), axis=1)
    nearest = -np.sort(-exact, axis=1)[:, :K]
    assert np.abs(found - nearest).max() < RESOLUTION
    measure(
        f"search: {K} neighbours of {QUERIES} queries, {ROWS:,} {corpus.dtype} rows",
        lambda: search(queries),
        queries=QUERIES,
    )


def test_neighbours_of_univar_are_in_the_order_of_float64(
    queries: np.ndarray, corpus: np.ndarray, exact: np.ndarray
) -> None:
    expected = np.argsort(-exact.astype(np.float32), axis=1, kind="stable")[:, :K]
    assert np.array_equal(by_univar(corpus)(queries), expected)
