"""`univar embed` from the Parquet file to fsynced shards, beside the forward alone on the same tokens.

The command runs as a process of its own; CPU time and peak memory are what the system charges it with. The
forward alone runs in this process, model loaded, on the token ids that the engine makes of the same windows.
Rounds are forward, command, forward, command, ..., forward; a command is compared with the mean of the
forwards around it. What starting Python and loading the model cost is the same command on one row.

    python benchmarks/bench_end_to_end.py --out benchmarks/results/end_to_end.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from facts import data_folder, write_result

from univar import Encoder
from univar._native import HashIndex
from univar.answers import read_rows
from univar.bulk.engine import WINDOW_BYTES, WINDOW_ROWS
from univar.bulk.report import EmbedReport
from univar.bulk.windows import RowFilter
from univar.encoder.spec import resolve
from univar.encoder.tokenizer import take_texts

# A command's peak memory begins with that of the process that starts it: so a small one does.
LAUNCHER = """
import json, os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
facts = {"cpu_s": used.ru_utime + used.ru_stime, "peak_rss": 1024 * used.ru_maxrss}
print(json.dumps(facts), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""

PACKAGES = ("univar-embed", "torch", "pyarrow", "h5py")
MB = 1_000_000


@dataclass(frozen=True)
class Cost:
    """What a run took; peak_rss in bytes, 0 where it was not asked for."""

    cpu_s: float
    wall_s: float
    peak_rss: int = 0

    def facts(self) -> dict[str, float]:
        facts: dict[str, float] = {"cpu_s": round(self.cpu_s, 3), "wall_s": round(self.wall_s, 3)}
        if self.peak_rss:
            facts["peak_rss_mb"] = round(self.peak_rss / MB, 1)
        return facts


def windows_of(path: Path, encoder: Encoder) -> list[tuple[np.ndarray, np.ndarray]]:
    """The packed tokens that `univar embed` gives the encoder, window by window."""
    limits = {"batch_rows": WINDOW_ROWS, "batch_bytes": WINDOW_BYTES}
    batches = read_rows([path], on_rejected=lambda row: None, **limits)
    admission = RowFilter(HashIndex(), HashIndex(), 0, (0, 1))
    windows = admission.windows(batches, encoder.tokenizer, EmbedReport())
    return [take_texts(window.tokens.ids, window.tokens.cu_seqlens, window.new) for window in windows]


def run_forward(encoder: Encoder, windows: list[tuple[np.ndarray, np.ndarray]]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    for ids, cu_seqlens in windows:
        encoder.forward_packed(ids, cu_seqlens)
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def run_command(path: Path, options: argparse.Namespace) -> tuple[Cost, dict[str, Any]]:
    """`univar embed` of one file into a new store: its cost and its report."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        embed = [sys.executable, "-m", "univar", "embed", str(path), "--out", f"{scratch}/store"]
        settings = ["--encoder", options.encoder, "--dtype", options.dtype, "--threads", str(options.threads)]
        command = [sys.executable, "-c", LAUNCHER, *embed, *settings, "--json", "--quiet"]
        wall = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        wall = time.perf_counter() - wall
    if done.returncode:
        raise SystemExit(f"univar embed ended with exit code {done.returncode}: {done.stderr}")
    used = json.loads(done.stderr.splitlines()[-1])
    return Cost(used["cpu_s"], wall, used["peak_rss"]), json.loads(done.stdout)


def first_rows(path: Path, n: int, folder: Path) -> Path:
    """A Parquet file of the first n rows."""
    part = folder / f"first-{n}.parquet"
    pq.write_table(pq.read_table(path).slice(0, n), part)
    return part


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


def measure(path: Path, one_row: Path, encoder: Encoder, options: argparse.Namespace) -> dict[str, Any]:
    """All rounds, and what they say."""
    windows = windows_of(path, encoder)
    run_command(one_row, options)  # the files of Python's packages and of the model are in memory now
    run_forward(encoder, windows[:1])
    starts, commands = [], []
    forwards = [run_forward(encoder, windows)]
    for number in range(options.rounds):
        starts.append(run_command(one_row, options)[0])
        cost, report = run_command(path, options)
        assert report["tokens"] == sum(len(ids) for ids, _ in windows), "not the same tokens"
        commands.append(cost)
        forwards.append(run_forward(encoder, windows))
        print(f"round {number + 1}: {cost.facts()}, forward {forwards[-1].facts()}", flush=True)
    model = sum(file.stat().st_size for file in resolve(options.encoder).folder.rglob("*.safetensors"))
    peak = max(cost.peak_rss for cost in commands)
    return {
        **{name: report[name] for name in ("rows_read", "encoded", "tokens")},
        "command": [cost.facts() for cost in commands],
        "command_on_one_row": [cost.facts() for cost in starts],
        "forward_alone": [cost.facts() for cost in forwards],
        **ratios(commands, starts, forwards),
        "peak_rss_mb": round(peak / MB, 1),
        "model_mb": round(model / MB, 1),
        "peak_rss_above_model_mb": round((peak - model) / MB, 1),
    }


def ratios(commands: list[Cost], starts: list[Cost], forwards: list[Cost]) -> dict[str, dict[str, float]]:
    """Round by round: the command to the forwards around it, as it is and less the command on one row."""
    found = {}
    for kind in ("cpu_s", "wall_s"):
        around = [(getattr(a, kind) + getattr(b, kind)) / 2 for a, b in itertools.pairwise(forwards)]
        whole, start = ([getattr(cost, kind) for cost in costs] for costs in (commands, starts))
        rounds = list(zip(whole, start, around, strict=True))
        found[f"{kind[:-2]}_times_forward"] = spread([all_ / alone for all_, _, alone in rounds])
        found[f"{kind[:-2]}_times_forward_without_start"] = spread(
            [(all_ - one) / alone for all_, one, alone in rounds]
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_train.parquet")
    parser.add_argument("--rows", type=int, help="only the first so many; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="where stores are written; default: the system's")
    parser.add_argument("--out", type=Path, help="JSON file of the result")
    options = parser.parse_args()
    encoder = Encoder(options.encoder, dtype=options.dtype, device="cpu", threads=options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        path = options.data / "answers_train.parquet"
        one_row = first_rows(path, 1, Path(scratch))
        if options.rows is not None:
            path = first_rows(path, options.rows, Path(scratch))
        found = measure(path, one_row, encoder, options)
    settings = {"threads": options.threads, "max_length": encoder.max_length, **encoder.info}
    write_result(options.out, "end_to_end", PACKAGES, {"settings": settings, **found})
    for name, value in found.items():
        if not isinstance(value, list):
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
