"""The one place where FAISS is imported, so that its BLAS fits the processor.

FAISS's wheel has an old OpenBLAS that takes a new processor for one of 2004, and it uses BLAS only for large
batches. Together that makes its exact search about 17 times slower than it can be. The kind of core must be
in the environment while the library is loaded; the batch limit can be set at any time.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from univar.errors import UsageError

CORETYPE = "OPENBLAS_CORETYPE"
BLAS_FROM_QUERIES = 16
"""Batches of at least this many queries go through BLAS; a single query is faster without."""

_BLAS_ALWAYS, _BLAS_NEVER = 1, 2**31 - 1  # valid whether FAISS compares with queries or with queries x dims


def openblas_core(cpuinfo: str) -> str | None:
    """OpenBLAS's name for the processor in /proc/cpuinfo, None where OpenBLAS needs no help."""
    flags = set(cpuinfo.partition("flags")[2].partition("\n")[0].split())
    if {"avx512f", "avx512bw", "avx512vl"} <= flags:
        return "SkylakeX"
    return "Haswell" if {"avx2", "fma"} <= flags else None


def _this_core() -> str | None:
    if platform.machine() not in ("x86_64", "AMD64") or not Path("/proc/cpuinfo").exists():
        return None
    return openblas_core(Path("/proc/cpuinfo").read_text())


@contextlib.contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """Set a variable, unless it is set, for the time inside: child processes must not inherit it."""
    if value is None or name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def has_faiss() -> bool:
    """Whether a package of FAISS is installed."""
    return importlib.util.find_spec("faiss") is not None


@functools.cache
def load_faiss() -> Any:
    """The module `faiss`, imported on first use. Raises UsageError where no package has it."""
    with _environment(CORETYPE, _this_core()):
        try:
            import faiss
        except ModuleNotFoundError as error:
            if error.name != "faiss":
                raise
            raise UsageError(
                "this needs FAISS: pip install 'univar-embed[faiss]', or 'univar-embed[gpu]' for GPUs; "
                "an index of type exact works without it"
            ) from None
    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)  # a second OpenMP runtime beside torch's crashes there
    return faiss


@contextlib.contextmanager
def tuned(n_queries: int, threads: int | None = None) -> Iterator[Any]:
    """`faiss`, set to use BLAS as fits a batch of `n_queries`, and at most `threads` threads."""
    faiss = load_faiss()
    before = faiss.cvar.distance_compute_blas_threshold, faiss.omp_get_max_threads()
    faiss.cvar.distance_compute_blas_threshold = (
        _BLAS_ALWAYS if n_queries >= BLAS_FROM_QUERIES else _BLAS_NEVER
    )
    if threads is not None:
        faiss.omp_set_num_threads(threads)
    try:
        yield faiss
    finally:
        faiss.cvar.distance_compute_blas_threshold = before[0]
        faiss.omp_set_num_threads(before[1])


MOST_ON_GPU = 2048
"""The largest k and number of lists visited that FAISS takes on a GPU."""


def gpu_count() -> int:
    """GPUs that FAISS can use: 0 where it was built without them."""
    return int(getattr(load_faiss(), "get_num_gpus", int)())


def on_gpus(index: Any, float16: bool = False) -> Any:
    """The index over all GPUs if FAISS was built for them and finds some, else the index itself.

    Each of several GPUs holds a part of the rows, so that together they hold more than one.
    float16: rows are kept in half the memory; scores are then good for choosing candidates only
    """
    faiss, gpus = load_faiss(), gpu_count()
    if not gpus:
        return index
    options = faiss.GpuMultipleClonerOptions()
    options.shard, options.useFloat16 = gpus > 1, float16
    return faiss.index_cpu_to_all_gpus(index, options)


def visit_lists(index: Any, lists: int, is_on_gpus: bool) -> None:
    """Let a search visit `lists` inverted lists: parts on GPUs have no `nprobe` of their own."""
    if is_on_gpus:
        load_faiss().GpuParameterSpace().set_index_parameter(index, "nprobe", lists)
    else:
        index.nprobe = lists
