"""Size and power of `univar same` on real answers.

    python benchmarks/same_source.py STORE [--cluster question_id:2] [--splits 2000]

Size: the answers of one source to each proposition are dealt at random to two sides, over propositions with
at least two. Power: the same with the second side's answers taken from another source, for every pair.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from univar.search.panel import cluster_texts
from univar.search.same import Side, same_source
from univar.store import Store


def dealt(rows: np.ndarray, names: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two answers to each proposition that has two, one a side."""
    order = rng.permutation(rows)
    first: dict[str, int] = {}
    pairs = []
    for row in order.tolist():
        name = names[row]
        if name in first and first[name] >= 0:
            pairs.append((first[name], row))
            first[name] = -1
        elif name not in first:
            first[name] = row
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--cluster", default="question_id")
    parser.add_argument("--splits", type=int, default=2000)
    given = parser.parse_args()
    store = Store(given.store)
    names = np.array(cluster_texts(store, given.cluster), dtype=object)
    codes, labels = store.codes("source")
    vectors = np.asarray(store.embeddings, np.float32)
    rng = np.random.default_rng(0)

    def side(rows: np.ndarray) -> Side:
        return Side(vectors[rows], names[rows], names[rows])

    p, tested = [], 0
    for n in range(given.splits):
        a, b = dealt(np.flatnonzero(codes == n % len(labels)), names, rng)
        p.append(same_source(side(a), side(b), seed=n).p)
        tested = len(a)
    power = []
    for i in range(len(labels)):
        for j in range(len(labels)):
            if i != j:
                a, _ = dealt(np.flatnonzero(codes == i), names, rng)
                _, b = dealt(np.flatnonzero(codes == j), names, rng)
                chosen = rng.permutation(a)[:10], b
                power.append(same_source(side(chosen[0]), side(chosen[1]), seed=i * 100 + j).p)
    print(
        json.dumps(
            {
                "store": given.store.name,
                "splits": given.splits,
                "propositions_of_the_last": tested,
                "size_at_5_percent": round(float(np.mean(np.array(p) <= 0.05)), 4),
                "power_with_10_propositions": round(float(np.mean(np.array(power) <= 0.05)), 3),
                "pairs": len(power),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
