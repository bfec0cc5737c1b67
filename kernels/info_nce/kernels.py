"""The Triton kernels of `info_nce`; `univar.kernels.info_nce.tiles_triton` launches them.

Logits are in base 2: x = logit * log2(e), so that exp(logit) = exp2(x) is one instruction. The backward needs
no mask for nearly all tiles: those on the diagonal have a launch of their own.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _tile_start(m, n, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUP_M: tl.constexpr):
    """First row and column of this program's tile: GROUP_M tiles down, then the next column, to reuse L2."""
    pid = tl.program_id(0)
    tiles_n = tl.cdiv(n, BLOCK_N)
    first = pid // (GROUP_M * tiles_n) * GROUP_M
    height = min(tl.cdiv(m, BLOCK_M) - first, GROUP_M)
    within = pid % (GROUP_M * tiles_n)
    return (first + within % height) * BLOCK_M, within // height * BLOCK_N


@triton.jit
def _load(
    source, row, k, rows, D: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_K: tl.constexpr, TMA: tl.constexpr
):
    """(BLOCK_R, BLOCK_K) of (rows, D), 0 beyond the edges; `source` is a descriptor (TMA) or a pointer."""
    if TMA:
        tile = source.load([row, k])
    else:
        offs_r, offs_k = row + tl.arange(0, BLOCK_R), k + tl.arange(0, BLOCK_K)
        mask = (offs_r < rows)[:, None] & (offs_k < D)[None, :]
        tile = tl.load(source + offs_r.to(tl.int64)[:, None] * D + offs_k[None, :], mask=mask, other=0.0)
    return tile


@triton.jit
def _logits(
    anchor,
    positive,
    row,
    col,
    m,
    n,
    scale,
    D: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
    TMA: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """(BLOCK_M, BLOCK_N) float32, `scale` times the products; 0 beyond the edges."""
    products = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, D, BLOCK_K):
        left = _load(anchor, row, k, m, D, BLOCK_M, BLOCK_K, TMA)
        right = _load(positive, col, k, n, D, BLOCK_N, BLOCK_K, TMA)
        if UPCAST:
            left, right = left.to(tl.float32), right.to(tl.float32)
        products = tl.dot(left, right.T, products, input_precision=PRECISION)
    return products * scale


