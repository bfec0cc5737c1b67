"""The Triton kernels of `knn`: the largest product in each group of corpus rows, and scores of groups."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def knn_groups_kernel(
    queries_ptr,
    corpus_ptr,
    maxima_ptr,
    Q,
    N,
    D: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    TILES_Q: tl.constexpr,
    TMA: tl.constexpr,
):
    """One tile of products (BLOCK_Q, BLOCK_N) in float32, of which only the groups' maxima are written.

    queries (Q, D), corpus (N, D): descriptors (TMA) or pointers, float16; maxima (Q, N / GROUP) float32
    """
    pid = tl.program_id(0)
    tiles_n = tl.cdiv(N, BLOCK_N)
    first = pid // (TILES_Q * tiles_n) * TILES_Q
    height = min(tl.cdiv(Q, BLOCK_Q) - first, TILES_Q)
    within = pid % (TILES_Q * tiles_n)
    row, col = (first + within % height) * BLOCK_Q, within // height * BLOCK_N
    offs_q, offs_n = row + tl.arange(0, BLOCK_Q), col + tl.arange(0, BLOCK_N)
    products = tl.zeros((BLOCK_Q, BLOCK_N), tl.float32)
    for k in range(0, D, BLOCK_K):
        if TMA:
            left, right = queries_ptr.load([row, k]), corpus_ptr.load([col, k])
        else:
            offs_k = k + tl.arange(0, BLOCK_K)
            inside = (offs_k < D)[None, :]
            at_q = queries_ptr + offs_q.to(tl.int64)[:, None] * D + offs_k[None, :]
            at_n = corpus_ptr + offs_n.to(tl.int64)[:, None] * D + offs_k[None, :]
            left = tl.load(at_q, mask=inside & (offs_q < Q)[:, None], other=0.0)
            right = tl.load(at_n, mask=inside & (offs_n < N)[:, None], other=0.0)
        products = tl.dot(left, right.T, products)
    if col + BLOCK_N > N:
        products = tl.where((offs_n < N)[None, :], products, float("-inf"))
    maxima = tl.max(tl.reshape(products, (BLOCK_Q, BLOCK_N // GROUP, GROUP)), 2)
    groups = tl.cdiv(N, GROUP)
    offs_g = col // GROUP + tl.arange(0, BLOCK_N // GROUP)
    mask = (offs_q < Q)[:, None] & (offs_g < groups)[None, :]
    tl.store(maxima_ptr + offs_q.to(tl.int64)[:, None] * groups + offs_g[None, :], maxima, mask=mask)


@triton.jit
def knn_rescore_kernel(
    queries_ptr,
    corpus_ptr,
    groups_ptr,
    scores_ptr,
    N,
    chosen,
    D: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Scores of one query with one of its chosen groups: products summed in float64, given as float32.

    queries (Q, D), corpus (N, D) floating point; groups (Q, chosen) int64; scores (Q, chosen * GROUP)
    """
    place = tl.program_id(0).to(tl.int64)  # in groups_ptr, read as one list
    query = place // chosen
    group = tl.load(groups_ptr + place)
    rows = group * GROUP + tl.arange(0, GROUP)
    total = tl.zeros((GROUP,), tl.float64)
    for start in range(0, D, BLOCK_D):
        offs = start + tl.arange(0, BLOCK_D)
        mask = offs < D
        q = tl.load(queries_ptr + query * D + offs, mask=mask, other=0.0).to(tl.float64)
        at = corpus_ptr + rows[:, None] * D + offs[None, :]
        c = tl.load(at, mask=(rows < N)[:, None] & mask[None, :], other=0.0).to(tl.float64)
        total += tl.sum(c * q[None, :], 1)
    scores = tl.where(rows < N, total.to(tl.float32), float("-inf"))
    tl.store(scores_ptr + place * GROUP + tl.arange(0, GROUP), scores)
