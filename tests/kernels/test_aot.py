"""Every kernel compiles for GPUs that aren't here: nothing spills, everything fits, tensor cores are used.

It runs in a process of its own, because kernels imported for the interpreter can't be compiled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="kernels need the package triton")
REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "benchmarks" / "aot.py"


@pytest.mark.parametrize("target", ["sm_90a", "sm_80"])
def test_the_kernels_that_run_most(target):
    assert_fit(compiled(target, "bf16 D=384", "bf16 D=384 on diagonal", "knn_groups D=384 of 32"))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("target", ["sm_90a", "sm_80"])
def test_all_kernels_in_all_configurations_and_the_table_of_the_docs(target):
    made = compiled(target)
    assert_fit(made)
    lines = (REPOSITORY / "docs" / "kernels.md").read_text(encoding="utf-8").splitlines()
    documented = [line for line in lines if f" | {target} | " in line]
    assert documented == [kernel["row"] for kernel in made], f"put in the table of {SCRIPT.name}"


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
        assert kernel["registers"] <= 255, kernel
        assert kernel["shared_bytes"] <= kernel["shared_limit"], kernel
        products = kernel["HGMMA"] if kernel["target"] == "sm_90a" else kernel["HMMA"]
        assert bool(products) == kernel["uses_tensor_cores"], kernel
