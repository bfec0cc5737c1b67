"""Tokenisation in MB per CPU-second, language by language, univar beside its peers in turns (see `paired`).

All contenders run in one process on the same texts, and the ids of each are compared with those of Hugging
Face's library. CPU-seconds are those of the whole process, because not every contender keeps to one thread.

    python -m benchmarks.tokenise --out benchmarks/results/tokenize.json
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from benchmarks import paired
from benchmarks.data import data_folder, read_answers, texts_of
from benchmarks.facts import write_result
from benchmarks.tokenizer_peers import LIBRARY, PEERS, Contender, folder_of, same_ids

PACKAGES = ("univar-embed", "tokenizers", "tokie", "nanotoken", "kitoken", "pyarrow", "numpy")
MIXED, TEXTS_MIXED, TEXTS_PER_LANGUAGE = "first 2,000", 2_000, 300
LEAST_S = 0.1  # a measurement repeats the call until this much CPU time is spent


def read_groups(data: Path) -> dict[str, list[str]]:
    """The first 2,000 texts of the file, and the first few hundred of each language."""
    table = read_answers(["language", "question", "answer"], folder=data)
    texts = texts_of(table)
    groups: dict[str, list[str]] = {MIXED: texts[:TEXTS_MIXED]}
    for language, text in zip(table["language"].to_pylist(), texts, strict=True):
        group = groups.setdefault(language, [])
        if len(group) < TEXTS_PER_LANGUAGE:
            group.append(text)
    return groups


def measure_of(contender: Contender, texts: Any) -> paired.Measure:
    """Mean cost of a call, over as many calls as it takes to be exact; resets are not counted."""

    def mean_of(calls: int) -> paired.Cost:
        spent = []
        for _ in range(calls):
            if contender.reset:
                contender.reset()
            spent.append(paired.cost_of(lambda: contender.encode(texts)))
        return paired.Cost(sum(c.cpu_s for c in spent) / calls, sum(c.wall_s for c in spent) / calls)

    calls = 1 + int(LEAST_S / max(mean_of(1).cpu_s, 1e-6))
    return lambda: mean_of(calls)


def measure(contenders: dict[str, Contender], texts: list[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Median MB per CPU-second, ratio to the library round by round, and whether the ids are equal."""
    inputs = {name: one.input(texts) for name, one in contenders.items()}
    outputs = {name: one.flat(one.encode(inputs[name])) for name, one in contenders.items()}
    measures = {name: measure_of(one, inputs[name]) for name, one in contenders.items()}
    done = list(paired.take_turns(measures, rounds))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    return {
        name: {
            "mb_per_cpu_s": round(megabytes / paired.median(done, name, "cpu_s"), 2),
            "ratio_to_library": paired.spread(paired.ratios(done, LIBRARY, name, "cpu_s"), 2),
            "ids_equal": same_ids(outputs[name], outputs[LIBRARY], one.ends),
            "cpu_s_of_rounds": [round(costs[name].cpu_s, 6) for costs in done],
        }
        for name, one in contenders.items()
    }


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """MB per CPU-second and ratio to the library; != marks other ids."""
    names = list(next(iter(results.values()))["contenders"])
    print(f"{'MB per CPU-second (ratio)':32}" + "".join(f"{group:>18}" for group in results))
    for name in names:
        cells = [group["contenders"][name] for group in results.values()]
        shown = [
            f"{cell['mb_per_cpu_s']:.1f} ({cell['ratio_to_library']['median']:.1f}x)"
            + " !=" * (not cell["ids_equal"])
            for cell in cells
        ]
        print(f"{name:32}" + "".join(f"{text:>18}" for text in shown))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of answers_eval.parquet")
    parser.add_argument("--rounds", type=int, default=5, help="rounds")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    facts: dict[str, object] = {"rounds": options.rounds}
    for kind, peers in PEERS.items():
        missing = {peer.package for peer in peers.values() if not importlib.util.find_spec(peer.package)}
        folder = folder_of(kind)
        ready = {name: peer.make(folder) for name, peer in peers.items() if peer.package not in missing}
        results = {}
        for group, texts in read_groups(options.data).items():
            measured = measure(ready, texts, options.rounds)
            megabytes = sum(len(text.encode()) for text in texts) / 1e6
            results[group] = {"texts": len(texts), "mb": round(megabytes, 3), "contenders": measured}
        print(kind)
        print_table(results)
        for name in missing:
            print(f"{name}: not installed")
        facts[kind.lower()] = {"missing": sorted(missing), "groups": results}
    write_result(options.out, "tokenize", PACKAGES, facts)


if __name__ == "__main__":
    main()
