"""The C++ kernels for bf16 against float64, and the CUDA path's wrapper against plain attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from univar.kernels.reference import pool_normalize

from univar import _native
from univar.model import attention
from univar.model.attention import sdpa_groups, varlen, wrap_varlen
from univar.model.packing import Layout, micro_batches

needs_amx = pytest.mark.skipif(not _native.bf16_kernels_usable(), reason="no AMX-BF16 here")
BF16_STEP = 2**-7  # relative distance of two neighbouring bf16 numbers


def layout(*lengths: int) -> Layout:
    return Layout(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def exact_attention(qkv: torch.Tensor, packed: Layout) -> torch.Tensor:
    out = torch.zeros(qkv.shape[0], qkv.shape[2] * qkv.shape[3], dtype=torch.float64)
    for first, last in zip(packed.cu_seqlens[:-1], packed.cu_seqlens[1:], strict=True):
        q, k, v = qkv[first:last].double().permute(1, 2, 0, 3)
        weights = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, dim=-1)
        out[first:last] = (weights @ v).transpose(0, 1).reshape(last - first, -1)
    return out


@needs_amx
@pytest.mark.parametrize(("heads", "head_dim"), [(3, 32), (2, 64), (1, 96), (2, 128)])
def test_native_attention_is_exact_to_bf16(heads: int, head_dim: int) -> None:
    packed = layout(1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 200, 257)
    qkv = torch.randn(packed.tokens, 3, heads, head_dim, generator=torch.manual_seed(0)).bfloat16()
    out = torch.full((packed.tokens, heads * head_dim), torch.nan, dtype=torch.bfloat16)
    _native.attention_bf16(qkv.data_ptr(), packed.cu_seqlens, heads, head_dim, out.data_ptr())
    torch.testing.assert_close(out.double(), exact_attention(qkv, packed), atol=0.01, rtol=BF16_STEP)


@needs_amx
def test_native_attention_survives_scores_of_any_size() -> None:
    packed = layout(40, 7)
    qkv = torch.randn(packed.tokens, 3, 1, 32, generator=torch.manual_seed(1)).bfloat16()
    qkv[:, :2] *= 60  # scores of thousands: all weight on one key
    out = torch.full((packed.tokens, 32), torch.nan, dtype=torch.bfloat16)
    _native.attention_bf16(qkv.data_ptr(), packed.cu_seqlens, 1, 32, out.data_ptr())
    torch.testing.assert_close(out.double(), exact_attention(qkv, packed), atol=0.02, rtol=BF16_STEP)


@needs_amx
@pytest.mark.parametrize("dim", [32, 384, 1024])
def test_native_add_layer_norm_is_exact_to_bf16(dim: int) -> None:
    torch.manual_seed(0)
    x, residual = (torch.randn(9, dim) * 3 + 1).bfloat16(), torch.randn(9, dim).bfloat16()
    weight, bias, out = torch.randn(dim), torch.randn(dim), torch.full((9, dim), torch.nan).bfloat16()
    addresses = (tensor.data_ptr() for tensor in (x, residual, weight, bias))
    _native.add_layer_norm_bf16(*addresses, 1e-5, 9, dim, out.data_ptr())
    exact = F.layer_norm(x.double() + residual.double(), (dim,), weight.double(), bias.double(), eps=1e-5)
    torch.testing.assert_close(out.double(), exact, atol=1e-5, rtol=BF16_STEP / 2 * 1.01)


@needs_amx
@pytest.mark.parametrize("with_position", [True, False])
def test_native_embed_adds_rows_and_normalises(with_position: bool) -> None:
    torch.manual_seed(0)
    packed, word, position = layout(3, 1, 5), torch.randn(11, 64), torch.randn(5, 64)
    ids = np.array([0, 10, 3, 3, 7, 7, 1, 2, 9], np.int32)
    weight, bias, out = torch.randn(64), torch.randn(64), torch.full((9, 64), torch.nan).bfloat16()
    address = position.data_ptr() if with_position else 0
    norm = (weight.data_ptr(), bias.data_ptr(), 1e-12)
    _native.embed_bf16(ids, packed.cu_seqlens, word.data_ptr(), address, *norm, 64, out.data_ptr())
    sums = word[ids.astype(np.int64)] + (position[packed.positions[:9]] if with_position else 0)
    exact = F.layer_norm(sums, (64,), weight, bias, 1e-12)
    torch.testing.assert_close(out.float(), exact, atol=1e-5, rtol=BF16_STEP / 2 * 1.01)


@needs_amx
def test_native_gelu_is_exact_to_bf16() -> None:
    x = torch.linspace(-12, 12, 4096).bfloat16()
    exact = F.gelu(x.double())
    _native.gelu_bf16(x.data_ptr(), x.numel())
    torch.testing.assert_close(x.double(), exact, atol=2e-4, rtol=BF16_STEP / 2 * 1.01)


@needs_amx
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_native_pool_equals_the_reference(pooling: str) -> None:
    packed = layout(1, 4, 30)
    x = torch.randn(35, 96, generator=torch.manual_seed(0)).bfloat16()
    out = torch.full((3, 96), torch.nan)
    _native.pool_bf16(x.data_ptr(), packed.cu_seqlens, 96, pooling == "cls", out.data_ptr())
    expected = pool_normalize(x, torch.from_numpy(packed.cu_seqlens), pooling)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=0)


@needs_amx
def test_native_kernels_refuse_sizes_they_do_not_have() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        _native.pool_bf16(0, np.array([0, 1], np.int32), 40, False, 0)
    with pytest.raises(ValueError, match="text 1 is empty"):
        _native.attention_bf16(0, np.array([0, 1, 1], np.int32), 1, 32, 0)


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
    monkeypatch.setattr(attention, "varlen_function", lambda: wrap_varlen(found))
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
