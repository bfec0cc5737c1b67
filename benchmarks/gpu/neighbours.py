"""Exact kNN beside chunked matrix products and topk, in bf16 (not exact) and float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from timing import Results, arguments, time_ms
from torch import Tensor

from univar.kernels.knn import knn

SIZES = [(65_536, 1_000_000, 384, 10), (1_000_000, 1_000_000, 384, 10), (8192, 1_000_000, 384, 10)]
SIZES += [(65_536, 1_000_000, 768, 10), (65_536, 1_000_000, 384, 50)]
DRY_SIZES = [(8, 300, 16, 3)]
BLOCK = 4096

Search = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def chunked(dtype: torch.dtype) -> Search:
    """4,096 queries at a time: all products, then torch.topk."""

    def search(queries: Tensor, corpus: Tensor, k: int) -> tuple[Tensor, Tensor]:
        corpus = corpus.to(dtype)
        best = [(part.to(dtype) @ corpus.T).topk(k, dim=1) for part in queries.split(BLOCK)]
        return torch.cat([b.values for b in best]), torch.cat([b.indices for b in best])

    return search


def clustered(n: int, dim: int, device: torch.device, seed: int) -> Tensor:
    """Rows around 4,096 centres in a space of 64 dims, of length 1, as embeddings of answers lie."""
    shared = torch.Generator(device).manual_seed(0)
    centres = torch.randn(4096, 64, generator=shared, device=device)
    turn = torch.randn(64, dim, generator=shared, device=device)
    own = torch.Generator(device).manual_seed(seed)
    chosen = torch.randint(0, 4096, (n,), generator=own, device=device)
    rows = centres[chosen] + 0.5 * torch.randn(n, 64, generator=own, device=device)
    return F.normalize(rows @ turn + 0.1 * torch.randn(n, dim, generator=own, device=device), dim=1)


def measured(search: Search, queries: Tensor, corpus: Tensor, k: int, expected: Tensor) -> dict[str, Any]:
    """Time, memory, TFLOP/s of 2 Q N D, and the share of the true neighbours found by the first queries."""
    _, rows = search(queries[: len(expected)], corpus, k)
    found = (rows[:, :, None] == expected[:, None, :]).any(dim=2).float().mean()
    timed = time_ms(lambda: search(queries, corpus, k), queries.device)
    operations = 2 * len(queries) * corpus.numel()
    return {**timed, "recall": float(found), "tflops": operations / timed["ms"] / 1e9}


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    results = Results(args)
    for size in DRY_SIZES if args.dry_run else SIZES:
        measure_size(results, args.device, *size)


def measure_size(
    results: Results, device: torch.device, n_queries: int, n_rows: int, dim: int, k: int
) -> None:
    """All searches over one corpus."""
    queries, corpus = clustered(n_queries, dim, device, 1), clustered(n_rows, dim, device, 2)
    expected = (queries[:64].double() @ corpus.double().T).topk(k, dim=1).indices
    peers: dict[str, Search] = {
        "univar": lambda q, c, k: knn(q, c, k, impl="triton"),
        "chunked bf16 mm + topk": chunked(torch.bfloat16),
    }
    if n_queries < 1_000_000:
        peers["chunked fp32 mm + topk"] = chunked(torch.float32)
    for name, search in peers.items():
        facts = {"what": "knn", "impl": name, "queries": n_queries, "rows": n_rows, "dim": dim, "k": k}
        results.measure(facts, lambda search=search: measured(search, queries, corpus, k, expected))


if __name__ == "__main__":
    main()
