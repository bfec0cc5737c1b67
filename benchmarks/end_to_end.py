"""`univar embed` from the Parquet file to fsynced shards, beside the forward alone on the same tokens.

The command runs as a process of its own; CPU time and peak memory are what the system charges to it. The
forward alone runs in this process, model loaded, on the token ids that the engine makes of the same windows.
Both are measured in turns (see `paired`), together with the same command on one row: the cost of starting
Python and loading the model.

    python -m benchmarks.end_to_end --out benchmarks/results/end_to_end.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks import paired
from benchmarks.data import data_folder, read_answers
from benchmarks.facts import write_result
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
COMMAND, START, FORWARD = "command", "command_on_one_row", "forward_alone"


def windows_of(path: Path, encoder: Encoder) -> list[tuple[np.ndarray, np.ndarray]]:
    """The packed tokens that `univar embed` gives the encoder, window by window."""
    limits = {"batch_rows": WINDOW_ROWS, "batch_bytes": WINDOW_BYTES}
    batches = read_rows([path], on_rejected=lambda row: None, **limits)
    admission = RowFilter(HashIndex(), HashIndex(), 0, (0, 1))
    windows = admission.windows(batches, encoder.tokenizer, EmbedReport())
    return [take_texts(window.tokens.ids, window.tokens.cu_seqlens, window.new) for window in windows]


def run_command(path: Path, options: argparse.Namespace) -> tuple[paired.Cost, dict[str, Any]]:
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
    return paired.Cost(used["cpu_s"], wall, used["peak_rss"]), json.loads(done.stdout)


def first_rows(n: int | None, folder: Path, data: Path) -> Path:
    """A Parquet file of the first n answers."""
    part = folder / f"first-{n}.parquet"
    pq.write_table(read_answers(side="train", rows=n, folder=data), part)
    return part


def measure(path: Path, one_row: Path, encoder: Encoder, options: argparse.Namespace) -> dict[str, Any]:
    """All rounds, and what they say."""
    windows = windows_of(path, encoder)
    report: dict[str, Any] = {}

    def forward() -> None:
        for ids, cu_seqlens in windows:
            encoder.forward_packed(ids, cu_seqlens)

    def command() -> paired.Cost:
        nonlocal report
        cost, report = run_command(path, options)
        assert report["tokens"] == sum(len(ids) for ids, _ in windows), "not the same tokens"
        return cost

    run_command(one_row, options)  # the files of Python's packages and of the model are in memory now
    encoder.forward_packed(*windows[0])
    contenders: dict[str, paired.Measure] = {
        COMMAND: command,
        START: lambda: run_command(one_row, options)[0],
        FORWARD: lambda: paired.cost_of(forward),
    }
    rounds = []
    for one in paired.take_turns(contenders, options.rounds):
        rounds.append(one)
        print(f"round {len(rounds)}: { ({name: cost.facts() for name, cost in one.items()}) }", flush=True)
    model = sum(file.stat().st_size for file in resolve(options.encoder).folder.rglob("*.safetensors"))
    peak = max(one[COMMAND].peak_rss for one in rounds)
    return {
        **{name: report[name] for name in ("rows_read", "encoded", "tokens")},
        **{name: [one[name].facts() for one in rounds] for name in contenders},
        **ratios(rounds),
        "peak_rss_mb": round(peak / MB, 1),
        "model_mb": round(model / MB, 1),
        "peak_rss_above_model_mb": round((peak - model) / MB, 1),
    }


def ratios(rounds: list[paired.Round]) -> dict[str, dict[str, float]]:
    """The command's time over the forward's, round by round: as it is, and less the command on one row."""
    found = {}
    kinds: tuple[paired.Kind, ...] = ("cpu_s", "wall_s")
    for kind in kinds:
        whole = paired.ratios(rounds, COMMAND, FORWARD, kind)
        start = paired.ratios(rounds, START, FORWARD, kind)
        found[f"{kind[:-2]}_times_forward"] = paired.spread(whole, 4)
        found[f"{kind[:-2]}_times_forward_without_start"] = paired.spread(
            [all_ - one for all_, one in zip(whole, start, strict=True)], 4
        )
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_train.parquet")
    parser.add_argument("--rows", type=int, help="number of answers to embed; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="rounds")
    parser.add_argument("--encoder", default="minilm", help="encoder")
    parser.add_argument("--dtype", default="auto", help="precision of the encoder")
    parser.add_argument("--threads", type=int, default=1, help="threads of the command and of the forward")
    parser.add_argument("--scratch", type=Path, help="folder for the stores; default: the system's")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    encoder = Encoder(options.encoder, dtype=options.dtype, device="cpu", threads=options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        one_row, path = (first_rows(n, Path(scratch), options.data) for n in (1, options.rows))
        found = measure(path, one_row, encoder, options)
    settings = {"threads": options.threads, "max_length": encoder.max_length, **encoder.info}
    write_result(options.out, "end_to_end", PACKAGES, {"settings": settings, **found})
    for name, value in found.items():
        if not isinstance(value, list):
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
