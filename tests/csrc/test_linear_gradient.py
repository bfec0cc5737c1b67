"""Gradients of a linear layer in training: against float64, whatever the rows and widths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from univar import _native
from univar.train.autograd import bits


def gradients(isa: str, x: np.ndarray, d_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    d_weight = np.full((d_out.shape[1], x.shape[1]), np.nan, np.float32)
    d_bias = np.full(d_out.shape[1], np.nan, np.float32)
    _native.linear_gradient(x, d_out, d_weight, d_bias, isa)
    return d_weight, d_bias


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 33, 255, 256, 257, 1100])
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (96, 32), (32, 96), (384, 160)])
def test_gradients_are_those_of_float64(bf16_isa: str, rows: int, inputs: int, outputs: int) -> None:
    generator = torch.Generator().manual_seed(rows + inputs)
    x = torch.randn(rows, inputs, generator=generator).bfloat16()
    d_out = torch.randn(rows, outputs, generator=generator).bfloat16()
    d_weight, d_bias = gradients(bf16_isa, bits(x), bits(d_out))
    error = 2e-6 * max(1, rows) ** 0.5  # products are exact in float, their sums round
    np.testing.assert_allclose(d_weight, (d_out.double().T @ x.double()).numpy(), rtol=0, atol=4 * error)
    np.testing.assert_allclose(d_bias, d_out.double().sum(0).numpy(), rtol=0, atol=4 * error)


def test_same_result_every_time(bf16_isa: str) -> None:
    generator = torch.Generator().manual_seed(3)
    x, d_out = (bits(torch.randn(700, 64, generator=generator).bfloat16()) for _ in range(2))
    first, second = gradients(bf16_isa, x, d_out), gradients(bf16_isa, x, d_out)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("x", "d_out", "said"),
    [
        (np.zeros((3, 33), np.uint16), np.zeros((3, 32), np.uint16), "inputs a multiple of 32"),
        (np.zeros((3, 32), np.uint16), np.zeros((4, 32), np.uint16), r"d_out must be \(3, 32\)"),
        (np.zeros((3, 32), np.uint16), np.zeros((3, 40), np.uint16), "outputs a multiple of 32"),
        (np.zeros(32, np.uint16), np.zeros((1, 32), np.uint16), r"x must be \(rows, inputs\)"),
    ],
)
def test_wrong_shapes_are_refused(bf16_isa: str, x: np.ndarray, d_out: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _native.linear_gradient(x, d_out, np.zeros((32, 32), np.float32), np.zeros(32, np.float32), bf16_isa)


@pytest.mark.parametrize(
    ("weight", "bias", "said"),
    [((64, 32), 32, r"d_weight must be \(32, 64\)"), ((32, 64), 64, "d_bias must be")],
)
def test_wrong_places_for_the_result_are_refused(
    bf16_isa: str, weight: tuple[int, int], bias: int, said: str
) -> None:
    x, d_out = np.zeros((3, 64), np.uint16), np.zeros((3, 32), np.uint16)
    with pytest.raises(ValueError, match=said):
        _native.linear_gradient(x, d_out, np.zeros(weight, np.float32), np.zeros(bias, np.float32), bf16_isa)
