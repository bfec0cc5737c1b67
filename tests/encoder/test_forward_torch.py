"""The torch forward's attention against float64, and the CUDA path's wrapper against plain attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from univar.encoder import forward_torch
from univar.encoder.forward_torch import sdpa_groups, varlen, wrap_varlen
from univar.encoder.packing import Layout, micro_batches


def layout(*lengths: int) -> Layout:
    return Layout(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def exact_attention(qkv: torch.Tensor, packed: Layout) -> torch.Tensor:
    out = torch.zeros(qkv.shape[0], qkv.shape[2] * qkv.shape[3], dtype=torch.float64)
    for first, last in zip(packed.cu_seqlens[:-1], packed.cu_seqlens[1:], strict=True):
        q, k, v = qkv[first:last].double().permute(1, 2, 0, 3)
        weights = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, dim=-1)
        out[first:last] = (weights @ v).transpose(0, 1).reshape(last - first, -1)
    return out


def test_sdpa_over_groups_is_exact() -> None:
    packed = layout(4, 4, 9, 1, 9)
    qkv = torch.randn(packed.rows, 3, 2, 8, generator=torch.manual_seed(0))
    got = sdpa_groups(qkv, packed)[: packed.tokens]
    torch.testing.assert_close(got.double(), exact_attention(qkv, packed)[: packed.tokens], atol=1e-6, rtol=0)


def plain_varlen(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_q: torch.Tensor, cu_k: torch.Tensor, *limits: int
) -> torch.Tensor:
    assert torch.equal(cu_q, cu_k)
    assert limits == (9, 9)
    qkv = torch.stack([q, k, v], dim=1)
    return exact_attention(qkv, Layout(cu_q.numpy())).view(q.shape).to(q.dtype)


def splitting_varlen(*arguments: torch.Tensor, num_splits: int = 0) -> torch.Tensor:
    assert num_splits == 1
    return plain_varlen(*arguments)


@pytest.mark.parametrize("found", [plain_varlen, splitting_varlen])
def test_varlen_functions_are_called_alike(
    found: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_torch, "varlen_function", lambda: wrap_varlen(found))
    packed = layout(4, 9, 3)
    qkv = torch.randn(packed.tokens, 3, 2, 8, generator=torch.manual_seed(0))
    torch.testing.assert_close(varlen(qkv, packed), sdpa_groups(qkv, packed), atol=1e-6, rtol=0)


def test_micro_batches_hold_every_text_once_in_its_own_tokens() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 200)
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(cu_seqlens[-1], dtype=np.int32)
    seen = []
    for rows, batch_ids, packed in micro_batches(ids, cu_seqlens, 256):
        assert packed.tokens <= 256
        assert len(batch_ids) == packed.rows
        assert not batch_ids[packed.tokens :].any()
        for place, row in enumerate(rows):
            first, last = packed.cu_seqlens[place], packed.cu_seqlens[place + 1]
            np.testing.assert_array_equal(batch_ids[first:last], ids[cu_seqlens[row] : cu_seqlens[row + 1]])
        seen.extend(rows)
    assert sorted(seen) == list(range(200))


def test_batches_have_few_different_numbers_of_rows() -> None:
    rows = {layout(tokens).rows for tokens in range(1025, 2049)}
    assert len(rows) <= 32
    assert all(layout(tokens).rows >= tokens for tokens in range(1, 2049))
