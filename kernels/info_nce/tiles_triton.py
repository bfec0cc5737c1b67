"""Tiles of `info_nce` in Triton: the logits never leave the chip.

Forward: a program computes one tile of logits, one exponential each (two unless `Block.exp_fits_float32`),
and writes the sums of its rows and of its columns. torch adds them up in a fixed order: no atomics, the same
bits in every run. Backward: a program computes its tile again and writes W (see
`univar.kernels.info_nce.block`) in the inputs' dtype; two matrix products of torch turn each stripe of W, at
most `WORKSPACE_BYTES`, into gradients.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
from torch import Tensor

from univar.errors import UsageError
from univar.kernels.info_nce.block import Block, Gradients
from univar.kernels.info_nce.kernels import info_nce_bwd_kernel, info_nce_fwd_kernel
from univar.kernels.launch import Config, descriptor, has_tma

WORKSPACE_BYTES = 1 << 30
LOG2_E = math.log2(math.e)
NO_DIAGONAL = -(1 << 30)
DTYPES = (torch.bfloat16, torch.float16, torch.float32)

FORWARD = {
    True: {2: Config(128, 128, 64, 8, 3), 4: Config(128, 128, 32, 8, 3)},
    False: {2: Config(128, 128, 32, 8, 3), 4: Config(128, 64, 32, 8, 3)},
}
BACKWARD = {
    True: {2: Config(128, 128, 64, 8, 3), 4: Config(128, 128, 32, 8, 3)},
    False: {2: Config(128, 128, 32, 8, 3), 4: Config(128, 64, 32, 8, 3)},
}
"""By TMA and the bytes of an element; tests/kernels/test_aot.py compiles all and looks at registers."""


def operand_dtype(embeddings: Tensor) -> torch.dtype:
    """The inputs' own dtype. Raises UsageError for one that the kernels don't take."""
    if embeddings.dtype not in DTYPES:
        raise UsageError(f"impl='triton' takes bfloat16, float16 or float32, got {embeddings.dtype}")
    return embeddings.dtype


def log_sums(block: Block) -> tuple[Tensor, Tensor]:
    """See `univar.kernels.info_nce.block.Tiles`."""
    anchor, positive = _aligned(block.anchor), _aligned(block.positive)
    (m, dim), n = anchor.shape, positive.shape[0]
    config = FORWARD[has_tma(anchor.device)][anchor.element_size()]
    float32: dict[str, Any] = {"dtype": torch.float32, "device": anchor.device}
    log_rows = torch.empty(m, dtype=torch.float64, device=anchor.device)
    log_cols = torch.full((n,), -torch.inf, dtype=torch.float64, device=anchor.device)
    bytes_of_parts = max(1, 16 * n // config.block_m)  # a row's share of its columns' parts, and in float64
    step = _stripe_rows(m, bytes_of_parts, config.block_m)
    for start in range(0, m, step):
        rows = slice(start, min(start + step, m))
        count = rows.stop - start
        row_parts = torch.empty(triton.cdiv(n, config.block_n), count, **float32)
        col_parts = torch.empty(triton.cdiv(count, config.block_m), n, **float32)
        info_nce_fwd_kernel[_tiles(config, count, n)](
            descriptor(anchor[rows], config.block_m, config.block_k),
            descriptor(positive, config.block_n, config.block_k),
            *_labels(block, rows),
            row_parts,
            col_parts,
            count,
            n,
            block.scale * LOG2_E,
            NO_DIAGONAL if block.diagonal is None else block.diagonal + start,
            dim,
            **_options(block, config),
        )
        log_rows[rows] = _log_sum_of_parts(row_parts, block.exp_fits_float32)
        log_cols = torch.logaddexp(log_cols, _log_sum_of_parts(col_parts, block.exp_fits_float32))
    return log_rows, log_cols


def gradients(block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
    """See `univar.kernels.info_nce.block.Tiles`."""
    anchor, positive = _aligned(block.anchor), _aligned(block.positive)
    (m, dim), n = anchor.shape, positive.shape[0]
    config = BACKWARD[has_tma(anchor.device)][anchor.element_size()]
    float32: dict[str, Any] = {"dtype": torch.float32, "device": anchor.device}
    d_anchor, d_positive = torch.empty(m, dim, **float32), torch.zeros(n, dim, **float32)
    dot = torch.zeros((), dtype=torch.float64, device=anchor.device)
    weight_factor = (
        1024.0 if anchor.dtype == torch.float16 else 1.0
    )  # or most weights would be too small for float16
    row_lse, col_lse = (
        _kernel_lse(lse_rows, block.exp_fits_float32),
        _kernel_lse(lse_cols, block.exp_fits_float32, like=positive),
    )
    row_bytes = -(-n * anchor.element_size() // 16) * 16
    step = _stripe_rows(m, row_bytes, config.block_m)
    stripe = torch.empty(step, row_bytes // anchor.element_size(), dtype=anchor.dtype, device=anchor.device)
    for start in range(0, m, step):
        rows = slice(start, min(start + step, m))
        weights = stripe[: rows.stop - start, :n]
        dot_parts = torch.empty(triton.cdiv(n, config.block_n), rows.stop - start, **float32)
        _write_weights(
            block,
            config,
            anchor[rows],
            positive,
            rows,
            row_lse[rows],
            col_lse,
            weights,
            dot_parts,
            weight_factor,
        )
        d_anchor[rows] = _product(weights, positive)
        d_positive += _product(weights.T, anchor[rows])
        dot += dot_parts.sum(dtype=torch.float64) / LOG2_E
    given = block.anchor.shape[1]
    return Gradients(d_anchor[:, :given].div_(weight_factor), d_positive[:, :given].div_(weight_factor), dot)


def _write_weights(
    block: Block,
    config: Config,
    anchor: Tensor,
    positive: Tensor,
    rows: slice,
    row_lse: Tensor,
    col_lse: Tensor,
    weights: Tensor,
    dot_parts: Tensor,
    weight_factor: float,
) -> None:
    """Fill `weights` and `dot_parts` for some rows: tiles off the diagonal, then those on it."""
    (m, dim), n = anchor.shape, positive.shape[0]
    options = _options(block, config)
    diagonal = NO_DIAGONAL if block.diagonal is None else block.diagonal + rows.start
    reach = config.block_m // config.block_n + 2
    grids = {False: _tiles(config, m, n)}
    if block.diagonal is not None and not options["DROP"]:
        grids[True] = (triton.cdiv(m, config.block_m) * reach,)
    for on_diagonal, grid in grids.items():
        info_nce_bwd_kernel[grid](
            descriptor(anchor, config.block_m, config.block_k),
            descriptor(positive, config.block_n, config.block_k),
            *_labels(block, rows),
            row_lse,
            col_lse,
            descriptor(weights, config.block_m, config.block_n),
            dot_parts,
            m,
            n,
            weights.stride(0),
            block.scale * LOG2_E,
            diagonal,
            weight_factor,
            dim,
            ON_DIAGONAL=on_diagonal,
            **options,
        )


def _tiles(config: Config, m: int, n: int) -> tuple[int]:
    return (triton.cdiv(m, config.block_m) * triton.cdiv(n, config.block_n),)


def _options(block: Block, config: Config) -> dict[str, object]:
    may_round = torch.get_float32_matmul_precision() != "highest"
    return {
        "EXP_FITS": block.exp_fits_float32,
        "DROP": block.row_labels is not None,
        "BLOCK_M": config.block_m,
        "BLOCK_N": config.block_n,
        "BLOCK_K": config.block_k,
        "GROUP_M": 8,
        "PRECISION": "tf32" if may_round else "tf32x3",
        "TMA": has_tma(block.anchor.device),
        "UPCAST": bool(triton.knobs.runtime.interpret),  # it multiplies the bit patterns of bfloat16
        "num_warps": config.num_warps,
        "num_stages": config.num_stages,
    }


def _aligned(x: Tensor) -> Tensor:
    """x with rows that start at multiples of 16 bytes, padded with dims of 0 where needed."""
    missing = -x.shape[1] * x.element_size() % 16 // x.element_size()
    x = torch.nn.functional.pad(x, (0, missing)) if missing else x.contiguous()
    return x.clone() if x.data_ptr() % 16 else x


def _labels(block: Block, rows: slice) -> tuple[Tensor, Tensor]:
    if block.row_labels is None or block.col_labels is None:
        return block.anchor, block.anchor  # never read
    return block.row_labels[rows], block.col_labels


def _log_sum_of_parts(parts: Tensor, exp_fits_float32: bool) -> Tensor:
    """log of the total of each column of parts (P, x): of sums, or of their log2; float64."""
    if exp_fits_float32:
        return parts.sum(dim=0, dtype=torch.float64).log()
    return (parts.double() / LOG2_E).logsumexp(dim=0)


def _kernel_lse(lse: Tensor | None, exp_fits_float32: bool, like: Tensor | None = None) -> Tensor:
    """lse as the backward kernel reads it, (n,) float32; without one, what makes its part 0."""
    if lse is None:
        assert like is not None
        nothing = 0.0 if exp_fits_float32 else math.inf
        return torch.full(like.shape[:1], nothing, dtype=torch.float32, device=like.device)
    return (lse.neg().exp() if exp_fits_float32 else lse * LOG2_E).float()


def _stripe_rows(m: int, row_bytes: int, block_m: int) -> int:
    return min(m, max(1, WORKSPACE_BYTES // (row_bytes * block_m)) * block_m)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right in float32."""
    if left.dtype == torch.float32:
        return left @ right
    if left.is_cuda:
        return torch.mm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()
