"""What `univar doctor --dtype` measures: the numbers are those of the encoders themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_tiny_bert
from univar import Encoder
from univar._native import cpu_features
from univar.encoder.doctor import measure_dtype
from univar.errors import UsageError

TEXTS = ["the law is not fair", "we care : speak , wait and lead", "why should they trust you ?", "no"]


@pytest.fixture(scope="module")
def panel_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT whose dims fill panels of bytes, as int8 needs them."""
    if not cpu_features()["avx512_bf16"]:
        pytest.skip("this CPU has no AVX512-BF16: int8 does not run here")
    return write_tiny_bert(tmp_path_factory.mktemp("encoders") / "panel-bert", hidden=64, heads=2)


def test_cosines_are_those_of_the_dtype_to_fp32(panel_bert: Path) -> None:
    found = measure_dtype(panel_bert, "int8", TEXTS)
    assert found["runs"]["int8"] in ("avx512", "amx")
    exact, rounded = (Encoder(panel_bert, dtype=dtype).encode(TEXTS) for dtype in ("fp32", "int8"))
    cosines = (exact * rounded).sum(axis=1)
    assert found["lowest_cosine"] == pytest.approx(cosines.min(), abs=1e-6)
    assert found["median_cosine"] == pytest.approx(np.median(cosines), abs=1e-6)
    assert 0.9 < found["lowest_cosine"] < found["median_cosine"] < 1


def test_int8_of_an_encoder_whose_dims_fill_no_panels_is_an_error(tiny_bert: Path) -> None:
    with pytest.raises(UsageError, match=r"int8 does not run here: .*multiples of 64.*; give fp32 or auto"):
        measure_dtype(tiny_bert, "int8", TEXTS)  # 32 dims


def test_int8_on_a_cpu_without_avx512_bf16_is_an_error(
    panel_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIVAR_ISA", "avx2")
    with pytest.raises(UsageError, match=r"needs a CPU with AMX or AVX512-BF16.*; give fp32 or auto"):
        Encoder(panel_bert, dtype="int8").encode(TEXTS)


def test_it_says_what_was_measured_and_on_which_instruction_set(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIVAR_ISA", "portable")
    found = measure_dtype(tiny_bert, "bf16", TEXTS)
    assert found["encoder"] == str(tiny_bert)
    assert found["texts"] == len(TEXTS)
    assert found["tokens"] == len(Encoder(tiny_bert).tokenize(TEXTS)[0])
    assert found["runs"] == {"fp32": "portable", "bf16": "torch"}
    assert found["speed"]["fp32"] == 1
    assert found["speed"]["bf16"] > 0
