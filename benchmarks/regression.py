"""Whether anything got slower: two checkouts in turns on one machine, round by round (see `paired`).

Each checkout runs in a process of its own, which stays; training runs through the command line. Both have to
give the same tokens, neighbours and losses, and nearly the same embeddings. Speed-up is the old time over the
new one: its median, and the least and the greatest of the rounds (with 7 rounds, a 98 % interval).
Status 1 if a median is below --least and not even the luckiest round reaches 1.

    git worktree add ../old COMMIT    # and build univar/_native*.so in it
    python -m benchmarks.regression ../old . --out regression.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import paired
from benchmarks.data import read_answers, texts_of
from benchmarks.facts import write_result

PACKAGES = ("torch", "numpy", "pyarrow", "faiss-cpu")
OLD, NEW, TRAIN = "old", "new", "training step"
WARM_UP_STEPS = 2
EMBEDDINGS_WITHIN = 2e-3
TRAIN_OPTIONS = ["--batch", "16", "--max-length", "128", "--set", "validate_every=0", "--set", "held_out=0"]


def importable(checkout: Path, folder: Path) -> Path:
    """A folder that gives the checkout's package whole: old ones had kernels and demo data beside it."""
    package = folder / "univar"
    package.mkdir(parents=True)
    beside = {"kernels": checkout / "kernels", "demo_data": checkout / "examples" / "demo"}
    inside = {path.name: path for path in (checkout / "univar").iterdir()}
    for name, target in {**beside, **inside}.items():
        (package / name).symlink_to(target.resolve())
    return folder


class Side:
    """One checkout: a process that measures the library, and commands that train."""

    def __init__(self, checkout: Path, folder: Path, given: dict[str, Any], threads: int) -> None:
        self._folder, self._threads, self._answers, self._runs = folder, threads, given["answers"], 0
        path = importable(checkout, folder / "package")
        self._environment = {**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": str(threads)}
        worker = shutil.copy(Path(__file__).with_name("regression_worker.py"), folder)
        self._process = subprocess.Popen(
            [sys.executable, worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        told = self._ask(json.dumps({**given, "folder": str(folder), "threads": threads}))
        self.calls: list[str] = told["calls"]
        self.facts: dict[str, Any] = told["facts"]

    def measure_of(self, call: str, steps: int) -> paired.Measure:
        """How a call, or a training step, is measured here."""
        if call == TRAIN:
            return lambda: self._train(steps)
        return lambda: paired.Cost(**self._ask(call))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self._environment['PYTHONPATH']}: the process ended; see above")
        return json.loads(answer)

    def _train(self, steps: int) -> paired.Cost:
        """Median step of `univar train`, by its own record."""
        self._runs += 1
        out = self._folder / f"encoder-{self._runs}"
        command = [
            sys.executable,
            "-m",
            "univar",
            "train",
            self._answers,
            "-o",
            str(out),
            "--steps",
            str(steps),
        ]
        command += [*TRAIN_OPTIONS, "--threads", str(self._threads), "--quiet"]
        subprocess.run(
            command, env=self._environment, check=True, cwd=self._folder, stdout=subprocess.DEVNULL
        )
        lines = [json.loads(line) for line in (out / "training" / "metrics.jsonl").open()]
        shutil.rmtree(out)
        taken = [line for line in lines if "loss" in line]
        marks = {kind: [line[kind] for line in taken] for kind in ("cpu_seconds", "seconds")}
        cpu_s, wall_s = (
            statistics.median(np.diff(marks[kind])[WARM_UP_STEPS - 1 :])
            for kind in ("cpu_seconds", "seconds")
        )
        return paired.Cost(float(cpu_s), float(wall_s))


def assert_same(old: dict[str, Any], new: dict[str, Any]) -> None:
    """A wrong answer has no speed."""
    for name in ("tokens", "neighbours"):
        if old[name] != new[name]:
            raise SystemExit(f"the checkouts do not give the same {name}: {old[name]} and {new[name]}")
    if not np.allclose(old["losses"], new["losses"], rtol=1e-5):
        raise SystemExit(f"the checkouts do not give the same loss: {old['losses']} and {new['losses']}")
    off = max(
        np.abs(np.subtract(a, b)).max() for a, b in zip(old["embeddings"], new["embeddings"], strict=True)
    )
    if off > EMBEDDINGS_WITHIN:
        raise SystemExit(f"the checkouts' embeddings differ by up to {off:.4f}")


def write_answers(path: Path, rows: int) -> list[str]:
    """A Parquet file of about so many answers, all those to a few questions; their texts."""
    table = read_answers(["model", "language", "question_id", "question", "answer"], "train")
    numbers = table["question_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    shuffled = np.random.default_rng(0).permutation(numbers.max() + 1)[numbers]
    chosen = table.take(pa.array(np.argsort(shuffled, kind="stable")[:rows]))
    pq.write_table(chosen, path)
    return texts_of(chosen)


def measure(sides: dict[str, Side], calls: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Speed-up of each call; printed as it is found."""
    found: dict[str, Any] = {}
    print(f"{'old time / new time':24}{'wall':>22}{'CPU':>22}")
    for call in calls:
        contenders = {name: side.measure_of(call, options.steps) for name, side in sides.items()}
        if call != TRAIN:  # a run of its own has nothing to warm
            paired.one_round(contenders, 0)
        rounds = list(paired.take_turns(contenders, options.rounds))
        kinds: tuple[paired.Kind, ...] = ("wall_s", "cpu_s")
        found[call] = {kind[:-2]: paired.spread(paired.ratios(rounds, OLD, NEW, kind)) for kind in kinds}
        found[call]["rounds"] = [{name: cost.facts() for name, cost in one.items()} for one in rounds]
        wall, cpu = (paired.shown(found[call][kind]) for kind in ("wall", "cpu"))
        print(f"{call:24}{wall:>22}{cpu:>22}", flush=True)
    return found


def main() -> None:
    """Measure, print, and end with status 1 if something got slower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="checkout to compare with")
    parser.add_argument("new", type=Path, help="checkout that may have become slower")
    parser.add_argument("--rounds", type=int, default=7, help="rounds")
    parser.add_argument("--rows", type=int, default=600, help="answers to embed and train on")
    parser.add_argument("--steps", type=int, default=10, help="training steps of a round")
    parser.add_argument("--threads", type=int, default=1, help="threads of each checkout")
    parser.add_argument("--only", nargs="*", help="names of calls; default: all")
    parser.add_argument("--least", type=float, default=0.97, help="least median speed-up")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {"texts": write_answers(folder / "answers.parquet", options.rows)[:200]}
        given["answers"] = str(folder / "answers.parquet")
        sides = {
            side: Side(checkout, folder / side, given, options.threads)
            for side, checkout in ((OLD, options.old), (NEW, options.new))
        }
        assert_same(sides[OLD].facts, sides[NEW].facts)
        calls = [call for call in [*sides[NEW].calls, TRAIN] if not options.only or call in options.only]
        found = measure(sides, calls, options)
        for side in sides.values():
            side.close()
    settings = {name: getattr(options, name) for name in ("rounds", "rows", "steps", "threads")}
    write_result(options.out, "regression", PACKAGES, {"settings": settings, "speed_up": found})
    slower = [
        call for call, by in found.items() if by["wall"]["median"] < options.least and by["wall"]["max"] < 1
    ]
    if slower:
        raise SystemExit(f"slower than before: {', '.join(slower)}")


if __name__ == "__main__":
    main()
