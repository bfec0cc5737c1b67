"""The bf16 forward, on AMX and by AVX-512 dot products, against NumPy in float64.

bf16 keeps 8 bits: a step of the arithmetic is off by up to 2^-9 of a value, and random models of one or two
layers end up within a few such steps of the exact embedding, whose values are about dim^-0.5.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.csrc.forward_twin import forward, make_shape, make_texts, make_weights
from univar._native import Forward

SHAPES = {
    "MiniLM": {},
    "base": {"dim": 768, "intermediate": 1024, "layers": 1},
    "large, first token": {"dim": 1024, "heads": 16, "layers": 1, "pooling": "cls"},
    "nomic": {"dim": 768, "activation": "swiglu", "rotary_base": 1000.0, "intermediate": 608, "layers": 1},
    "heads of 128": {"dim": 256, "heads": 2, "activation": "relu", "rotary_base": 10_000.0},
    "heads of 96": {"dim": 192, "heads": 2, "activation": "gelu_tanh", "rotary_base": 500.0},
    "one panel": {"dim": 32, "heads": 1, "intermediate": 32},
}

ODD_LENGTHS = [1, 2, 15, 16, 17, 31, 32, 33, 511, 513]


def assert_near(got: np.ndarray, exact: np.ndarray, least_cosine: float = 0.9998) -> None:
    cosines = (got * exact).sum(axis=1)
    assert cosines.min() >= least_cosine, cosines
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


def compare(bf16_isa: str, texts: tuple[np.ndarray, np.ndarray], **changes: Any) -> None:
    shape = make_shape(**changes)
    weights = make_weights(shape)
    got = Forward(shape, weights, "bf16", bf16_isa).run(*texts)
    assert_near(got, forward(shape, weights, *texts))


@pytest.mark.parametrize("name", SHAPES)
def test_equals_numpy(bf16_isa: str, name: str) -> None:
    compare(bf16_isa, make_texts(make_shape(), ODD_LENGTHS), **SHAPES[name])


@pytest.mark.parametrize("length", [31, 33, 255, 257, 300, 700])
def test_rows_of_every_kind_of_block(bf16_isa: str, length: int) -> None:
    compare(bf16_isa, make_texts(make_shape(), [length, 1]), dim=64, heads=2, positions=700)


def test_linear_layers_without_bias(bf16_isa: str) -> None:
    shape = make_shape(dim=64, heads=2)
    weights = make_weights(shape, bias=False)
    texts = make_texts(shape, [5, 40])
    assert_near(Forward(shape, weights, "bf16", bf16_isa).run(*texts), forward(shape, weights, *texts))


def test_a_rotary_text_of_8192_tokens(bf16_isa: str) -> None:
    texts = make_texts(make_shape(), [8192, 3])
    compare(bf16_isa, texts, dim=32, heads=1, intermediate=64, layers=1, positions=8192, rotary_base=1000.0)


def test_no_texts(bf16_isa: str) -> None:
    shape = make_shape(dim=32, heads=1, layers=1)
    assert Forward(shape, make_weights(shape), "bf16", bf16_isa).run(*make_texts(shape, [])).shape == (0, 32)


def test_a_text_does_not_depend_on_its_neighbours(bf16_isa: str) -> None:
    """Bit for bit: a row's sums are taken in the same order wherever it comes to lie."""
    shape = make_shape()
    model = Forward(shape, make_weights(shape), "bf16", bf16_isa)
    ids, cu_seqlens = make_texts(shape, [7, 130, 61, 1, 200, 300, 16])
    together = model.run(ids, cu_seqlens)
    for i, (first, last) in enumerate(itertools.pairwise(cu_seqlens)):
        alone = model.run(ids[first:last], np.array([0, last - first], np.int32))
        np.testing.assert_array_equal(alone[0], together[i])


@pytest.mark.parametrize("scale", [30.0, 300.0, 3e7])
def test_scores_of_any_size(bf16_isa: str, scale: float) -> None:
    """Beyond the range in which softmax needs no highest score: all weight on one key, never NaN."""
    shape = make_shape(dim=64, heads=2, layers=1)
    weights = make_weights(shape)
    weight, _bias = weights["layers"][0]["qkv"]
    weight[:128] *= scale**0.5
    texts = make_texts(shape, [1, 50, 33])
    got = Forward(shape, weights, "bf16", bf16_isa).run(*texts)
    assert_near(got, forward(shape, weights, *texts), least_cosine=0.97)  # near ties fall the other way


def test_sizes_that_are_no_whole_tiles_are_refused(bf16_isa: str) -> None:
    shape = make_shape(dim=48, heads=2)
    with pytest.raises(ValueError, match="multiples of 32"):
        Forward(shape, make_weights(shape), "bf16", bf16_isa)
