"""What `univar-2` is worth on real answers: the tables of docs/results.md, corpus by corpus.

    python -m benchmarks.truth --out benchmarks/results/truth.json

Three tables: who wrote an answer to a new question (`truth_scores`), models that nothing was trained on
(`truth_unseen`), and how much of the answers is read (`truth_read`). Stores are kept below --work and each
corpus is written when it is done, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import truth_table
from benchmarks.facts import write_result
from benchmarks.truth_corpora import CORPORA, SMALLEST_FIRST, corpus, stores
from benchmarks.truth_read import shares_read
from benchmarks.truth_scores import attribution, fitted
from benchmarks.truth_unseen import unseen_models

PACKAGES = ("univar-embed", "numpy", "scipy", "scikit-learn")
MORE_READ = (("alpacaeval", "en"),)
"""Corpora whose answers are only read, not embedded."""


def run(names: list[str], work: Path, out: Path, again: bool) -> dict[str, Any]:
    """All that is missing in the result file, and what is there."""
    kept = json.loads(out.read_text()) if out.exists() and not again else {}
    found: dict[str, Any] = {name: kept.get(name, {}) for name in ("read", "corpora", "unseen")}
    for name in names:
        started = time.perf_counter()
        one = corpus(name)
        made = stores(one, work)
        prints = [store.fingerprint for store in made.values()]
        known = found["corpora"].get(name, {}).get("fingerprints") == prints
        if known or (one.unseen and name in found["unseen"]):
            continue
        model = None if one.unseen else fitted(one, made["train"])
        found["unseen"][name] = unseen_models(one, made, model)
        if model is not None:
            found["corpora"][name] = attribution(one, made["train"], made["eval"], model)
        _write(out, found)
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    for source, language in [*((one.source, one.language) for one in CORPORA if not one.unseen), *MORE_READ]:
        if f"{source} {language}" not in found["read"]:
            found["read"][f"{source} {language}"] = shares_read(source, language)
            _write(out, found)
    return found


def _write(out: Path, found: dict[str, Any]) -> None:
    places = {one.name: place for place, one in enumerate(CORPORA)}
    ordered = {
        part: dict(sorted(rows.items(), key=lambda item: places.get(item[0], len(places))))
        for part, rows in found.items()
    }
    write_result(out, "truth", PACKAGES, ordered)


def main() -> None:
    """Measure what is missing, write it and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/truth.json"), help="result file")
    parser.add_argument("--work", type=Path, default=Path("build/truth"), help="folder of the stores")
    parser.add_argument("--only", nargs="+", choices=SMALLEST_FIRST, help="these corpora")
    parser.add_argument("--again", action="store_true", help="measure anew what the result file holds")
    options = parser.parse_args()
    found = run(options.only or SMALLEST_FIRST, options.work, options.out, options.again)
    print(truth_table.text(found))


if __name__ == "__main__":
    main()
