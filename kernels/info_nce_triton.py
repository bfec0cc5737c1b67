"""Tiles of `info_nce` in Triton: the logits never leave the chip, only sums and stripes of their gradient do.

Forward: a program makes one tile of logits, one exponential each (two above `Block.is_tame`), and writes the
sums of its rows and of its columns. They are added up by torch in a fixed order: no atomics, the same bits
in every run. Backward: a program makes its tile again and writes W (see `univar.kernels.info_nce_block`) in
the inputs' dtype; two matrix products by torch make gradients of each stripe of W, at most `WORKSPACE_BYTES`.
Only tiles at an edge, on the diagonal or with labels to compare are masked.

Logits are kept in powers of two: x = logit * log2(e), so that exp(logit) = exp2(x) is one instruction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor
from univar.kernels.info_nce_block import Block, Gradients

from univar.errors import UsageError

WORKSPACE_BYTES = 1 << 30
LOG2_E = math.log2(math.e)
NO_DIAGONAL = -(1 << 30)
DTYPES = (torch.bfloat16, torch.float16, torch.float32)


@dataclass(frozen=True)
class Config:
    """How a kernel is cut: rows, columns and dims of a tile, warps and stages of the pipeline."""

    block_m: int
    block_n: int
    block_k: int
    num_warps: int
    num_stages: int


FORWARD = {2: Config(128, 128, 64, 8, 3), 4: Config(128, 128, 32, 8, 3)}
BACKWARD = {2: Config(128, 256, 64, 8, 3), 4: Config(128, 128, 32, 8, 3)}
"""By the bytes of an element; tests/kernels/test_aot.py compiles every one and looks at its registers."""


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
def _logits(
    anchor_desc,
    positive_desc,
    row,
    col,
    scale,
    D: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """(BLOCK_M, BLOCK_N) float32, `scale` times the products; 0 beyond the edges."""
    products = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, D, BLOCK_K):
        anchor = anchor_desc.load([row, k])
        positive = positive_desc.load([col, k])
        if UPCAST:
            anchor, positive = anchor.to(tl.float32), positive.to(tl.float32)
        products = tl.dot(anchor, positive.T, products, input_precision=PRECISION)
    return products * scale


@triton.jit
def _counted(
    tile,
    value: tl.constexpr,
    row,
    col,
    m,
    n,
    diagonal,
    row_label_ptr,
    col_label_ptr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    DROP: tl.constexpr,
):
    """The tile, `value` where an element does not count: outside, a pair's own, or (DROP) of one label."""
    offs_m, offs_n = row + tl.arange(0, BLOCK_M), col + tl.arange(0, BLOCK_N)
    own_col = row + diagonal
    inside = (row + BLOCK_M <= m) & (col + BLOCK_N <= n)
    if (not inside) or (own_col < col + BLOCK_N and col < own_col + BLOCK_M):
        keep = (offs_m < m)[:, None] & (offs_n < n)[None, :] & (offs_m[:, None] + diagonal != offs_n[None, :])
        tile = tl.where(keep, tile, value)
    if DROP:
        row_labels = tl.load(row_label_ptr + offs_m, mask=offs_m < m, other=-1)
        col_labels = tl.load(col_label_ptr + offs_n, mask=offs_n < n, other=-2)
        tile = tl.where(row_labels[:, None] == col_labels[None, :], value, tile)
    return tile


@triton.jit
def _log2_sum(x, AXIS: tl.constexpr):
    """log2 of the sum of exp2(x) along an axis, -inf where all are."""
    top = tl.max(x, AXIS)
    top = tl.where(top == float("-inf"), 0.0, top)
    return top + tl.log2(tl.sum(tl.exp2(x - tl.expand_dims(top, AXIS)), AXIS))


