"""The int8 forward on every instruction set that this CPU can run, beside NumPy in float64."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.csrc.conftest import skip_without
from tests.csrc.forward_twin import cases, forward, make_shape, make_texts, make_weights
from univar._native import Forward, choose_isa

SHAPES = {
    "MiniLM": {},
    "e5": {"dim": 768, "intermediate": 448, "layers": 1},
    "large, first token": {"dim": 1024, "heads": 16, "intermediate": 64, "layers": 1, "pooling": "cls"},
    "nomic": {"dim": 768, "activation": "swiglu", "rotary_base": 1000.0, "intermediate": 448, "layers": 1},
    "tanh gelu": {"dim": 64, "heads": 2, "activation": "gelu_tanh"},
    "511 and 513 tokens": {"dim": 64, "heads": 2, "intermediate": 64},
    "a text of 8192 tokens": {"dim": 64, "heads": 1, "intermediate": 64, "layers": 1, "positions": 8192},
    "relu": {"dim": 128, "heads": 2, "activation": "relu", "intermediate": 448},
}

ODD_LENGTHS = [1, 2, 15, 16, 17, 33, 113]
LENGTHS = {"511 and 513 tokens": [511, 513], "a text of 8192 tokens": [8192, 3]}


@pytest.fixture(params=["avx512", "amx"])
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set of the int8 forward; skipped, and said so, where this CPU has not got it."""
    skip_without("int8", request.param)
    return request.param


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of the rows (n, dim), which have length 1."""
    return (a * b).sum(axis=1)


case = cases(SHAPES, LENGTHS, ODD_LENGTHS)


@pytest.mark.parametrize("name", SHAPES)
def test_is_near_numpy(isa: str, name: str):
    shape, weights, texts, exact = case(name)
    got = Forward(shape, weights, "int8", isa).run(*texts)
    assert np.linalg.norm(got, axis=1) == pytest.approx(1, abs=1e-5)
    assert cosines(got, exact).min() > 0.9995


def test_large_columns_cost_the_others_little(isa: str):
    """Trained models have a few columns of states that are many times the size of the rest."""
    shape, large = make_shape(), [3, 200, 301]
    weights = make_weights(shape)
    for norm in [weights["embedding_norm"], *(layer["output_norm"] for layer in weights["layers"])]:
        norm[0][large] = 10
    texts = make_texts(shape, [20, 64])
    got = Forward(shape, weights, "int8", isa).run(*texts)
    others = [np.delete(rows, large, axis=1) for rows in (got, forward(shape, weights, *texts))]
    lengths = [np.linalg.norm(rows, axis=1) for rows in others]
    assert (cosines(*others) / lengths[0] / lengths[1]).min() > 0.9994


def test_no_texts(isa: str):
    shape = make_shape(dim=64, heads=2, layers=1)
    got = Forward(shape, make_weights(shape), "int8", isa).run(*make_texts(shape, []))
    assert got.shape == (0, 64)


def test_a_text_does_not_depend_on_its_neighbours(isa: str):
    """Bit for bit: every row has rounding steps of its own."""
    shape = make_shape(layers=1)
    model = Forward(shape, make_weights(shape), "int8", isa)
    ids, cu_seqlens = make_texts(shape, [7, 130, 61, 1])
    together = model.run(ids, cu_seqlens)
    for i, (first, last) in enumerate(itertools.pairwise(cu_seqlens)):
        alone = model.run(ids[first:last], np.array([0, last - first], np.int32))
        np.testing.assert_array_equal(alone[0], together[i])


def test_minilm_stays_near_fp32(isa: str, minilm_folder: Path):
    from univar.encoder.checkpoint import load_weights
    from univar.encoder.config import read_config
    from univar.encoder.forward_native import _arrays, _shape

    config = read_config(minilm_folder)
    loaded = load_weights(config)
    shape, weights = _shape(config, loaded), _arrays(loaded)
    texts = make_texts(shape, [5, 40, 90])
    exact = Forward(shape, weights, "fp32", "avx2").run(*texts)
    assert cosines(Forward(shape, weights, "int8", isa).run(*texts), exact).min() >= 0.995


@pytest.mark.parametrize(
    "changes",
    [
        {"dim": 96, "heads": 3},
        {"dim": 64, "heads": 2, "intermediate": 96},
        {"dim": 64, "heads": 4},
        {"dim": 33, "heads": 3, "intermediate": 401, "activation": "relu"},
    ],
)
def test_dims_that_do_not_fill_panels_are_an_error(isa: str, changes: dict[str, Any]):
    shape = make_shape(**changes)
    with pytest.raises(ValueError, match="multiples of 64, head dims in multiples of 32"):
        Forward(shape, make_weights(shape), "int8", isa)


@pytest.mark.parametrize("isa", ["portable", "avx2"])
def test_there_is_no_int8_below_avx512_bf16(isa: str):
    with pytest.raises(ValueError, match="int8 needs a CPU with AMX or AVX512-BF16"):
        choose_isa("int8", isa)
    shape = make_shape(dim=64, heads=2, layers=1)
    with pytest.raises(ValueError, match="run on amx or avx512 only"):
        Forward(shape, make_weights(shape), "int8", isa)