@triton.jit
def _is_on_diagonal(row, col, diagonal, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """Whether a tile has elements of the diagonal."""
    return (row + diagonal < col + BLOCK_N) & (col < row + diagonal + BLOCK_M)


@triton.jit
def _same_label(row_label_ptr, col_label_ptr, offs_m, offs_n, m, n):
    """(BLOCK_M, BLOCK_N), whether row and column have the same label; always so on the diagonal."""
    row_label = tl.load(row_label_ptr + offs_m, mask=offs_m < m, other=-1)
    col_label = tl.load(col_label_ptr + offs_n, mask=offs_n < n, other=-2)
    return row_label[:, None] == col_label[None, :]


@triton.jit
def _mask_excluded(
    tile,
    value: tl.constexpr,
    row,
    col,
    m,
    n,
    diagonal,
    row_label_ptr,
    col_label_ptr,
    DROP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """The tile, `value` where an element does not count: outside, on the diagonal, (DROP) equal labels."""
    offs_m, offs_n = row + tl.arange(0, BLOCK_M), col + tl.arange(0, BLOCK_N)
    is_whole = (row + BLOCK_M <= m) & (col + BLOCK_N <= n)
    if (not is_whole) or _is_on_diagonal(row, col, diagonal, BLOCK_M, BLOCK_N):
        keep = (offs_m < m)[:, None] & (offs_n < n)[None, :] & (offs_m[:, None] + diagonal != offs_n[None, :])
        tile = tl.where(keep, tile, value)
    if DROP:
        tile = tl.where(_same_label(row_label_ptr, col_label_ptr, offs_m, offs_n, m, n), value, tile)
    return tile


@triton.jit
def _log2_sum_exp2(x, AXIS: tl.constexpr):
    """log2 of the sum of exp2(x) along an axis, -inf where all are."""
    top = tl.max(x, AXIS)
    top = tl.where(top == float("-inf"), 0.0, top)
    return top + tl.log2(tl.sum(tl.exp2(x - tl.expand_dims(top, AXIS)), AXIS))


@triton.jit
def info_nce_fwd_kernel(
    anchor,
    positive,
    row_label_ptr,
    col_label_ptr,
    row_parts_ptr,
    col_parts_ptr,
    m,
    n,
    scale,
    diagonal,
    D: tl.constexpr,
    EXP_FITS: tl.constexpr,
    DROP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
    PRECISION: tl.constexpr,
    TMA: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Sums of exponentials by row and column of one tile; their log2 where not EXP_FITS."""
    row, col = _tile_start(m, n, BLOCK_M, BLOCK_N, GROUP_M)
    x = _logits(anchor, positive, row, col, m, n, scale, D, BLOCK_M, BLOCK_N, BLOCK_K, PRECISION, TMA, UPCAST)
    if EXP_FITS:
        powers = tl.exp2(x)
        powers = _mask_excluded(
            powers, 0.0, row, col, m, n, diagonal, row_label_ptr, col_label_ptr, DROP, BLOCK_M, BLOCK_N
        )
        row_part, col_part = tl.sum(powers, 1), tl.sum(powers, 0)
    else:
        x = _mask_excluded(
            x, float("-inf"), row, col, m, n, diagonal, row_label_ptr, col_label_ptr, DROP, BLOCK_M, BLOCK_N
        )
        row_part, col_part = _log2_sum_exp2(x, 1), _log2_sum_exp2(x, 0)
    offs_m, offs_n = row + tl.arange(0, BLOCK_M), col + tl.arange(0, BLOCK_N)
    tl.store(row_parts_ptr + (col // BLOCK_N).to(tl.int64) * m + offs_m, row_part, mask=offs_m < m)
    tl.store(col_parts_ptr + (row // BLOCK_M).to(tl.int64) * n + offs_n, col_part, mask=offs_n < n)


@triton.jit
def info_nce_bwd_kernel(
    anchor,
    positive,
    row_label_ptr,
    col_label_ptr,
    row_lse_ptr,
    col_lse_ptr,
    weights,
    dot_parts_ptr,
    m,
    n,
    width,
    scale,
    diagonal,
    weight_factor,
    D: tl.constexpr,
    EXP_FITS: tl.constexpr,
    DROP: tl.constexpr,
    ON_DIAGONAL: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
    PRECISION: tl.constexpr,
    TMA: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """One tile of W * weight_factor, (m, n) in rows of `width`, and its sums of W * x by row.

    row_lse, col_lse: exp(-lse) where EXP_FITS, else lse * log2(e). ON_DIAGONAL: only
    tiles that touch the diagonal, else all others; with DROP all tiles, since a pair's labels are equal. Rows
    and columns outside are not stored, and x is 0 there.
    """
    if ON_DIAGONAL:
        reach: tl.constexpr = BLOCK_M // BLOCK_N + 2
        row = tl.program_id(0) // reach * BLOCK_M
        col = ((row + diagonal) // BLOCK_N + tl.program_id(0) % reach) * BLOCK_N
        if col >= n:
            return
    else:
        row, col = _tile_start(m, n, BLOCK_M, BLOCK_N, GROUP_M)
    if not DROP:  # noqa: SIM102  (the outer condition is the compiler's)
        if _is_on_diagonal(row, col, diagonal, BLOCK_M, BLOCK_N) != ON_DIAGONAL:
            return
    x = _logits(anchor, positive, row, col, m, n, scale, D, BLOCK_M, BLOCK_N, BLOCK_K, PRECISION, TMA, UPCAST)
    offs_m, offs_n = row + tl.arange(0, BLOCK_M), col + tl.arange(0, BLOCK_N)
    row_lse = tl.load(row_lse_ptr + offs_m, mask=offs_m < m, other=0.0)[:, None]
    col_lse = tl.load(col_lse_ptr + offs_n, mask=offs_n < n, other=0.0)[None, :]
    w = tl.exp2(x) * (row_lse + col_lse) if EXP_FITS else tl.exp2(x - row_lse) + tl.exp2(x - col_lse)
    if DROP:
        w = tl.where(_same_label(row_label_ptr, col_label_ptr, offs_m, offs_n, m, n), 0.0, w)
    if ON_DIAGONAL:
        w = tl.where(offs_m[:, None] + diagonal == offs_n[None, :], 0.0, w)
    if not EXP_FITS:  # exp2(-lse) may be infinite, and infinity times 0 is no number
        w = tl.where((offs_n < n)[None, :], w, 0.0)
    dots = tl.sum(w * x, 1)
    tl.store(dot_parts_ptr + (col // BLOCK_N).to(tl.int64) * m + offs_m, dots, mask=offs_m < m)
    if TMA:
        weights.store([row, col], (w * weight_factor).to(weights.dtype))
    else:
        mask = (offs_m < m)[:, None] & (offs_n < n)[None, :]
        at = weights + offs_m.to(tl.int64)[:, None] * width + offs_n[None, :]
        tl.store(at, (w * weight_factor).to(weights.dtype.element_ty), mask=mask)
