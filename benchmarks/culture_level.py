"""How often `univar culture` calls unrelated sides culture: the level of its test on simulated kinship.

Both sides are Brownian noise on the shipped tree of languages plus noise whose covariance falls
exponentially with distance on the map; the test is told neither covariance. Each draw takes other languages.

    python benchmarks/culture_level.py --out benchmarks/results/culture_level.json
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from univar.compare.culture import kinship_distances, kinship_similarity
from univar.questions.cultures import family_distances, languages, place_distances
from univar.statistics.mantel import agreement

CASES = [(languages_, range_km) for languages_ in (8, 15, 30) for range_km in (500, 1000, 3000)]
DIMS, SCORES = 20, 2


def p_values(n: int, range_km: float, seed: int) -> tuple[float, float, float]:
    """p plain, partial and Procrustes of one draw of two unrelated sides."""
    rng = np.random.default_rng([n, int(range_km), seed])
    codes = sorted(rng.permutation(sorted(languages()))[:n].tolist())
    spread = 1 - family_distances(codes) + np.exp(-place_distances(codes) / range_km)
    root = np.linalg.cholesky(spread + 1e-9 * np.eye(n))
    x, y = root @ rng.standard_normal((n, DIMS)), root @ rng.standard_normal((n, SCORES))
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)
    controls = list(kinship_distances(codes).values())
    found = agreement(apart, y, controls, kinship_similarity(codes), seed)
    return found.p, found.partial_p, found.procrustes_p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    started, cases = time.time(), []
    for n, range_km in CASES:
        p = np.array([p_values(n, range_km, seed) for seed in range(arguments.draws)])
        rates = dict(zip(("plain", "partial", "procrustes"), (p <= 0.05).mean(axis=0).tolist(), strict=True))
        cases.append({"languages": n, "range_km": range_km, "draws": arguments.draws, "called": rates})
        print(cases[-1], flush=True)
    facts = {
        "level": 0.05,
        "cases": cases,
        "cpu": _cpu(),
        "threads": 1,
        "seconds": round(time.time() - started),
    }
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
