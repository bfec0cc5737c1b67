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


def test_names_are_listed_before_they_are_imported() -> None:
    script = "import univar; missing = set(univar.__all__) - set(dir(univar)); assert not missing, missing"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_names_of_the_store_are_what_they_are_in_their_modules() -> None:
    script = (
        "import univar.store.merging, univar.store.verification\n"
        "from univar import store\n"
        "assert all(callable(getattr(store, name)) for name in store.__all__ if name.islower())\n"
        "assert set(store.__all__) <= set(dir(store))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
