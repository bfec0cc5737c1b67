"""The library's few names mean the same in whatever order its parts are imported."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["univar", "univar.search", "univar.bulk", "univar.demo"])
def test_public_names_are_classes_and_functions(first: str) -> None:
    script = (
        f"import {first}\n"
        "from univar import Encoder, Index, Store, attribute, embed\n"
        "assert all(callable(name) for name in (Encoder, Index, Store, attribute, embed))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
