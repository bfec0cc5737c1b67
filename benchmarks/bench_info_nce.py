"""InfoNCE, forward and backward, on the CPU with one thread: time and peak memory beside plain autograd.

Each contender runs in a child process, so that peak memory is its own; within a round the contenders follow
each other. Loss and gradients are printed beside each other: a wrong answer has no speed.

    python benchmarks/bench_info_nce.py --batch 16384 --out benchmarks/results/info_nce.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F
from facts import write_result
from torch import Tensor

from univar import info_nce

SCALE = 20.0
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def naive(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
    """The loss as most training code has it: one matrix of logits, cross entropy both ways."""
    logits = anchor @ positive.T * log_scale.exp().to(anchor.dtype)
    targets = torch.arange(len(logits))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def naive_fp32_logits(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
    """The product in the inputs' dtype, the logits in float32, as under autocast."""
    logits = (anchor @ positive.T).float() * log_scale.exp()
    targets = torch.arange(len(logits))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def chunked(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
    return info_nce(anchor, positive, log_scale=log_scale, impl="chunked")


CONTENDERS: dict[str, tuple[Loss, str]] = {
    "autograd fp32": (naive, "fp32"),
    "autograd bf16": (naive, "bf16"),
    "autograd bf16, fp32 logits": (naive_fp32_logits, "bf16"),
    "univar chunked fp32": (chunked, "fp32"),
    "univar chunked bf16": (chunked, "bf16"),
}


def pairs(batch: int, dim: int) -> tuple[Tensor, Tensor]:
    """Two noisy views of random directions, rows of length 1, float32."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(batch, dim, generator=generator)
    views = [centre + torch.randn(batch, dim, generator=generator) for _ in range(2)]
    return F.normalize(views[0], dim=1), F.normalize(views[1], dim=1)


def run_once(name: str, batch: int, dim: int) -> dict[str, float]:
    """One forward and backward in this process: CPU-seconds, MB beyond what was there before, results."""
    torch.set_num_threads(1)
    loss, dtype = CONTENDERS[name]

    def step(n: int) -> tuple[float, Tensor, Tensor]:
        anchor, positive = (x.to(DTYPES[dtype]).requires_grad_() for x in pairs(n, dim))
        log_scale = torch.tensor(math.log(SCALE), requires_grad=True)
        nonlocal before_mb, cpu_s
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
        before_mb, started = peak_mb(), time.process_time()
        value = loss(anchor, positive, log_scale)
        value.backward()
        cpu_s = time.process_time() - started
        return float(value), anchor.grad, log_scale.grad

    before_mb = cpu_s = 0.0
    step(min(batch, 1100))  # libraries loaded, kernels chosen
    value, d_anchor, d_scale = step(batch)
    return {
        "cpu_s": cpu_s,
        "extra_mb": peak_mb() - before_mb,
        "loss": value,
        "grad_norm": float(d_anchor.float().norm()),
        "d_log_scale": float(d_scale),
    }


def peak_mb() -> float:
    """Largest resident memory of this process since it was last cleared."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run_in_child(name: str, batch: int, dim: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", name, "--batch", str(batch), "--dim", str(dim)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(run_once(args.child, args.batch[0], args.dim)))
        return
    rows = []
    for batch in args.batch:
        runs = {name: [] for name in CONTENDERS}
        for _ in range(args.rounds):
            for name in CONTENDERS:
                runs[name].append(run_in_child(name, batch, args.dim))
        rows += [summary(name, batch, args.dim, runs) for name in CONTENDERS]
        print_table(rows[-len(CONTENDERS) :], batch, args.dim)
    write_result(args.out, "info_nce", ["torch", "univar-embed"], {"rounds": args.rounds, "rows": rows})


def summary(name: str, batch: int, dim: int, runs: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    """One contender at one size: medians, spread, ratios to autograd of its dtype in the same round."""
    own = runs[name]
    rounds = list(zip(runs[f"autograd {CONTENDERS[name][1]}"], own, strict=True))
    seconds = [run["cpu_s"] for run in own]
    return {
        "contender": name,
        "batch": batch,
        "dim": dim,
        "cpu_s": round(statistics.median(seconds), 3),
        "cpu_s_min_max": [round(min(seconds), 3), round(max(seconds), 3)],
        "extra_mb": round(statistics.median(run["extra_mb"] for run in own), 1),
        "times_faster": round(statistics.median(p["cpu_s"] / o["cpu_s"] for p, o in rounds), 2),
        "times_less_memory": round(
            statistics.median(p["extra_mb"] / max(1.0, o["extra_mb"]) for p, o in rounds), 1
        ),
        "loss": own[0]["loss"],
        "grad_norm": own[0]["grad_norm"],
        "d_log_scale": own[0]["d_log_scale"],
    }


def print_table(rows: list[dict[str, object]], batch: int, dim: int) -> None:
    print(f"\nInfoNCE forward + backward, B = {batch:,}, D = {dim}, one thread; x: to autograd of that dtype")
    print(
        f"{'':28}{'CPU s':>8}{'x faster':>10}{'MB':>8}{'x less':>8}{'loss':>10}{'|grad|':>10}{'d log s':>10}"
    )
    for row in rows:
        print(
            f"{row['contender']:28}{row['cpu_s']:8.2f}{row['times_faster']:10.2f}{row['extra_mb']:8.0f}"
            f"{row['times_less_memory']:8.1f}{row['loss']:10.5f}{row['grad_norm']:10.5f}{row['d_log_scale']:10.5f}"
        )


if __name__ == "__main__":
    main()
