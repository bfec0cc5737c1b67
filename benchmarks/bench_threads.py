"""What a second thread brings the native forward: one thread beside two, quiet and with one core kept busy.

Both pass the same token ids, one after the other within each round and in turning order; the ratio is taken
round by round, in wall time. Then the same again while a process that does nothing but spin holds one core.

    python benchmarks/bench_threads.py --out benchmarks/results/threads.json
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from facts import data_folder, write_result

from univar import Encoder
from univar.schema import qa_texts

PACKAGES = ("univar-embed",)
SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass"


@contextlib.contextmanager
def busy(core: int) -> Iterator[None]:
    """Keep one core busy."""
    with subprocess.Popen([sys.executable, "-c", SPIN, str(core)], stdout=subprocess.PIPE) as spinner:
        assert spinner.stdout is not None
        spinner.stdout.readline()  # it has begun
        try:
            yield
        finally:
            spinner.kill()


def wall_of(encoder: Encoder, ids: np.ndarray, cu_seqlens: np.ndarray) -> float:
    started = time.perf_counter()
    encoder.forward_packed(ids, cu_seqlens)
    return time.perf_counter() - started


def measure(encoders: dict[int, Encoder], texts: list[str], rounds: int) -> dict[str, Any]:
    """Wall seconds of each number of threads in each round, and how many times faster two are than one."""
    ids, cu_seqlens = encoders[1].tokenize(texts)
    for encoder in encoders.values():
        wall_of(encoder, ids, cu_seqlens)  # warm
    seconds: dict[int, list[float]] = {threads: [] for threads in encoders}
    for number in range(rounds):
        for threads in sorted(encoders, reverse=bool(number % 2)):
            seconds[threads].append(wall_of(encoders[threads], ids, cu_seqlens))
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    return {
        "wall_s": {str(threads): [round(s, 4) for s in all_] for threads, all_ in seconds.items()},
        "two_threads_times_one": {
            "median": round(statistics.median(ratios), 3),
            "min": round(min(ratios), 3),
            "max": round(max(ratios), 3),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_eval.parquet")
    parser.add_argument("--texts", type=int, default=600, help="the first so many")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="that is kept busy")
    parser.add_argument("--out", type=Path, help="JSON file of the result")
    options = parser.parse_args()
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2 or options.core not in usable:
        raise SystemExit(f"this needs two cores, one of them {options.core}; usable are {usable}")
    table = pq.read_table(options.data / "answers_eval.parquet", columns=["question", "answer"])
    table = table.slice(0, options.texts).combine_chunks()
    texts = qa_texts(*(table[name].combine_chunks() for name in ("question", "answer"))).to_pylist()
    encoders = {
        threads: Encoder(options.encoder, dtype=options.dtype, device="cpu", threads=threads)
        for threads in (1, 2)
    }
    found = {"quiet": measure(encoders, texts, options.rounds)}
    with busy(options.core):
        found["one core busy"] = measure(encoders, texts, options.rounds)
    settings = {"texts": len(texts), "usable_cores": len(usable), **encoders[2].info}
    write_result(options.out, "threads", PACKAGES, {"settings": settings, **found})
    for name, one in found.items():
        print("{}: 2 threads {median}x one ({min}-{max})".format(name, **one["two_threads_times_one"]))


if __name__ == "__main__":
    main()
