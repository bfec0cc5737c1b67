"""A million short rows: memory stays flat, and twenty SIGKILLs lose nothing.

    python -m benchmarks.soak [--rows 1000000] [--kills 20] [--out benchmarks/results/soak.json]

Run 1 embeds the corpus once while its resident memory is sampled every second. Run 2 embeds it again into
another store, is killed with SIGKILL at random moments and started again until it finishes; then the store
must hold every row once and `univar verify` must find nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.facts import write_result

MIB = 2**20
WORDS = (
    "duty care freedom order trust risk family law work rest truth loyal brave calm fair kind proud modest "
    "curious honest share keep give choose refuse accept speak wait lead follow help"
).split()
BASELINE = (
    "from univar import Encoder; import psutil; e = Encoder('minilm'); e.encode(['Q: one A: two'] * 64); "
)


def write_corpus(path: Path, rows: int, seed: int) -> None:
    """Rows of about a dozen words, every text another one."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            question = f"{rng.choice(WORDS)} or {rng.choice(WORDS)} {row}?"
            answer = " ".join(rng.choices(WORDS, k=6))
            record = {"model": f"m{row % 40}", "language": "eng", "question_id": f"q{row // 40}"}
            file.write(json.dumps({**record, "question": question, "answer": answer}) + "\n")


def loaded_model_mib() -> float:
    """Resident memory of a process that holds the encoder and has used it once."""
    script = BASELINE + "print(psutil.Process().memory_info().rss)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return int(done.stdout) / MIB


def start(corpus: Path, store: Path) -> subprocess.Popen[str]:
    """`univar embed` as a process of its own."""
    command = [sys.executable, "-m", "univar", "embed", str(corpus), "-o", str(store), "--json", "-q"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_sampled(corpus: Path, store: Path) -> tuple[dict, list[tuple[float, float]]]:
    """Embed once; the report, and (seconds, resident MiB) sampled every second."""
    process, samples, begun = start(corpus, store), [], time.monotonic()
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        samples.append((round(time.monotonic() - begun, 1), round(watched.memory_info().rss / MIB, 1)))
        time.sleep(1)
    output = process.stdout.read() if process.stdout else ""
    if process.returncode != 0:
        raise SystemExit(f"univar embed failed with {process.returncode}")
    return json.loads(output), [sample for sample in samples if sample[1] > 0]


def run_killed(corpus: Path, store: Path, kills: int, span_s: float, seed: int) -> int:
    """Embed with `kills` SIGKILLs at random moments, then to the end; how many kills hit a live run."""
    rng, hits = random.Random(seed), 0
    for _ in range(kills):
        process = start(corpus, store)
        time.sleep(rng.uniform(0.5, span_s))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            hits += 1
        process.wait()
    final = start(corpus, store)
    if final.wait() != 0:
        raise SystemExit(f"the run after the kills failed with {final.returncode}")
    return hits


def summary(samples: list[tuple[float, float]], baseline: float) -> dict[str, float]:
    """Peak above the loaded model, and how much the second half of the run adds to the first."""
    rss = [mib for _, mib in samples]
    quarter, half = len(rss) // 4, len(rss) // 2
    return {
        "loaded_model_mib": round(baseline, 1),
        "peak_mib": max(rss),
        "peak_above_model_mib": round(max(rss) - baseline, 1),
        "max_in_second_quarter_mib": max(rss[quarter:half]),
        "max_in_second_half_mib": max(rss[half:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus, calm, killed = (Path(folder) / name for name in ("corpus.jsonl", "calm", "killed"))
        write_corpus(corpus, args.rows, args.seed)
        report, samples = run_sampled(corpus, calm)
        del report["store"]  # a temporary folder
        facts = {"rows": args.rows, "report": report}
        facts["memory"] = summary(samples, loaded_model_mib())
        span_s = 2 * samples[-1][0] / (args.kills + 1)
        facts["kills"] = run_killed(corpus, killed, args.kills, span_s, args.seed)
        verify = [sys.executable, "-m", "univar", "verify", str(killed), "--json"]
        verified = subprocess.run(verify, capture_output=True, text=True)
        facts["verify"] = {"exit_code": verified.returncode, **json.loads(verified.stdout)}
        del facts["verify"]["path"]
        facts["rss_every_10_s_mib"] = [mib for _, mib in samples[::10]]
    print(
        json.dumps({name: value for name, value in facts.items() if name != "rss_every_10_s_mib"}, indent=1)
    )
    rows_once = facts["verify"].get("rows") == args.rows and verified.returncode == 0
    print("every row once, verify clean" if rows_once else "NOT every row once")
    write_result(args.out, "soak", ("univar-embed", "torch", "h5py"), facts)
    raise SystemExit(0 if rows_once else 1)


if __name__ == "__main__":
    main()
