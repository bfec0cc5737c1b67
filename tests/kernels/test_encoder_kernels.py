"""`pool_normalize` and `residual_layer_norm` beside plain torch."""

from __future__ import annotations

import pytest
import torch
from univar.kernels import reference

pytest.importorskip("triton", reason="kernels need the package triton")
from univar.kernels.pool_normalize import pool_normalize
from univar.kernels.residual_layer_norm import residual_layer_norm

DTYPES = [(torch.float32, 1e-6), (torch.bfloat16, 4e-3), (torch.float16, 5e-4)]


def randn(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(device, dtype)


@pytest.mark.parametrize(("dtype", "slack"), DTYPES)
@pytest.mark.parametrize("dim", [1, 63, 384])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pool_normalize(dtype, slack, dim, pooling, device):
    lengths = torch.tensor([1, 15, 16, 17, 3, 40], device=device)
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
@pytest.mark.parametrize("shape", [(1, 1), (7, 63), (5, 384), (3, 1023), (0, 8)])
def test_residual_layer_norm(dtype, slack, shape, device):
    x, residual = (randn(*shape, dtype=dtype, device=device) * factor for factor in (1, 3))
    weight, bias = (randn(shape[1], dtype=dtype, device=device) + place for place in (1, 0))
    exact = reference.residual_layer_norm(*(t.double() for t in (x, residual, weight, bias)), 1e-12).double()
    plain = reference.residual_layer_norm(x, residual, weight, bias, 1e-12).double()
    got = residual_layer_norm(x.clone(), residual, weight, bias, 1e-12).double()
    assert (got - exact).norm() <= 1.5 * (plain - exact).norm() + slack * exact.norm()
