"""What a second thread brings the native forward: one thread beside two, quiet and with one core kept busy.

Both embed the same token ids in turns (see `paired`), measured in wall time. Then the same again while a
process that only spins holds one core.

    python -m benchmarks.threads --out benchmarks/results/threads.json
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import paired
from benchmarks.data import data_folder, read_texts
from benchmarks.facts import write_result
from univar import Encoder

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


def measure(encoders: dict[int, Encoder], texts: list[str], rounds: int) -> dict[str, Any]:
    """Wall seconds of each number of threads in each round, and how many times faster two are than one."""
    ids, cu_seqlens = encoders[1].tokenize(texts)

    def measure_of(encoder: Encoder) -> paired.Measure:
        return lambda: paired.cost_of(lambda: encoder.forward_packed(ids, cu_seqlens))

    contenders = {str(threads): measure_of(encoder) for threads, encoder in encoders.items()}
    paired.one_round(contenders, 0)  # warm
    done = list(paired.take_turns(contenders, rounds))
    return {
        "wall_s": {name: [round(one[name].wall_s, 4) for one in done] for name in contenders},
        "two_threads_times_one": paired.spread(paired.ratios(done, "1", "2")),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_eval.parquet")
    parser.add_argument("--texts", type=int, default=600, help="texts to embed")
    parser.add_argument("--rounds", type=int, default=7, help="rounds")
    parser.add_argument("--encoder", default="minilm", help="encoder")
    parser.add_argument("--dtype", default="bf16", help="precision of the encoder")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="core to keep busy")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2 or options.core not in usable:
        raise SystemExit(f"this needs two cores, one of them {options.core}; usable are {usable}")
    texts = read_texts(options.texts, folder=options.data)
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
        print(f"{name}: speed-up by two threads {paired.shown(one['two_threads_times_one'])}")


if __name__ == "__main__":
    main()
