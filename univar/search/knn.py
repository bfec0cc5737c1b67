"""`knn`: exact nearest neighbours of arrays, by Triton on a CUDA device, in C++ on the CPU."""

from __future__ import annotations

import numpy as np

from univar import runtime
from univar.errors import UsageError
from univar.kernels.checks import check_search
from univar.search.exact import ArrayEmbeddings, ExactSearch


def knn(
    queries: np.ndarray, corpus: np.ndarray, k: int, *, device: str = "auto", threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k corpus rows with the largest inner product with each query.

    queries: (Q, D), corpus: (N, D), float16 or float32; the corpus may be memory-mapped, and larger than the
             device's memory
    k:       1..256
    device:  "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N"
    threads: number of CPU threads; None for one per processor that the process may use
    returns: scores (Q, k) float32, products summed in float64, from high to low, ties by the lower row;
             indices (Q, k) int64; -inf and -1 where the corpus has fewer than k rows
    Raises UsageError where arguments don't fit together, DataError for NaN or infinity, with its row.
    """
    queries, corpus = np.asanyarray(queries), np.asanyarray(corpus)
    check_search(queries, corpus, k)
    for name, side in (("queries", queries), ("corpus", corpus)):
        if side.dtype not in (np.float16, np.float32):
            raise UsageError(f"{name} must be float16 or float32, got {side.dtype}: convert with .astype")
    chosen = runtime.choose_device(device)
    if chosen != "cpu":
        import torch

        from univar.kernels.knn import knn as knn_on_device

        there = torch.from_numpy(np.ascontiguousarray(queries)).to(chosen)
        scores, indices = knn_on_device(there, torch.from_numpy(np.ascontiguousarray(corpus)), k)
        return scores.cpu().numpy(), indices.cpu().numpy()
    search = ExactSearch(ArrayEmbeddings(corpus), corpus.shape[1], max(1, len(corpus)), threads)
    return search.search(queries, k)
