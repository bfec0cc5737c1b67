"""`rotate` and `swiglu` beside plain torch, and the bytes that they move."""

from __future__ import annotations

import pytest
import torch

from univar.kernels import launch, reference

pytest.importorskip("triton", reason="kernels need the package triton")
from univar.errors import UsageError
from univar.kernels.encoder_ops.rotate import rotate
from univar.kernels.encoder_ops.swiglu import swiglu

DTYPES = [(torch.float32, 1e-6), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)]


def randn(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(device, dtype)


def angles(tokens: int, half: int, device: torch.device) -> torch.Tensor:
    return torch.arange(tokens, device=device)[:, None] / torch.arange(1, half + 1, device=device)


@pytest.mark.parametrize(("dtype", "slack"), DTYPES)
@pytest.mark.parametrize(("tokens", "heads", "head_dim"), [(1, 1, 2), (5, 3, 20), (3, 12, 64)])
def test_rotate(dtype, slack, tokens, heads, head_dim, device):
    qkv = randn(tokens, 3, heads, head_dim, dtype=dtype, device=device)
    turns = angles(tokens, head_dim // 2, device)
    expected = reference.rotate(qkv, turns.cos(), turns.sin())
    got = rotate(qkv.clone(), turns.cos(), turns.sin())
    torch.testing.assert_close(got, expected, atol=slack, rtol=slack)
    assert torch.equal(got[:, 2], qkv[:, 2])
    assert not torch.equal(got[-1:], qkv[-1:]) or tokens == 1


def test_a_turn_keeps_lengths_and_depends_on_distance_alone(device):
    one = randn(1, 1, 1, 8, dtype=torch.float32, device=device).expand(6, 3, 1, 8).contiguous()
    turns = angles(6, 4, device)
    turned = rotate(one.clone(), turns.cos(), turns.sin())[:, :, 0]
    torch.testing.assert_close(turned.norm(dim=2), one[:, :, 0].norm(dim=2))
    products = turned[:, 0] @ turned[:, 1].T
    torch.testing.assert_close(products.diagonal(2), products[0, 2].expand(4))


@pytest.mark.parametrize(("dtype", "slack"), DTYPES)
@pytest.mark.parametrize("shape", [(1, 2), (3, 2 * 7), (2, 2 * 1500), (0, 8)])
def test_swiglu(dtype, slack, shape, device):
    hidden = 4 * randn(*shape, dtype=dtype, device=device)
    torch.testing.assert_close(swiglu(hidden), reference.swiglu(hidden), atol=slack, rtol=slack)


def test_gates_far_from_zero_do_not_overflow(device):
    hidden = torch.tensor([[2.0, 3.0, -1e4, 1e4]], device=device)
    assert swiglu(hidden).tolist() == [[0.0, 3e4]]


def test_what_does_not_fit_is_refused(device):
    qkv = randn(4, 3, 2, 8, dtype=torch.float32, device=device)
    turns = angles(4, 4, device)
    with pytest.raises(UsageError, match="contiguous"):
        rotate(qkv[::2], turns.cos(), turns.sin())
    with pytest.raises(UsageError, match="4 x 4 values"):
        rotate(qkv, turns[:3].cos(), turns.sin())
    with pytest.raises(UsageError, match=r"\(T, 2 F\)"):
        swiglu(qkv[:, 0, 0, :5])


def test_kernels_are_launched_on_the_device_of_their_tensors():
    guard = launch.on_device(torch.device("cuda:3"))
    assert isinstance(guard, torch.cuda.device)
    assert guard.idx == 3
