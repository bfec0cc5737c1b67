"""FAISS gets a BLAS that fits the processor, and leaves no trace in the environment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from univar.search.faiss_setup import CORETYPE, on_gpus, openblas_core, tuned


@pytest.mark.parametrize(
    ("flags", "core"),
    [
        ("fpu sse2", None),
        ("fpu avx2 fma", "Haswell"),
        ("fpu avx2 fma avx512f avx512bw avx512vl amx_bf16", "SkylakeX"),
        ("fpu avx2 fma avx512f", "Haswell"),
    ],
)
def test_the_core_is_read_from_cpuinfo(flags, core):
    assert openblas_core(f"processor : 0\nflags\t\t: {flags}\nbugs : avx512bw\n") == core


def test_loading_faiss_leaves_the_environment_alone():
    code = (
        "import os; from univar.search.faiss_setup import load_faiss; load_faiss(); "
        f"print('{CORETYPE}' in os.environ)"
    )
    environment = {name: value for name, value in os.environ.items() if name != CORETYPE}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "False"


def test_importing_the_index_imports_no_faiss_and_no_torch():
    code = "import sys, univar.search; print('faiss' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_settings_are_put_back_after_a_search():
    with tuned(1) as faiss:
        before = faiss.cvar.distance_compute_blas_threshold
        with tuned(100, threads=1):
            assert faiss.cvar.distance_compute_blas_threshold != before
            assert faiss.omp_get_max_threads() == 1
        assert faiss.cvar.distance_compute_blas_threshold == before


def test_without_gpus_the_index_stays_where_it_is():
    index = object()
    assert on_gpus(index) is index
