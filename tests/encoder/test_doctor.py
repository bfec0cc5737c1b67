"""What `univar doctor --dtype` measures: the numbers are those of the encoders themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from univar import Encoder
from univar._native import choose_isa
from univar.encoder.doctor import measure_dtype

TEXTS = ["the law is not fair", "we care : speak , wait and lead", "why should they trust you ?", "no"]


def test_cosines_are_those_of_the_dtype_to_fp32(tiny_bert: Path) -> None:
    found = measure_dtype(tiny_bert, "int8", TEXTS)
    exact, rounded = (Encoder(tiny_bert, dtype=dtype).encode(TEXTS) for dtype in ("fp32", "int8"))
    cosines = (exact * rounded).sum(axis=1)
    assert found["lowest_cosine"] == pytest.approx(cosines.min(), abs=1e-6)
    assert found["median_cosine"] == pytest.approx(np.median(cosines), abs=1e-6)
    assert 0.9 < found["lowest_cosine"] < found["median_cosine"] < 1


def test_a_model_whose_dims_fill_no_tiles_of_bytes_runs_in_int8_all_the_same(tiny_bert: Path) -> None:
    found = measure_dtype(tiny_bert, "int8", TEXTS)  # 32 dims; AMX wants multiples of 64
    assert found["runs"]["int8"] == choose_isa("int8", "avx512")


def test_it_says_what_was_measured_and_on_which_instruction_set(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIVAR_ISA", "portable")
    found = measure_dtype(tiny_bert, "int8", TEXTS)
    assert found["encoder"] == str(tiny_bert)
    assert found["texts"] == len(TEXTS)
    assert found["tokens"] == len(Encoder(tiny_bert).tokenize(TEXTS)[0])
    assert found["runs"] == {"fp32": "portable", "int8": "portable"}
    assert found["speed"]["fp32"] == 1
    assert found["speed"]["int8"] > 0
