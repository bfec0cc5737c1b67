"""Exact nearest neighbours by inner product, without ever writing the Q x N matrix of scores.

1. One pass over tiles in float16 writes the largest product of each group of 32 (16 for k > 64) corpus rows.
   Both sides are divided by powers of two first, so that nothing overflows.
2. The best k rows lie in at most k groups: those with the largest maxima, a few more for safety, are chosen.
3. Their rows are scored again, products summed in float64, and put in order: higher score, then lower row.
   Rows that are equal bit by bit are searched once.
4. A bound on float16's rounding, from the measured rounding of these data, limits how much a row outside the
   chosen groups can score. Where that reaches the k-th best score, more groups are chosen.

Results equal those of a float64 search for any tiles, blocks or devices. A corpus in the host's memory is
streamed through the device in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from univar.errors import UsageError
from univar.kernels import reference
from univar.kernels.checks import check_search, not_finite
from univar.kernels.knn.repeats import Folded, fold
from univar.kernels.launch import NEEDS, can_launch, on_device

if TYPE_CHECKING:
    from univar.kernels.knn.tiles_triton import Groups

Impl = Literal["auto", "triton", "torch"]
IMPLS = ("auto", "triton", "torch")
MARGIN = 6
CORPUS_BLOCK_BYTES = 4 << 30
WORKSPACE_BYTES = 1 << 30
NORM_ROWS = 1 << 16


def knn(queries: Tensor, corpus: Tensor, k: int, *, impl: Impl = "auto") -> tuple[Tensor, Tensor]:
    """The k corpus rows with the largest inner product with each query.

    queries: (Q, D), corpus: (N, D), floating point; the corpus on the queries' device or on the CPU
    k:       1..256
    impl:    "triton" (CUDA), "torch" (anywhere), "auto"
    returns: scores (Q, k) float32, the products summed in float64, from high to low, ties by the lower row;
             indices (Q, k) int64; -inf and -1 where the corpus has fewer than k rows
    Raises UsageError where arguments don't fit together, DataError for NaN or infinity, with its row.
    """
    _check(queries, corpus, k, impl)
    _refuse_nan(queries, "query", 0)
    best = _Best(len(queries), k, queries.device)
    search = _search_triton if _choose(impl, queries) == "triton" else _search_torch
    with on_device(queries.device):
        for start, block in _blocks(corpus, queries.device):
            _refuse_nan(block, "corpus", start)
            search(best, queries, block, start, k)
    return best.scores(), best.indices()


class _Best:
    """The best k (score, row) of each query so far, each as one int64 key: higher score, then lower row."""

    def __init__(self, n_queries: int, k: int, device: torch.device) -> None:
        self._keys = torch.full((n_queries, k), _NONE, dtype=torch.int64, device=device)

    def merged(self, queries: Tensor | slice, scores: Tensor, rows: Tensor) -> Tensor:
        """The best keys (q, k) among those so far and candidates (q, c), all different rows."""
        keys = torch.where(scores == -torch.inf, _NONE, _to_keys(scores, rows))
        return torch.cat([self._keys[queries], keys], dim=1).topk(self._keys.shape[1], dim=1).values

    def keep(self, queries: Tensor | slice, keys: Tensor) -> None:
        """Store these as the best keys of the queries."""
        self._keys[queries] = keys

    def scores(self) -> Tensor:
        return _scores_of(self._keys)

    def indices(self) -> Tensor:
        return torch.where(self._keys == _NONE, -1, _LAST_ROW - (self._keys & _LAST_ROW))


_LAST_ROW = (1 << 32) - 1


def _to_keys(scores: Tensor, rows: Tensor) -> Tensor:
    """int64 numbers in the order of (score, lower row first). rows below 2**32; no score is NaN."""
    bits = (scores + 0.0).view(torch.int32).long()  # + 0.0: minus zero is zero
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return (bits << 32) | (_LAST_ROW - rows)


def _scores_of(keys: Tensor) -> Tensor:
    bits = (keys >> 32).to(torch.int32)
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).view(torch.float32)


_NONE = int(_to_keys(torch.tensor([-math.inf]), torch.tensor([_LAST_ROW]))[0])


def _search_torch(best: _Best, queries: Tensor, block: Tensor, start: int, k: int) -> None:
    step = max(1, WORKSPACE_BYTES // (32 * len(block)))
    for first in range(0, len(queries), step):
        part = slice(first, first + step)
        scores, rows = reference.knn(queries[part], block, k)
        best.keep(part, best.merged(part, scores, rows + start))


def _search_triton(best: _Best, queries: Tensor, block: Tensor, start: int, k: int) -> None:
    folded = fold(block)
    if folded is None:
        _search_groups(best, queries, block, start, k)
    else:
        _search_folded(best, queries, folded, start, k)


def _search_groups(best: _Best, queries: Tensor, block: Tensor, start: int, k: int) -> None:
    from univar.kernels.knn.tiles_triton import Groups

    groups = Groups(queries, block, 32 if k <= 64 else 16)
    step = max(1, WORKSPACE_BYTES // (4 * len(groups)))
    for first in range(0, len(queries), step):
        pending = torch.arange(first, min(first + step, len(queries)), device=queries.device)
        chosen = min(len(groups), k + MARGIN)
        while len(pending):
            few = max(1, WORKSPACE_BYTES // (32 * chosen * groups.size))
            parts = [_settle(best, groups, part, start, chosen) for part in pending.split(few)]
            pending = torch.cat(parts)
            chosen = min(len(groups), 4 * chosen)


def _search_folded(best: _Best, queries: Tensor, folded: Folded, start: int, k: int) -> None:
    """Search the distinct rows of a block, then take each as often as it stands there.

    The best k rows are copies of the best k distinct ones, which tie in the order of their first copies.
    """
    distinct = _Best(len(queries), k, queries.device)
    _search_groups(distinct, queries, folded.rows, 0, k)
    scores, numbers = distinct.scores(), distinct.indices()
    for part in torch.arange(len(queries), device=queries.device).split(
        max(1, WORKSPACE_BYTES // (64 * k * k))
    ):
        copies, rows = folded.expand(scores[part], numbers[part])
        best.keep(part, best.merged(part, copies, rows + start))


def _settle(best: _Best, groups: Groups, queries: Tensor, start: int, chosen: int) -> Tensor:
    """Score the best `chosen` groups of each query; returns the queries that need more groups."""
    scores, rows, beyond = groups.score_best(queries, chosen)
    keys = best.merged(queries, scores, rows + start)
    settled = (_scores_of(keys[:, -1]) > beyond) | (chosen == len(groups))
    best.keep(queries[settled], keys[settled])
    return queries[~settled]


def _blocks(corpus: Tensor, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    """(first row, rows) of each block, on the device; from the host's memory, copied one block ahead."""
    size = max(1, CORPUS_BLOCK_BYTES // (corpus.shape[1] * corpus.element_size()))
    starts = range(0, len(corpus), size)
    if corpus.device == device:
        for start in starts:
            yield start, corpus[start : start + size]
        return
    stream = torch.cuda.Stream(device)
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(_copy, corpus[:size], stream)
        for start in starts:
            block = following.result()
            following = ahead.submit(_copy, corpus[start + size : start + 2 * size], stream)
            block.record_stream(torch.cuda.current_stream(device))
            yield start, block


def _copy(rows: Tensor, stream: torch.cuda.Stream) -> Tensor:
    with torch.cuda.stream(stream):
        block = rows.pin_memory().to(stream.device, non_blocking=True)
        stream.synchronize()
    return block


def _refuse_nan(rows: Tensor, side: str, start: int) -> None:
    """Raise DataError if a row contains NaN or infinity."""
    for first in range(0, len(rows), NORM_ROWS):  # a norm in float64 copies its input
        part = rows[first : first + NORM_ROWS]
        bad = ~torch.linalg.vector_norm(part, dim=1, dtype=torch.float64).isfinite()
        if bool(bad.any()):
            raise not_finite(side, start + first + int(bad.nonzero()[0, 0]))


def _choose(impl: Impl, queries: Tensor) -> str:
    if impl != "auto":
        return impl
    return "triton" if queries.is_cuda and can_launch(queries.device) else "torch"


def _check(queries: Tensor, corpus: Tensor, k: int, impl: str) -> None:
    if impl not in IMPLS:
        raise UsageError(f"unknown impl {impl!r}: give one of {', '.join(IMPLS)}")
    check_search(queries, corpus, k)
    if not (queries.is_floating_point() and corpus.is_floating_point()):
        raise UsageError(f"queries and corpus must be floating point, got {queries.dtype}, {corpus.dtype}")
    if corpus.device != queries.device and corpus.device.type != "cpu":
        raise UsageError(f"queries are on {queries.device}, the corpus on {corpus.device}: move one of them")
    if impl == "triton" and not can_launch(queries.device):
        raise UsageError(f"impl='triton' {NEEDS}: give 'torch' or 'auto'")