@triton.jit
def info_nce_fwd_kernel(
    anchor_desc,
    positive_desc,
    row_label_ptr,
    col_label_ptr,
    row_parts_ptr,
    col_parts_ptr,
    m,
    n,
    scale,
    diagonal,
    D: tl.constexpr,
    TAME: tl.constexpr,
    DROP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    row, col = _tile_start(m, n, BLOCK_M, BLOCK_N, GROUP_M)
    offs_m, offs_n = row + tl.arange(0, BLOCK_M), col + tl.arange(0, BLOCK_N)
    x = _logits(anchor_desc, positive_desc, row, col, scale, D, BLOCK_M, BLOCK_N, BLOCK_K, PRECISION, UPCAST)
    if TAME:
        powers = tl.exp2(x)
        powers = _counted(
            powers, 0.0, row, col, m, n, diagonal, row_label_ptr, col_label_ptr, BLOCK_M, BLOCK_N, DROP
        )
        row_part, col_part = tl.sum(powers, 1), tl.sum(powers, 0)
    else:
        x = _counted(
            x, float("-inf"), row, col, m, n, diagonal, row_label_ptr, col_label_ptr, BLOCK_M, BLOCK_N, DROP
        )
        row_part, col_part = _log2_sum(x, 1), _log2_sum(x, 0)
    tl.store(row_parts_ptr + (col // BLOCK_N).to(tl.int64) * m + offs_m, row_part, mask=offs_m < m)
    tl.store(col_parts_ptr + (row // BLOCK_M).to(tl.int64) * n + offs_n, col_part, mask=offs_n < n)


@triton.jit
def info_nce_bwd_kernel(
    anchor_desc,
    positive_desc,
    row_label_ptr,
    col_label_ptr,
    row_lse_ptr,
    col_lse_ptr,
    weights_desc,
    dot_parts_ptr,
    m,
    n,
    scale,
    diagonal,
    lift,
    D: tl.constexpr,
    TAME: tl.constexpr,
    DROP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """row_lse, col_lse: TAME exp(-lse), else lse * log2(e). lift: factor of the weights as stored."""
    row, col = _tile_start(m, n, BLOCK_M, BLOCK_N, GROUP_M)
    offs_m, offs_n = row + tl.arange(0, BLOCK_M), col + tl.arange(0, BLOCK_N)
    x = _logits(anchor_desc, positive_desc, row, col, scale, D, BLOCK_M, BLOCK_N, BLOCK_K, PRECISION, UPCAST)
    row_lse = tl.load(row_lse_ptr + offs_m, mask=offs_m < m, other=0.0)[:, None]
    col_lse = tl.load(col_lse_ptr + offs_n, mask=offs_n < n, other=0.0)[None, :]
    weights = tl.exp2(x) * (row_lse + col_lse) if TAME else tl.exp2(x - row_lse) + tl.exp2(x - col_lse)
    weights = _counted(
        weights, 0.0, row, col, m, n, diagonal, row_label_ptr, col_label_ptr, BLOCK_M, BLOCK_N, DROP
    )
    dots = tl.sum(weights * x, 1)
    tl.store(dot_parts_ptr + (col // BLOCK_N).to(tl.int64) * m + offs_m, dots, mask=offs_m < m)
    weights_desc.store([row, col], (weights * lift).to(weights_desc.dtype))


def operand_dtype(embeddings: Tensor) -> torch.dtype:
    """The inputs' own. Raises UsageError for what the kernels don't take."""
    if embeddings.dtype not in DTYPES:
        raise UsageError(f"impl='triton' takes bfloat16, float16 or float32, got {embeddings.dtype}")
    return embeddings.dtype


def log_sums(block: Block) -> tuple[Tensor, Tensor]:
    """See `univar.kernels.info_nce_block.Tiles`."""
    anchor, positive = _aligned(block.anchor), _aligned(block.positive)
    (m, dim), n = anchor.shape, positive.shape[0]
    config = FORWARD[anchor.element_size()]
    float32 = {"dtype": torch.float32, "device": anchor.device}
    log_rows = torch.empty(m, dtype=torch.float64, device=anchor.device)
    log_cols = torch.full((n,), -torch.inf, dtype=torch.float64, device=anchor.device)
    stripe_rows = (
        max(1, WORKSPACE_BYTES // 8 // (4 * n)) * config.block_m
    )  # row and column parts, read in float64
    for start in range(0, m, stripe_rows):
        rows = slice(start, min(start + stripe_rows, m))
        count = rows.stop - start
        row_parts = torch.empty(triton.cdiv(n, config.block_n), count, **float32)
        col_parts = torch.empty(triton.cdiv(count, config.block_m), n, **float32)
        info_nce_fwd_kernel[_grid(config, count, n)](
            _descriptor(anchor[rows], config.block_m, config.block_k),
            _descriptor(positive, config.block_n, config.block_k),
            *_labels(block, rows),
            row_parts,
            col_parts,
            count,
            n,
            block.scale * LOG2_E,
            _diagonal(block, start),
            dim,
            **_options(block, config),
        )
        log_rows[rows] = _log_total(row_parts, block.is_tame)
        log_cols = torch.logaddexp(log_cols, _log_total(col_parts, block.is_tame))
    return log_rows, log_cols


def gradients(block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
    """See `univar.kernels.info_nce_block.Tiles`."""
    anchor, positive = _aligned(block.anchor), _aligned(block.positive)
    (m, dim), n = anchor.shape, positive.shape[0]
    config = BACKWARD[anchor.element_size()]
    float32 = {"dtype": torch.float32, "device": anchor.device}
    d_anchor, d_positive = torch.empty(m, dim, **float32), torch.zeros(n, dim, **float32)
    dot = torch.zeros((), dtype=torch.float64, device=anchor.device)
    lift = 1024.0 if anchor.dtype == torch.float16 else 1.0  # or most weights would be too small for float16
    row_lse, col_lse = _as_read(lse_rows, block.is_tame), _as_read(lse_cols, block.is_tame, like=positive)
    width = -(-n * anchor.element_size() // 16) * 16 // anchor.element_size()
    stripe_rows = _stripe_rows(m, width * anchor.element_size(), config.block_m)
    stripe = torch.empty(stripe_rows, width, dtype=anchor.dtype, device=anchor.device)
    for start in range(0, m, stripe_rows):
        rows = slice(start, min(start + stripe_rows, m))
        count = rows.stop - start
        weights = stripe[:count, :n]
        dot_parts = torch.empty(
            triton.cdiv(n, config.block_n), count, dtype=torch.float32, device=anchor.device
        )
        info_nce_bwd_kernel[_grid(config, count, n)](
            _descriptor(anchor[rows], config.block_m, config.block_k),
            _descriptor(positive, config.block_n, config.block_k),
            *_labels(block, rows),
            row_lse[rows],
            col_lse,
            _descriptor(weights, config.block_m, config.block_n),
            dot_parts,
            count,
            n,
            block.scale * LOG2_E,
            _diagonal(block, start),
            lift,
            dim,
            **_options(block, config),
        )
        d_anchor[rows] = _product(weights, positive)
        d_positive += _product(weights.T, anchor[rows])
        dot += dot_parts.sum(dtype=torch.float64) / LOG2_E
    given = block.anchor.shape[1]
    return Gradients(d_anchor[:, :given].div_(lift), d_positive[:, :given].div_(lift), dot)


def _grid(config: Config, m: int, n: int) -> tuple[int]:
    return (triton.cdiv(m, config.block_m) * triton.cdiv(n, config.block_n),)


def _options(block: Block, config: Config) -> dict[str, object]:
    interpreted = triton.knobs.runtime.interpret
    may_round = torch.get_float32_matmul_precision() != "highest"
    return {
        "TAME": block.is_tame,
        "DROP": block.row_labels is not None,
        "BLOCK_M": config.block_m,
        "BLOCK_N": config.block_n,
        "BLOCK_K": config.block_k,
        "GROUP_M": 8,
        "PRECISION": "tf32" if may_round else "ieee",
        "UPCAST": bool(interpreted),  # the interpreter multiplies the bit patterns of bfloat16
        "num_warps": config.num_warps,
        "num_stages": config.num_stages,
    }


def _descriptor(x: Tensor, rows: int, columns: int) -> TensorDescriptor:
    return TensorDescriptor(x, list(x.shape), list(x.stride()), [rows, columns])


def _aligned(x: Tensor) -> Tensor:
    """x with rows that begin at multiples of 16 bytes, dims of 0 added where needed."""
    missing = -x.shape[1] * x.element_size() % 16 // x.element_size()
    x = torch.nn.functional.pad(x, (0, missing)) if missing else x.contiguous()
    return x.clone() if x.data_ptr() % 16 else x


def _labels(block: Block, rows: slice) -> tuple[Tensor, Tensor]:
    if block.row_labels is None or block.col_labels is None:
        return block.anchor, block.anchor  # never read
    return block.row_labels[rows], block.col_labels


def _diagonal(block: Block, start: int) -> int:
    return NO_DIAGONAL if block.diagonal is None else block.diagonal + start


def _log_total(parts: Tensor, is_tame: bool) -> Tensor:
    """log of the total of each column of parts (P, x): of sums, or of their log2; float64."""
    if is_tame:
        return parts.sum(dim=0, dtype=torch.float64).log()
    return (parts.double() / LOG2_E).logsumexp(dim=0)


def _as_read(lse: Tensor | None, is_tame: bool, like: Tensor | None = None) -> Tensor:
    """What the backward kernel reads for each row or column; without an lse, what makes its part 0."""
    if lse is None:
        assert like is not None
        nothing = 0.0 if is_tame else math.inf
        return torch.full(like.shape[:1], nothing, dtype=torch.float32, device=like.device)
    return (lse.neg().exp() if is_tame else lse * LOG2_E).float()


def _stripe_rows(m: int, row_bytes: int, block_m: int) -> int:
    return min(m, max(1, WORKSPACE_BYTES // (row_bytes * block_m)) * block_m)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right in float32."""
    if left.dtype == torch.float32:
        return left @ right
    if left.is_cuda:
        return torch.mm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()
