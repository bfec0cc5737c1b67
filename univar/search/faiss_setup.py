"""The one place where FAISS is imported, so that its BLAS fits the processor.

FAISS's wheel has an old OpenBLAS that takes a new processor for one of 2004, and it uses BLAS only for large
batches. Together that makes its exact search about 17 times slower than it can be. The kind of core must be
in the environment while the library is loaded; the batch limit can be set at any time.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@functools.cache
def load_faiss() -> Any:
    """The module `faiss`, imported on first use."""
    with _environment(CORETYPE, _this_core()):
        import faiss
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


def on_gpus(index: Any) -> Any:
    """The index on all GPUs if FAISS was built for them and finds some, else the index itself."""
    faiss = load_faiss()
    gpus = getattr(faiss, "get_num_gpus", int)()
    return faiss.index_cpu_to_all_gpus(index) if gpus else index
