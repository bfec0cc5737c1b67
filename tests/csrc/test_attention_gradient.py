"""Attention for training: result and gradients against float64, whatever the texts' lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from univar import _native
from univar.train.autograd import bits

LENGTHS = [[1], [2, 1, 31], [32], [33, 64, 5], [100, 0, 17], [511, 1, 513]]


def rounded(generator: torch.Generator, *shape: int, scale: float = 1.0) -> torch.Tensor:
    return (torch.randn(*shape, generator=generator) * scale).bfloat16()


def values(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).view(torch.bfloat16).double()


def exact(qkv: torch.Tensor, lengths: list[int], d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same in float64: (T, heads head_dim) and (T, 3, heads, head_dim)."""
    whole = qkv.double().requires_grad_()
    parts = []
    for text in whole[: sum(lengths)].split(lengths):
        q, k, v = text.permute(1, 2, 0, 3)
        weights = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1)
        parts.append((weights @ v).transpose(0, 1).flatten(1))
    out = torch.cat(parts)
    (gradient,) = torch.autograd.grad(out, whole, d_out[: len(out)].double())
    return out.detach(), gradient


def worst(got: torch.Tensor, expected: torch.Tensor, lengths: list[int]) -> float:
    """Largest error of a text's rows, as a share of their common length; where that is 0, of 1."""
    pairs = zip(got[: sum(lengths)].split(lengths), expected.split(lengths), strict=True)
    sizes = [(float((one - other).norm()), float(other.norm())) for one, other in pairs if len(one)]
    return max(error / (size if size > 1e-9 else 1.0) for error, size in sizes)


def ran(
    isa: str, qkv: torch.Tensor, lengths: list[int], d_out: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    ends = np.cumsum([0, *lengths]).astype(np.int32)
    out, log_sums = _native.attention(bits(qkv), ends, isa)
    return values(out), values(_native.attention_gradient(bits(qkv), ends, out, log_sums, bits(d_out), isa))


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize(("heads", "head_dim"), [(1, 32), (3, 64)])
def test_result_and_gradients_are_those_of_float64(
    bf16_isa: str, lengths: list[int], heads: int, head_dim: int
) -> None:
    generator = torch.Generator().manual_seed(sum(lengths))
    tokens = sum(lengths)
    qkv, d_out = rounded(generator, tokens, 3, heads, head_dim), rounded(generator, tokens, heads * head_dim)
    out, gradient = ran(bf16_isa, qkv, lengths, d_out)
    expected_out, expected_gradient = exact(qkv, lengths, d_out)
    assert worst(out, expected_out, lengths) < 0.01
    for part in range(3):
        assert worst(gradient[:, part], expected_gradient[:, part], lengths) < 0.015


@pytest.mark.parametrize("scale", [0.01, 8.0, 300.0])
def test_sharp_and_flat_weights_stay_right(bf16_isa: str, scale: float) -> None:
    generator = torch.Generator().manual_seed(5)
    qkv, d_out = rounded(generator, 70, 3, 2, 32), rounded(generator, 70, 64)
    qkv[:, 0] *= scale
    out, gradient = ran(bf16_isa, qkv, [70], d_out)
    expected_out, expected_gradient = exact(qkv, [70], d_out)
    assert worst(out, expected_out, [70]) < 0.01
    assert torch.isfinite(gradient).all()
    assert worst(gradient[:, 2], expected_gradient[:, 2], [70]) < 0.015


def test_rows_after_the_last_token_are_zero(bf16_isa: str) -> None:
    generator = torch.Generator().manual_seed(1)
    qkv, d_out = rounded(generator, 48, 3, 2, 32), rounded(generator, 48, 64)
    out, gradient = ran(bf16_isa, qkv, [20, 13], d_out)
    assert out.shape == (48, 64)
    assert not out[33:].any()
    assert not gradient[33:].any()


def test_a_text_does_not_see_the_others(bf16_isa: str) -> None:
    generator = torch.Generator().manual_seed(2)
    qkv, d_out = rounded(generator, 90, 3, 2, 32), rounded(generator, 90, 64)
    out, gradient = ran(bf16_isa, qkv, [40, 50], d_out)
    alone = ran(bf16_isa, qkv[40:], [50], d_out[40:])
    assert torch.equal(out[40:], alone[0])
    assert torch.equal(gradient[40:], alone[1])


def test_nan_does_not_vanish(bf16_isa: str) -> None:
    qkv, d_out = torch.zeros(8, 3, 1, 32, dtype=torch.bfloat16), torch.ones(8, 32, dtype=torch.bfloat16)
    qkv[3, 1, 0, 0] = torch.nan
    qkv[:, 0] = 1
    out, gradient = ran(bf16_isa, qkv, [8], d_out)
    assert out.isnan().any()
    assert gradient.isnan().any()


@pytest.mark.parametrize(
    ("shape", "ends", "named"),
    [
        ((4, 3, 2, 16), [0, 4], "head_dim a multiple of 32"),
        ((4, 2, 2, 32), [0, 4], "qkv must be"),
        ((4, 3, 2, 32), [0, 5], "end within qkv"),
        ((4, 3, 2, 32), [1, 4], "begin at 0"),
        ((4, 3, 2, 32), [0, 3, 2], "falls after text 1"),
    ],
)
def test_wrong_input_is_named(bf16_isa: str, shape: tuple[int, ...], ends: list[int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        _native.attention(np.zeros(shape, np.uint16), np.array(ends, np.int32), bf16_isa)


def test_gradient_refuses_results_of_another_batch(bf16_isa: str) -> None:
    qkv, ends = np.zeros((4, 3, 2, 32), np.uint16), np.array([0, 4], np.int32)
    out, log_sums = _native.attention(qkv, ends, bf16_isa)
    with pytest.raises(ValueError, match="d_out must be"):
        _native.attention_gradient(qkv, ends, out, log_sums, out[:3], bf16_isa)
    with pytest.raises(ValueError, match="log_sums must be"):
        _native.attention_gradient(qkv, ends, out, log_sums[:1], out, bf16_isa)
