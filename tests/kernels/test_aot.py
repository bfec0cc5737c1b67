"""Every kernel compiles for GPUs that aren't here: nothing spills, everything fits, tensor cores are used.

It runs in a process of its own, because kernels imported for the interpreter can't be compiled.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="kernels need the package triton")
REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "benchmarks" / "aot.py"
TABLE = REPOSITORY / "benchmarks" / "results" / "kernel_resources.csv"


MOST = (
    *("bf16 D=384", "bf16 D=384 on diagonal", "knn_groups D=384 of 32"),
    *("rotate D=768", "swiglu D=768", "residual_layer_norm D=768"),
)


@pytest.mark.parametrize("target", ["sm_90a", "sm_80"])
def test_the_kernels_that_run_most(target):
    assert_fit(compiled(target, *MOST))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("target", ["sm_90a", "sm_80"])
def test_all_kernels_in_all_configurations_and_the_published_table(target):
    made = compiled(target)
    assert_fit(made)
    with TABLE.open(encoding="utf-8", newline="") as file:
        published = [row for row in csv.DictReader(file) if row["target"] == target]
    columns = {"kernel": "name", **{name: name for name in published[0] if name != "kernel"}}
    found = [{column: str(kernel[name]) for column, name in columns.items()} for kernel in made]
    assert published == found, f"write {TABLE.name} again by {SCRIPT.name}"


def compiled(target: str, *names: str) -> list[dict]:
    """Resources of the variants of a target, only those whose name ends or begins as given."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, str(SCRIPT), "--json", "--target", target, "--only", *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_fit(made: list[dict]) -> None:
    assert made
    for kernel in made:
        assert kernel["spills"] == 0, kernel
        assert kernel["stack_bytes"] == 0, kernel
        assert kernel["registers"] <= (128 if two_share_a_processor(kernel) else 255), kernel
        assert kernel["shared_bytes"] <= kernel["shared_limit"], kernel
        products = kernel["HGMMA"] if kernel["target"] == "sm_90a" else kernel["HMMA"]
        assert bool(products) == kernel["uses_tensor_cores"], kernel


def two_share_a_processor(kernel: dict) -> bool:
    """The loss in bf16 on Hopper hides one program's copies behind another: 128 registers each."""
    name = kernel["name"]
    is_loss = name.startswith("info_nce") and name.endswith(("bf16 D=384", "bf16 D=768"))
    return is_loss and kernel["target"] == "sm_90a"
