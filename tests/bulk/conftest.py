"""The tiny encoder, loaded once, in fp32 so that numbers repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from univar import Encoder


@pytest.fixture(scope="session")
def encoder(tiny_bert: Path) -> Encoder:
    return Encoder(str(tiny_bert), dtype="fp32", device="cpu")
