"""The default preset from answers to evaluation: train for 30 minutes, embed, attribute held-out questions.

Runs the commands a user runs, in a folder where a finished step is not done again, and keeps the figures of
the report that say what training brought: per corpus beside the untrained base and TF-IDF, models never seen,
corpora that are not about values, and people's Schwartz labels.

    python -m benchmarks.value_training --work runs/default --out benchmarks/results/value_training.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.data import data_folder
from benchmarks.facts import write_result

PACKAGES = ("univar-embed", "torch", "faiss-cpu", "scikit-learn")
NON_VALUE = ("alpacaeval", "mtbench_ja")
UNSEEN_BAGS = "20"


def univar(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "univar", *map(str, arguments)], check=True)


def answers(options: argparse.Namespace) -> dict[str, Path]:
    """The files of answers to be nearest to and to attribute: of the corpora asked for, or of all."""
    files = {side: options.data / f"answers_{side}.parquet" for side in ("train", "eval")}
    if options.corpora:
        for side, path in files.items():
            table = pq.read_table(path, filters=[("source", "in", options.corpora)])
            files[side] = options.work / f"{side}.parquet"
            pq.write_table(table, files[side])
    return files


def evaluate(options: argparse.Namespace, encoder: Path, report: Path) -> None:
    """Embed both sides with the encoder and its base, and write the report."""
    files = answers(options)
    stores: dict[str, list[Path]] = {}
    for name, spec in (("valued", encoder), ("base", options.base)):
        stores[name] = [options.work / f"{name}-{side}" for side in files]
        for store, file in zip(stores[name], files.values(), strict=True):
            univar("embed", file, "-o", store, "-e", spec)
    wanted: list[object] = ["--within", "source-corpus", "--against", ",".join(map(str, stores["base"]))]
    if not options.corpora:
        for name in NON_VALUE:
            wanted += ["--non-value", name]
    if options.fulcra or not options.corpora:
        wanted += ["--fulcra", options.data / "culture" / "fulcra_schwartz_labelled.parquet"]
    univar("evaluate", *stores["valued"], *wanted, "--encoder", encoder, "--out", report)


def corpus_figures(group: dict[str, Any], base: str) -> dict[str, Any]:
    """Single answers of a corpus, source, kNN of the most neighbours."""
    source = group["targets"]["source"]
    one = source["bags"]["1"]
    before = one["against"][base]
    figures = {"labels": source["labels"], "rows": source["rows"]}
    for name in ("knn", "probe"):
        figures[name] = {
            "base": before[name],
            "valued": one[name],
            "times": round(one[name]["value"] / before[name]["value"], 2),
        }
    return figures | {"tfidf": one["tfidf"]}


def summary(report: dict[str, Any], encoder: Path) -> dict[str, Any]:
    """What is kept of the evaluation's report."""
    (base,) = report["against"]
    groups = {group["group"]: corpus_figures(group, base) for group in report["groups"]}
    metrics = [json.loads(line) for line in (encoder / "training" / "metrics.jsonl").open()]
    steps = [line for line in metrics if "loss" in line]
    found = {"steps": len(steps), "seconds": steps[-1]["seconds"], "base": base, "corpora": groups}
    if bags := report.get("unseen_model_bags"):
        keys = ("models", "chance", "same_model", "against")
        found["unseen_models"] = {key: bags[UNSEEN_BAGS][key] for key in keys}
    return found | {key: report[key] for key in ("non_value", "fulcra") if key in report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_*.parquet")
    parser.add_argument("--base", default="minilm", help="encoder to start from")
    parser.add_argument("--minutes", type=float, default=30, help="budget of the training")
    parser.add_argument("--corpora", nargs="*", help="evaluate on these alone, without controls")
    parser.add_argument("--fulcra", action="store_true", help="people's Schwartz labels with --corpora too")
    parser.add_argument("--work", type=Path, required=True, help="folder of encoder and stores")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    options = parser.parse_args()
    encoder, report = options.work / "encoder", options.work / "report.json"
    options.work.mkdir(parents=True, exist_ok=True)
    if not encoder.exists():
        budget = ("--base", options.base, "--budget-minutes", options.minutes)
        univar("train", options.data / "answers_train.parquet", "-o", encoder, *budget, "--resume")
    if not report.exists():
        evaluate(options, encoder, report)
    write_result(options.out, "value training", PACKAGES, summary(json.loads(report.read_text()), encoder))


if __name__ == "__main__":
    main()
