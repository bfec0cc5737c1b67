"""Kernels on a CUDA device beside torch and torch.compile; `gpu_check.sh` has more sizes and more peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from benchmarks.conftest import Measure
from benchmarks.test_info_nce import Loss, assert_near, plain, plain_fp32_logits, step, views
from univar import info_nce
from univar.kernels.knn import knn

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
BATCH, DIM = 16_384, 384
QUERIES, ROWS, K = 8_192, 200_000, 10


def synchronised(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call, which ends when the device has ended."""

    def run() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return run


def peak_gpu_mb(call: Callable[[], Any]) -> float:
    """MB on the device at the peak of a call, beyond what was there."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


LOSSES: dict[str, Callable[[], Loss]] = {
    "univar triton": lambda: lambda a, p, s: info_nce(a, p, log_scale=s, impl="triton"),
    "torch": lambda: plain_fp32_logits,
    "torch.compile": lambda: torch.compile(plain_fp32_logits, dynamic=False),
}


@pytest.mark.parametrize("impl", LOSSES)
def test_info_nce_on_gpu(impl: str, measure: Measure) -> None:
    anchor, positive = views(BATCH, DIM, "cuda")
    loss = LOSSES[impl]()
    exact = step(plain, anchor, positive, torch.float32)
    assert_near(step(loss, anchor, positive, torch.bfloat16), exact, 0.03)
    run = synchronised(lambda: step(loss, anchor, positive, torch.bfloat16))
    measure(
        f"info_nce on {torch.cuda.get_device_name()}: {BATCH:,} pairs, {DIM} dims, bf16",
        run,
        pairs=BATCH,
        peak_gpu_mb=peak_gpu_mb(run),
    )


def chunked_search(queries: torch.Tensor, corpus: torch.Tensor) -> torch.Tensor:
    """4,096 queries at a time: all products in float32, then topk."""
    return torch.cat([(part @ corpus.T).topk(K, dim=1).indices for part in queries.split(4096)])


SEARCHES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "univar triton": lambda queries, corpus: knn(queries, corpus, K, impl="triton")[1],
    "torch": chunked_search,
}


@pytest.mark.parametrize("impl", SEARCHES)
def test_search_on_gpu(impl: str, measure: Measure) -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    corpus, queries = (
        F.normalize(torch.randn(n, DIM, generator=generator, device="cuda"), dim=1) for n in (ROWS, QUERIES)
    )
    run = synchronised(lambda: SEARCHES[impl](queries, corpus))
    exact = (queries[:64].double() @ corpus.double().T).topk(K, dim=1).indices
    assert (run()[:64] == exact).float().mean() > 0.999
    measure(
        f"search on {torch.cuda.get_device_name()}: {QUERIES:,} queries, {ROWS:,} rows, {DIM} dims",
        run,
        queries=QUERIES,
        peak_gpu_mb=peak_gpu_mb(run),
    )
