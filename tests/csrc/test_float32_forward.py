"""The float32 forward on every instruction set that this CPU can run, against NumPy in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.csrc.forward_twin import cases, forward, make_shape, make_texts, make_weights
from univar._native import Forward

SHAPES = {
    "MiniLM": {},
    "e5": {"dim": 768, "intermediate": 401, "layers": 1},
    "large, first token": {"dim": 1024, "heads": 16, "intermediate": 64, "layers": 1, "pooling": "cls"},
    "nomic": {"dim": 768, "activation": "swiglu", "rotary_base": 1000.0, "intermediate": 600, "layers": 1},
    "tanh gelu": {"dim": 64, "heads": 2, "activation": "gelu_tanh"},
    "odd sizes": {"dim": 33, "heads": 3, "intermediate": 401, "activation": "relu"},
    "a text of 8192 tokens": {"dim": 32, "heads": 1, "intermediate": 64, "layers": 1, "positions": 8192},
    "odd sizes, rotary": {
        "dim": 42,
        "heads": 3,
        "intermediate": 7,
        "activation": "swiglu",
        "rotary_base": 10_000.0,
    },
}

ODD_LENGTHS = [1, 2, 15, 16, 17, 33, 511, 513]
LENGTHS = {"a text of 8192 tokens": [8192, 3]}


case = cases(SHAPES, LENGTHS, ODD_LENGTHS)


@pytest.mark.parametrize("name", SHAPES)
def test_equals_numpy(isa: str, name: str):
    shape, weights, texts, exact = case(name)
    got = Forward(shape, weights, "fp32", isa).run(*texts)
    np.testing.assert_allclose(got, exact, rtol=0, atol=3e-6)


def test_linear_layers_without_bias(isa: str):
    shape = make_shape(dim=64, heads=2)
    weights = make_weights(shape, bias=False)
    texts = make_texts(shape, [5, 40])
    got = Forward(shape, weights, "fp32", isa).run(*texts)
    np.testing.assert_allclose(got, forward(shape, weights, *texts), rtol=0, atol=3e-6)


def test_no_texts(isa: str):
    shape = make_shape(dim=32, heads=2, layers=1)
    got = Forward(shape, make_weights(shape), "fp32", isa).run(*make_texts(shape, []))
    assert got.shape == (0, 32)


def test_a_text_does_not_depend_on_its_neighbours(isa: str):
    """Bit for bit: sums are taken in the same order wherever a row comes to lie."""
    shape = make_shape()
    model = Forward(shape, make_weights(shape), "fp32", isa)
    ids, cu_seqlens = make_texts(shape, [7, 130, 61, 1, 200])
    together = model.run(ids, cu_seqlens)
    for i, (first, last) in enumerate(itertools.pairwise(cu_seqlens)):
        alone = model.run(ids[first:last], np.array([0, last - first], np.int32))
        np.testing.assert_array_equal(alone[0], together[i])


def test_extreme_activations_stay_finite(isa: str):
    """Scores of thousands, gates of thousands: weights underflow to 0 or saturate at 1, never NaN."""
    shape = make_shape(dim=64, heads=2, activation="swiglu", rotary_base=100.0)
    weights = make_weights(shape)
    for layer in weights["layers"]:
        for name in ("qkv", "up"):
            weight, bias = layer[name]
            layer[name] = (weight * 300, bias)
    texts = make_texts(shape, [1, 50])
    got = Forward(shape, weights, "fp32", isa).run(*texts)
    np.testing.assert_allclose(got, forward(shape, weights, *texts), rtol=0, atol=1e-3)


def test_heads_must_divide_the_dims():
    shape = make_shape(dim=64, heads=3)
    with pytest.raises(ValueError, match="64 dims cannot be cut into 3 attention heads"):
        Forward(shape, make_weights(shape), "fp32", "portable")


@pytest.mark.parametrize(
    ("ids", "cu_seqlens", "why"),
    [
        ([1, 2], [0, 1], "number of ids"),
        ([1, 2], [0, 0, 2], "text 0 has 0 tokens"),
        ([1, 99], [0, 2], "id 99 is not in the vocabulary of 50"),
        ([1] * 20, [0, 20], "text 0 has 20 tokens, must have 1 to 16"),
    ],
)
def test_refuses_what_does_not_fit(ids: list[int], cu_seqlens: list[int], why: str):
    shape = make_shape(dim=32, heads=1, positions=16)
    model = Forward(shape, make_weights(shape), "fp32", "portable")
    with pytest.raises(ValueError, match=why):
        model.run(np.array(ids, np.int32), np.array(cu_seqlens, np.int32))
