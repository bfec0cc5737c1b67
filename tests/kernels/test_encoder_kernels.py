"""`pool_normalize` and `residual_layer_norm` beside plain torch."""

from __future__ import annotations

import pytest
import torch

from univar.kernels import launch, reference

pytest.importorskip("triton", reason="kernels need the package triton")
from univar.errors import UsageError
from univar.kernels.encoder_ops.pool_normalize import pool_normalize
from univar.kernels.encoder_ops.residual_layer_norm import residual_layer_norm

DTYPES = [(torch.float32, 1e-6), (torch.bfloat16, 4e-3), (torch.float16, 5e-4)]


def randn(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(device, dtype)


@pytest.mark.parametrize(("dtype", "slack"), DTYPES)
@pytest.mark.parametrize("dim", [1, 48, 63, 384, 768])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pool_normalize(dtype, slack, dim, pooling, device):
    lengths = torch.tensor([1, 15, 16, 17, 3, 78], device=device)  # 130 tokens
    cu_seqlens = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int()
    hidden = randn(int(lengths.sum()), dim, dtype=dtype, device=device)
    expected = reference.pool_normalize(hidden, cu_seqlens, pooling)
    got = pool_normalize(hidden, cu_seqlens, pooling)
    torch.testing.assert_close(got, expected, atol=slack, rtol=0)


def test_an_empty_text_pools_to_zero(device):
    hidden = randn(5, 8, dtype=torch.float32, device=device)
    cu_seqlens = torch.tensor([0, 5, 5], dtype=torch.int32, device=device)
    pooled = pool_normalize(hidden, cu_seqlens)
    assert pooled[1].abs().max() == 0
    assert pool_normalize(hidden, cu_seqlens[:1]).shape == (0, 8)


@pytest.mark.parametrize(("dtype", "slack"), DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (7, 63), (130, 48), (257, 384), (256, 768), (3, 1023), (0, 8)])
def test_residual_layer_norm(dtype, slack, shape, device):
    x, residual = (randn(*shape, dtype=dtype, device=device) * factor for factor in (1, 3))
    weight, bias = (randn(shape[1], dtype=dtype, device=device) + place for place in (1, 0))
    exact = reference.residual_layer_norm(*(t.double() for t in (x, residual, weight, bias)), 1e-12).double()
    plain = reference.residual_layer_norm(x, residual, weight, bias, 1e-12).double()
    got = residual_layer_norm(x.clone(), residual, weight, bias, 1e-12).double()
    assert (got - exact).norm() <= 1.5 * (plain - exact).norm() + slack * exact.norm()


def test_rows_that_are_not_contiguous(device):
    hidden = randn(40, 16, dtype=torch.float32, device=device)
    cu_seqlens = torch.tensor([0, 0, 9, 0, 30, 0, 40, 0], dtype=torch.int32, device=device)[::2]
    pooled = pool_normalize(hidden.T.contiguous().T, cu_seqlens)
    torch.testing.assert_close(pooled, reference.pool_normalize(hidden, cu_seqlens))
    wide = randn(40, 32, dtype=torch.float32, device=device)
    weight, bias = wide[0, ::2], wide[1, ::2]
    expected = reference.residual_layer_norm(hidden, wide[:, ::2], weight, bias, 1e-5)
    torch.testing.assert_close(
        residual_layer_norm(hidden.clone(), wide[:, ::2], weight, bias, 1e-5), expected
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"residual": torch.ones(3, 8)}, r"\(T, D\).*\(3, 8\)"),
        ({"weight": torch.ones(4)}, r"\(4,\)"),
        ({"x": torch.ones(8), "residual": torch.ones(8)}, r"\(T, D\)"),
        ({"residual": torch.ones(4, 8).half()}, "one floating point dtype"),
        ({"x": torch.ones(8, 4).T}, "contiguous"),
        ({"bias": torch.ones(8, device="meta")}, "bias on meta"),
    ],
)
def test_residual_layer_norm_refuses_what_does_not_fit(change, message):
    fitting = {"x": torch.ones(4, 8), "residual": torch.ones(4, 8)}
    fitting |= {"weight": torch.ones(8), "bias": torch.ones(8)}
    with pytest.raises(UsageError, match=message):
        residual_layer_norm(**(fitting | change), eps=1e-5)


@pytest.mark.parametrize(
    ("hidden", "cu_seqlens", "pooling", "message"),
    [
        (torch.ones(4), torch.tensor([0, 4]), "mean", r"\(T, D\)"),
        (torch.ones(4, 0), torch.tensor([0, 4]), "mean", "at least 1"),
        (torch.ones(4, 2).int(), torch.tensor([0, 4]), "mean", "int32"),
        (torch.ones(4, 2), torch.tensor([[0, 4]]), "mean", r"\(N \+ 1,\)"),
        (torch.ones(4, 2), torch.tensor([0.0, 4.0]), "mean", "float32"),
        (torch.ones(4, 2), torch.tensor([0, 4]), "max", "unknown pooling"),
        (torch.ones(4, 2), torch.tensor([0, 4], device="meta"), "mean", "cu_seqlens on meta"),
    ],
)
def test_pool_normalize_refuses_what_does_not_fit(hidden, cu_seqlens, pooling, message):
    with pytest.raises(UsageError, match=message):
        pool_normalize(hidden, cu_seqlens, pooling)


def test_kernels_that_cannot_be_launched_are_refused(monkeypatch):
    monkeypatch.setattr(launch, "can_launch", lambda device: False)
    x = torch.ones(2, 4)
    with pytest.raises(UsageError, match="CUDA device"):
        residual_layer_norm(x, x.clone(), x[0], x[1], 1e-5)
    with pytest.raises(UsageError, match="CUDA device"):
        pool_normalize(x, torch.tensor([0, 2]))
