"""What each choice of value training brings: the same small budget of tokens, one setting changed at a time.

A run trains on the answers of five corpora, embeds a sample of the training answers and all held-out answers,
and attributes the latter within each corpus (kNN, questions never seen). Variants that decide a default have
three seeds. Results are saved after every run and finished runs are left alone: the same command goes on.

    python -m benchmarks.ablations --out benchmarks/results/ablations.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data import data_folder
from benchmarks.facts import write_result
from univar import Encoder, Store, embed
from univar.evaluate import evaluate
from univar.train import TrainSettings, train

PACKAGES = ("univar-embed", "torch", "faiss-cpu")
CORPORA = ["speechmap_criticism", "political_compass_open", "spain_politics", "do_not_answer", "rakuda_ja"]
INDEXED_ROWS = 8_000
NEIGHBOURS = 20
BASE = "default"

VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {
    BASE: (3, {}),
    "no prototypes": (3, {"prototypes": 0.0}),
    "prototypes alone": (1, {"prototypes": 1.0}),
    "same source as negatives": (3, {"same_source": "negatives"}),
    "same source as further positives": (3, {"same_source": "multipos"}),
    "random batches": (3, {"views": {"matched": False}}),
    "random batches, questions may overlap": (3, {"views": {"matched": False, "overlap": True}}),
    "anchors only (one direction)": (3, {"symmetric": False}),
    "learning rate 3e-4": (3, {"learning_rate": 3e-4}),
    "temperature 0.02": (3, {"temperature": 0.02}),
    "temperature 0.1": (3, {"temperature": 0.1}),
    "views of 1-5 answers": (1, {"views": {"qa_per_view": [1, 5]}, "max_length": 512}),
    "views of 1-20 answers": (1, {"views": {"qa_per_view": [1, 20]}, "max_length": 512}),
    "views of 96 tokens": (3, {"max_length": 96}),
    "batch 16": (1, {"batch": 16}),
    "batch 128": (1, {"batch": 128}),
    "adapter of rank 48": (3, {"lora_rank": 48, "learning_rate": 8e-4}),
    "names of models masked": (1, {"mask_names": True}),
    "base e5-multilingual": (1, {"base": "e5-multilingual"}),
}
"""Number of seeds, and what differs from the preset."""


def settings(changes: dict[str, Any], steps: int, seed: int) -> TrainSettings:
    """The preset with `changes`; steps so that as many view tokens fit in as in `steps` of the preset."""
    start = TrainSettings()
    batch, length = changes.get("batch", start.batch), changes.get("max_length", start.max_length)
    fixed = {
        "steps": max(1, round(steps * start.batch * start.max_length / (batch * length))),
        "where": {"source_corpus": CORPORA},
        "held_out": 0.0,
        "validate_every": 0,
        "seed": seed,
    }
    return TrainSettings.from_dict({**changes, **fixed}, start)


def write_samples(data: Path, folder: Path) -> list[Path]:
    """Parquet files of the answers to attribute by and of those to attribute."""
    paths = []
    for side, most in (("train", INDEXED_ROWS), ("eval", None)):
        table = pq.read_table(data / f"answers_{side}.parquet")
        table = table.filter(pc.is_in(table["source"], pa.array(CORPORA)))
        if most is not None and most < len(table):
            table = table.take(np.sort(np.random.default_rng(0).permutation(len(table))[:most]))
        paths.append(folder / f"{side}.parquet")
        pq.write_table(table, paths[-1])
    return paths


def measure(encoder: Encoder, samples: list[Path], folder: Path) -> dict[str, float]:
    """kNN accuracy of the source in each corpus, and their mean."""
    stores = [folder / path.stem for path in samples]
    for path, store in zip(samples, stores, strict=True):
        embed([path], store, encoder=encoder)
    report = evaluate(
        *map(Store, stores),
        within="source_corpus",
        k=(NEIGHBOURS,),
        targets=("source",),
        bags=(1,),
        bootstrap=100,
        permutations=0,
        baselines=False,
    )
    found = {
        group.title: group.targets["source"].scores.knn[NEIGHBOURS].at_1.value
        for group in report.groups
        if group.targets["source"].scores
    }
    return {**found, "mean": statistics.mean(found.values())}


def run(
    changes: dict[str, Any], seed: int, samples: list[Path], options: argparse.Namespace
) -> dict[str, Any]:
    """Train once and measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        wanted = settings(changes, options.steps, seed)
        report = train([options.data / "answers_train.parquet"], folder / "encoder", wanted)
        seconds = time.monotonic() - started
        accuracy = measure(Encoder(folder / "encoder"), samples, folder)
    kept = {name: report.facts[name] for name in ("steps", "tokens", "loss")}
    return {"seed": seed, "train_s": round(seconds, 1), **kept, "accuracy": accuracy}


