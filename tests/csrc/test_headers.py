"""A kernel's source includes little of ours, so that a stranger can read it alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
AMX_PRODUCTS = sorted((CSRC / "encoder" / "panels" / "amx").glob("*.cpp"))


def our_headers(source: Path) -> list[str]:
    """Headers of csrc/ that a source includes, directly or not."""
    if (compiler := shutil.which("g++")) is None:
        pytest.skip("no g++: headers are not counted here")
    command = [compiler, "-std=c++17", "-MM", "-I", str(CSRC), str(source)]
    rule = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    paths = [Path(word) for word in rule.replace("\\\n", " ").split() if word.endswith(".h")]
    return [path.relative_to(CSRC).as_posix() for path in paths if path.is_relative_to(CSRC)]


@pytest.mark.parametrize("source", AMX_PRODUCTS, ids=lambda path: path.name)
def test_an_amx_product_includes_at_most_8_headers(source: Path) -> None:
    headers = our_headers(source)
    assert "encoder/panels/layout.h" in headers
    assert len(headers) <= 8, headers


def test_there_are_amx_products() -> None:
    assert {"linear.cpp", "attention.cpp", "bytes.cpp"} <= {path.name for path in AMX_PRODUCTS}
