"""Size and power of `univar same` on real answers.

    python benchmarks/same_source.py STORE [--cluster question_id:2] [--splits 2000] [--peer]

Size: the answers of one source to each proposition are dealt at random to two sides, over propositions with
at least two. Power: the same with the second side's answers taken from another source, for every pair.
--peer tests the same two sides with the package model-equality-testing too (Gao et al. 2024: MMD, Hamming
kernel over characters, permutation p). It needs `pip install model-equality-testing matplotlib tqdm`.
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


def rate(p: list[float]) -> float | None:
    """Share of tests that call two sides different at the 5 % level."""
    return round(float(np.mean(np.array(p) <= 0.05)), 4) if p else None


CHARACTERS, PERMUTATIONS = 1000, 199
"""Of the peer: characters of an answer that are compared (the rest is cut), and permutations."""


def mmd_p(a: list[str], b: list[str]) -> float:
    """p of model-equality-testing for the answers of two sides, all taken as answers to one prompt.

    Its kernel is 0 between prompts. With one answer a prompt and side, no pair within a side is left: the
    statistic is not a number, and the package returns p = 0 for it, whatever the answers are.
    """
    import torch
    from model_equality_testing.algorithm import run_two_sample_test
    from model_equality_testing.distribution import CompletionSample
    from model_equality_testing.utils import tokenize_unicode

    torch.manual_seed(0)
    rows = tokenize_unicode([text[:CHARACTERS] for text in (*a, *b)])
    sides = [CompletionSample(np.zeros(len(own), int), own, 1) for own in (rows[: len(a)], rows[len(a) :])]
    p, statistic = run_two_sample_test(*sides, stat_type="mmd_hamming", b=PERMUTATIONS)
    if not np.isfinite(statistic):
        raise SystemExit("the statistic of model-equality-testing is not a number")
    return float(p)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--cluster", default="question_id")
    parser.add_argument("--splits", type=int, default=2000)
    parser.add_argument("--peer", action="store_true")
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
    power, peer, peer_null = [], [], []
    texts = store.column("answer")

    def peer_p(a: np.ndarray, b: np.ndarray) -> float:
        return mmd_p(texts[a].tolist(), texts[b].tolist())

    for i in range(len(labels)):
        for j in range(len(labels)):
            if i != j:
                a, own = dealt(np.flatnonzero(codes == i), names, rng)
                _, b = dealt(np.flatnonzero(codes == j), names, rng)
                a = rng.permutation(a)[:10]
                b, own = (other[np.isin(names[other], names[a])] for other in (b, own))
                power.append(same_source(side(a), side(b), seed=i * 100 + j).p)
                if given.peer:
                    peer.append(peer_p(a, b))
                    peer_null.append(peer_p(a, own))
    print(
        json.dumps(
            {
                "store": given.store.name,
                "splits": given.splits,
                "propositions_of_the_last": tested,
                "size_at_5_percent": rate(p),
                "power_with_10_propositions": rate(power),
                "power_of_model_equality_testing": rate(peer),
                "its_size": rate(peer_null),
                "pairs": len(power),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