def summary(variants: dict[str, Any]) -> dict[str, Any]:
    """Mean accuracy over seeds, its spread, and the difference to the preset on the same seeds."""
    base = {one["seed"]: one["accuracy"]["mean"] for one in variants.get(BASE, {}).get("runs", [])}
    result = {}
    for name, variant in variants.items():
        means = {one["seed"]: one["accuracy"]["mean"] for one in variant["runs"]}
        differences = [mean - base[seed] for seed, mean in means.items() if seed in base]
        result[name] = {
            "seeds": len(means),
            "mean": round(statistics.mean(means.values()), 4),
            "lowest": round(min(means.values()), 4),
            "highest": round(max(means.values()), 4),
            "to_default": [round(value, 4) for value in differences],
        }
    return result


def table(done: dict[str, Any]) -> str:
    """The measured variants as Markdown, best first."""
    untrained = done["untrained"]
    lines = [
        "| variant | seeds | mean of the corpora [lowest, highest] | to the preset, seed by seed | "
        + " | ".join(CORPORA)
        + " |",
        "|---" * (4 + len(CORPORA)) + "|",
        f"| untrained | | {untrained['mean']:.3f} | | "
        + " | ".join(f"{untrained[corpus]:.3f}" for corpus in CORPORA)
        + " |",
    ]
    for name, row in sorted(done["summary"].items(), key=lambda item: -item[1]["mean"]):
        runs = done["variants"][name]["runs"]
        means = [statistics.mean(one["accuracy"][corpus] for one in runs) for corpus in CORPORA]
        differences = "" if name == BASE else ", ".join(f"{value:+.3f}" for value in row["to_default"])
        spread = f" [{row['lowest']:.3f}, {row['highest']:.3f}]" if row["seeds"] > 1 else ""
        lines.append(
            f"| {name} | {row['seeds']} | {row['mean']:.3f}{spread} | {differences} | "
            + " | ".join(f"{mean:.3f}" for mean in means)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_*.parquet")
    parser.add_argument("--steps", type=int, default=60, help="of the preset; others get as many tokens")
    parser.add_argument("--minutes", type=float, default=600, help="begin no run after so many minutes")
    parser.add_argument("--out", type=Path, required=True, help="JSON file, continued if it exists")
    options = parser.parse_args()
    began = time.monotonic()
    done = (
        json.loads(options.out.read_text())
        if options.out.exists()
        else {"variants": {}, "steps": options.steps}
    )
    if done["steps"] != options.steps:
        parser.error(f"{options.out} has runs of {done['steps']} steps: give --steps {done['steps']}")
    variants = done["variants"]
    with tempfile.TemporaryDirectory() as folder:
        samples = write_samples(options.data, Path(folder))
        untrained = done.get("untrained") or measure(Encoder("minilm"), samples, Path(folder))
        plan = [(seed, name) for seed in range(3) for name, (seeds, _) in VARIANTS.items() if seed < seeds]
        for seed, name in plan:
            runs = variants.setdefault(name, {"changes": VARIANTS[name][1], "runs": []})["runs"]
            if time.monotonic() - began > 60 * options.minutes:
                break
            if any(one["seed"] == seed for one in runs):
                continue
            runs.append(run(VARIANTS[name][1], seed, samples, options))
            facts = {"steps": options.steps, "untrained": untrained, "variants": variants}
            measured = {key: value for key, value in variants.items() if value["runs"]}
            write_result(options.out, "ablations", PACKAGES, {**facts, "summary": summary(measured)})
            print(f"{name}, seed {seed}: {runs[-1]['accuracy']['mean']:.3f}", flush=True)
    print(table(json.loads(options.out.read_text())))


if __name__ == "__main__":
    main()
