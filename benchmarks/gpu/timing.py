"""What the GPU benchmarks share: timing on a device or the CPU, peak memory, arguments, and where rows go."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def arguments(description: str) -> argparse.Namespace:
    """--out FILE, --seconds, --dry-run and what follows from it: `device`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the rows")
    parser.add_argument("--seconds", type=float, default=600, help="nothing new begins after so many")
    parser.add_argument(
        "--dry-run", action="store_true", help="every step on the CPU, in sizes of a few rows"
    )
    args = parser.parse_args()
    args.device = torch.device("cpu" if args.dry_run else "cuda")
    return args


def compiled(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """torch.compile for these shapes; on the CPU only traced, since its C++ would take minutes to compile."""
    return torch.compile(function, dynamic=False, backend="inductor" if device.type == "cuda" else "eager")


def time_ms(run: Callable[[], object], device: torch.device, budget_s: float = 1.0) -> dict[str, float]:
    """Median, least and most milliseconds of a call after warming up, and MB at its peak beyond the start.

    Times are those of the device, of the wall where the call waits for its results.
    """
    run()
    if device.type != "cuda":
        times = [_time_on_cpu(run) for _ in range(2)]
        return _facts(times, 0.0)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    times = [_time_on_gpu(run)]
    peak_mb = (torch.cuda.max_memory_allocated() - before) / 2**20
    repeats = max(2, min(50, int(budget_s * 1e3 / max(times[0], 1e-3))))
    times += [_time_on_gpu(run) for _ in range(repeats)]
    return _facts(times[1:], peak_mb)


def _time_on_gpu(run: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def _time_on_cpu(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e3


def _facts(times: list[float], peak_mb: float) -> dict[str, float]:
    return {
        "ms": statistics.median(times),
        "ms_min": min(times),
        "ms_max": max(times),
        "repeats": len(times),
        "peak_mb": round(peak_mb, 1),
    }


class Results:
    """Rows of a benchmark; written after each, so that what was measured survives what fails later."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._out, self._rows = args.out, []
        self._until = time.monotonic() + args.seconds

    def measure(self, facts: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
        """Add a row with what `measure` gives, or with its error, or with `left_out` once time is up."""
        if time.monotonic() > self._until:
            self._add({**facts, "left_out": "time was up"})
            return
        try:
            self._add({**facts, **measure()})
        except Exception as error:  # a peer may fail in any way; the rest goes on
            self._add({**facts, "error": f"{type(error).__name__}: {error}"[:300]})
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._out.write_text(json.dumps(self._rows, indent=1))
        print(row, flush=True)
