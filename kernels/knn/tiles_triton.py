"""Groups of a block's rows: which ones may hold a query's neighbours, and the scores of their rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from univar.kernels.knn.kernels import knn_groups_kernel, knn_rescore_kernel
from univar.kernels.launch import Config, descriptor, has_tma

CONFIG = {True: Config(128, 256, 64, 8, 3), False: Config(128, 128, 32, 8, 3)}
"""By TMA; tests/kernels/test_aot.py compiles both."""
TILES_Q = 8
ROUND_ROWS = 1 << 16


@dataclass(frozen=True)
class _Rounded:
    """Queries or corpus in float16: rows (n, D rounded up to 8), divided by the power of two `unit`.

    norm, lost: (n,) float64, norms of the divided rows, and of what rounding took from them
    """

    rows: Tensor
    unit: float
    norm: Tensor
    lost: Tensor


class Groups:
    """Queries (Q, D) against a block (N, D) of the corpus on one device, in groups of `size` rows."""

    def __init__(self, queries: Tensor, block: Tensor, size: int) -> None:
        self._queries, self._block, self.size = queries.contiguous(), block.contiguous(), size
        self._q, self._c = _round(self._queries), _round(self._block)

    def __len__(self) -> int:
        return -(-len(self._block) // self.size)

    def score_best(self, queries: Tensor, chosen: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the `chosen` groups with the largest maxima. queries: (q,) int64, numbers of the queries.

        Returns scores (q, chosen * size) float32, -inf beyond the last row; rows (q, chosen * size) int64;
        beyond (q,) float32: no row of another group, if there is one, scores more.
        """
        maxima = self._maxima(self._q.rows[queries])
        top = maxima.topk(min(chosen + 1, len(self)), dim=1)
        groups = top.indices[:, :chosen].contiguous()
        scores = self._rescore(self._queries[queries], groups)
        rows = groups[:, :, None] * self.size + torch.arange(self.size, device=groups.device)
        return scores, rows.flatten(1), self._bound(top.values[:, -1], queries)

    def _maxima(self, queries: Tensor) -> Tensor:
        """(q, groups) float32. queries: (q, D) float16."""
        (n_queries, dim), n_rows = queries.shape, len(self._block)
        maxima = torch.empty(n_queries, len(self), dtype=torch.float32, device=queries.device)
        tma = has_tma(queries.device)
        config = CONFIG[tma]
        grid = (triton.cdiv(n_queries, config.block_m) * triton.cdiv(n_rows, config.block_n),)
        knn_groups_kernel[grid](
            descriptor(queries, config.block_m, config.block_k),
            descriptor(self._c.rows, config.block_n, config.block_k),
            maxima,
            n_queries,
            n_rows,
            dim,
            self.size,
            config.block_m,
            config.block_n,
            config.block_k,
            TILES_Q,
            tma,
            num_warps=config.num_warps,
            num_stages=config.num_stages,
        )
        return maxima

    def _rescore(self, queries: Tensor, groups: Tensor) -> Tensor:
        """(q, chosen * size) float32. queries: (q, D); groups: (q, chosen) int64."""
        n_queries, chosen = groups.shape
        scores = torch.empty(n_queries, chosen * self.size, dtype=torch.float32, device=groups.device)
        knn_rescore_kernel[(n_queries * chosen,)](
            queries,
            self._block,
            groups,
            scores,
            len(self._block),
            chosen,
            queries.shape[1],
            self.size,
            64,
            num_warps=4,
        )
        return scores

    def _bound(self, maximum: Tensor, queries: Tensor) -> Tensor:
        """The largest score (q,) float32 that rows can have whose float16 product is at most `maximum`.

        Cauchy-Schwarz for what rounding took from either side, and a float32 sum of D products that may be
        cut off rather than rounded.
        """
        norm, lost = self._q.norm[queries], self._q.lost[queries]
        longest, most_lost = self._c.norm.max(), self._c.lost.max()
        summing = (self._block.shape[1] + 2) * 2.0**-22 * (norm + lost) * (longest + most_lost)
        slack = lost * longest + (norm + lost) * most_lost + summing
        return ((maximum.double() + slack) * (self._q.unit * self._c.unit)).float()


def _round(side: Tensor) -> _Rounded:
    parts = side.split(ROUND_ROWS)  # a norm in float64 copies its input
    norm = torch.cat([torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in parts])
    longest = float(norm.max())
    unit = 2.0 ** math.ceil(math.log2(longest)) if longest > 0 else 1.0
    n, dim = side.shape
    rows = torch.zeros(n, -(-dim // 8) * 8, dtype=torch.float16, device=side.device)
    lost = torch.empty(n, dtype=torch.float64, device=side.device)
    for start in range(0, n, ROUND_ROWS):
        part = slice(start, start + ROUND_ROWS)
        exact = side[part].double() / unit
        rows[part, :dim] = exact
        lost[part] = torch.linalg.vector_norm(exact - rows[part, :dim], dim=1)
    return _Rounded(rows, unit, norm / unit, lost)
