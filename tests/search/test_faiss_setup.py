"""FAISS gets a BLAS that fits the processor, and leaves no trace in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import faiss as cpu_faiss
import numpy as np
import pytest

from univar.encoder.doctor import installation
from univar.errors import UsageError
from univar.search import Index, approximate, faiss_setup
from univar.search.exact import ArrayEmbeddings
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


class OnGpus:
    """What FAISS returns for several GPUs: it searches, and refuses an attribute `nprobe`."""

    __slots__ = ("asked", "index", "options")

    def __init__(self, index, options):
        self.index, self.options, self.asked = index, options, []

    def search(self, queries, k):
        self.asked.append(k)
        return self.index.search(queries, k)


@pytest.fixture
def two_gpus(monkeypatch):
    """FAISS for the CPU that pretends to have two GPUs; returns what lay on them."""
    made = []

    class GpuParameterSpace:
        def set_index_parameter(self, index, name, value):
            assert isinstance(index, OnGpus)
            setattr(index.index, name, value)

    def to_gpus(index, options):
        made.append(OnGpus(index, options))
        return made[-1]

    monkeypatch.setattr(cpu_faiss, "get_num_gpus", lambda: 2, raising=False)
    monkeypatch.setattr(cpu_faiss, "index_cpu_to_all_gpus", to_gpus, raising=False)
    monkeypatch.setattr(cpu_faiss, "GpuMultipleClonerOptions", SimpleNamespace, raising=False)
    monkeypatch.setattr(cpu_faiss, "GpuParameterSpace", GpuParameterSpace, raising=False)
    return made


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_two_gpus_share_the_rows_and_give_what_one_processor_gives(kind, two_gpus, monkeypatch):
    rows = np.random.default_rng(0).standard_normal((600, 16)).astype(np.float32)
    found = approximate.build(kind, ArrayEmbeddings(rows), 16, threads=1)
    scores, indices = found.search(rows[:20], 5)
    (there,) = two_gpus
    assert there.options.shard
    assert there.options.useFloat16 == (kind == "ivf")
    assert there.asked
    monkeypatch.setattr(cpu_faiss, "get_num_gpus", lambda: 0)
    plain = approximate.build(kind, ArrayEmbeddings(rows), 16, threads=1)
    assert plain.effort == found.effort
    np.testing.assert_array_equal(plain.search(rows[:20], 5)[1], indices)
    np.testing.assert_array_equal(plain.search(rows[:20], 5)[0], scores)


def test_what_a_gpu_does_not_take_is_searched_on_the_cpu(two_gpus, monkeypatch):
    monkeypatch.setattr(approximate, "MOST_ON_GPU", 32)
    rows = np.random.default_rng(0).standard_normal((600, 16)).astype(np.float32)
    found = approximate.build("flat", ArrayEmbeddings(rows), 16, threads=1)
    assert found.search(rows[:3], 40)[1].shape == (3, 40)
    assert not two_gpus[0].asked
    found.search(rows[:3], 10)
    assert two_gpus[0].asked
    assert faiss_setup.gpu_count() == 2


@pytest.fixture
def without_faiss(monkeypatch):
    """A Python into which no FAISS is installed."""
    faiss_setup.load_faiss.cache_clear()
    monkeypatch.setitem(sys.modules, "faiss", None)
    yield
    faiss_setup.load_faiss.cache_clear()


@pytest.mark.usefixtures("without_faiss")
def test_without_faiss_search_is_exact_and_messages_name_the_extra(monkeypatch):
    rows = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    monkeypatch.setattr("univar.search.index.IVF_FROM_ROWS", 100)
    index = Index.build(rows)
    assert index.type == "exact"
    assert index.search(rows[:5], 1)[1][:, 0].tolist() == [0, 1, 2, 3, 4]
    for kind in ("flat", "ivf", "hnsw"):
        with pytest.raises(UsageError, match=r"univar-embed\[faiss\].*univar-embed\[gpu\].*exact"):
            Index.build(rows, kind)


def test_with_faiss_a_large_matrix_gets_inverted_lists(monkeypatch):
    monkeypatch.setattr("univar.search.index.IVF_FROM_ROWS", 100)
    rows = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    assert Index.build(rows, threads=1).type == "ivf"


@pytest.mark.parametrize(
    ("packages", "chosen", "why"),
    [
        ([], "exact", "univar-embed[faiss]"),
        (["faiss-gpu"], "faiss-gpu", "inverted lists"),
        (["faiss-gpu", "faiss-cpu"], "faiss", "faiss-cpu and faiss-gpu overwrite each other"),
    ],
)
def test_doctor_tells_which_faiss_is_installed(packages, chosen, why, monkeypatch):
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"faiss": packages})
    told = installation()["runs"]["indexes"]
    assert told["chosen"] == chosen
    assert why in told["why"]
