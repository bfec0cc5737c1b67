"""Do the statistics hold what they promise? Simulated answers with known truth, many repetitions.

python -m benchmarks.statistics_truth

Answers to a question are topic + source + noise in 24 dimensions whose standard deviations fall as
1 / sqrt(1 + k), as the spectra of embeddings do. A shift is given in units of E|d|^2, the squared distance
of two sources' answers to one question, along the noise's third axis.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.facts import write_result
from univar.compare.cells import cells_of, distance, matched
from univar.compare.floor import floors, largest
from univar.compare.probes import by_score
from univar.compare.rows import Rows
from univar.compare.verdict import verdict
from univar.statistics.distances import paired, paired_energy, unpaired
from univar.statistics.intervals import ratio
from univar.statistics.permutation import sign_flip

DIMS = 24
SD = 1 / np.sqrt(1 + np.arange(DIMS))
SQUARED = 2 * float((SD**2).sum())
"""E|d|^2 of two sources that do not differ."""
AXIS = 2


REAL_DIMS = 384
"""Axes whose spread over axes, (sum of variances)^2 / sum of squares = 26, is nearer that of real answers.

With minilm it is 41 to 47 (political_compass_open, prismia_likert, speechmap_criticism), with DIMS axes 9.
"""


def sides(
    rng: np.random.Generator, n: int, shift: float = 0.0, dims: int = DIMS
) -> tuple[np.ndarray, np.ndarray]:
    """(n, D) answers of two sources to the same questions."""
    sd = 1 / np.sqrt(1 + np.arange(dims))
    topic = 3 * rng.standard_normal((n, dims)) * sd
    x, y = topic + rng.standard_normal((2, n, dims)) * sd
    y[:, AXIS] += np.sqrt(shift * 2 * float((sd**2).sum()))
    return x, y


def bias(repetitions: int) -> list[dict[str, Any]]:
    """Mean error of the distances, in Monte-Carlo standard errors; below 3 in size is what is asked."""
    rng = np.random.default_rng(0)
    found = []

    def add(name: str, n: int, truth: float, draw: Callable[[], float]) -> None:
        values = np.array([draw() for _ in range(repetitions)])
        error = (values.mean() - truth) / (values.std(ddof=1) / np.sqrt(repetitions))
        found.append(
            {"distance": name, "questions": n, "truth": truth, "error_in_se": round(float(error), 2)}
        )

    for n in (5, 10, 20):
        for shift in (0.0, 0.1, 0.5):
            truth = shift * SQUARED
            add("paired D2", n, truth, lambda n=n, s=shift: paired(*sides(rng, n, s)).estimate)
        add("paired energy", n, 0.0, lambda n=n: paired_energy(*sides(rng, n)).estimate)
        add(
            "unpaired D2, other questions",
            n,
            0.0,
            lambda n=n: unpaired(sides(rng, n)[0], sides(rng, n)[1]).estimate,
        )
    return found


def coverage(repetitions: int) -> list[dict[str, Any]]:
    """Share of 95 % intervals that hold the truth: 93 to 97 % for ratios, 92 % or more for distances."""
    rng = np.random.default_rng(1)
    found = []
    for n in (6, 15, 60):
        held = []
        for _ in range(repetitions):
            rows = rng.integers(2, 20, n)
            hits = rng.binomial(rows, np.clip(0.5 + 0.15 * rng.standard_normal(n), 0, 1))
            held.append(not ratio(hits, rows, np.arange(n)).excludes(0.5))
        found.append({"what": "ratio", "questions": n, "covered": float(np.mean(held))})
        for shift in (0.0, 0.1, 0.5):
            truth = shift * SQUARED
            held = [not paired(*sides(rng, n, shift)).excludes(truth) for _ in range(repetitions)]
            row = {"what": f"D2, shift {shift:g}", "questions": n, "covered": float(np.mean(held))}
            found.append(row)
    return found


def drift(repetitions: int) -> list[dict[str, Any]]:
    """Share of sign-flip p <= .05: without a shift at most 6.5 %; with one of .10 at least .8 at 16."""
    rng = np.random.default_rng(2)
    found = []
    for dims in (DIMS, REAL_DIMS):
        for n in (8, 16, 31):
            for shift in (0.0, 0.1):
                p = np.array([sign_flip(*sides(rng, n, shift, dims), n=999) for _ in range(repetitions)])
                significant = float(np.mean(p <= 0.05))
                found.append({"dims": dims, "questions": n, "shift": shift, "significant": significant})
    return found


def named_first(repetitions: int) -> dict[str, Any]:
    """Share of times that the value with a planted shift of .20 is named first of 20, over 16 questions."""
    rng = np.random.default_rng(3)
    names = [f"value {axis}" for axis in range(20)]
    hits = []
    for _ in range(repetitions):
        x, y = sides(rng, 16, 0.2)
        hits.append(by_score(names, x[:, :20] / SD[:20], y[:, :20] / SD[:20])[0].value == names[AXIS])
    return {"questions": 16, "shift": 0.2, "values": 20, "named_first": float(np.mean(hits))}


def releases(rng: np.random.Generator, n: int, samples: int, shift: float) -> Rows:
    """Two releases, each with so many samples of every answer; samples vary by half of the noise."""
    x, y = sides(rng, n, shift)
    if not shift:
        y = x
    made = np.stack([x, y])[:, :, None] + 0.7 * rng.standard_normal((2, n, samples, DIMS)) * SD
    source, cluster, _ = (axis.ravel() for axis in np.indices((2, n, samples)))
    zero = np.zeros(len(source), np.int64)
    clusters = [str(number) for number in range(n)]
    return Rows(
        made.reshape(-1, DIMS).astype(np.float32),
        ["old", "new"],
        source,
        clusters,
        cluster,
        clusters,
        cluster,
        zero,
        zero,
        cluster,
    )


def verdicts(repetitions: int, sizes: tuple[int, ...] = (8, 16, 31, 60)) -> list[dict[str, Any]]:
    """How often track says 0, 10 and 11 of one release sampled twice, and of a new one; floor by sample."""
    rng = np.random.default_rng(4)
    found = []
    for n in sizes:
        for shift in (0.0, 0.1):
            told = {"within": 0, "beyond": 0, "unsure": 0}
            for _ in range(repetitions):
                rows = releases(rng, n, 3, shift)
                cells = cells_of(rows)
                left, right, codes, _ = matched(cells.of(0), cells.of(1))
                floor = largest(floors(rows, np.array([0, 1]), codes), "sample")
                p = sign_flip(left, right, n=999)
                d2 = distance(cells.of(0), cells.of(1))[0]
                told[verdict(d2, None if floor is None else floor.value, p, 0.05)[0]] += 1
            shares = {name: count / repetitions for name, count in told.items()}
            found.append({"questions": n, "shift": shift, "samples": 3, **shares})
    return found


def run(share: float = 1.0, only: str | None = None) -> dict[str, Any]:
    """All simulations, or one, with `share` of the repetitions."""
    n = {name: max(int(count * share), 10) for name, count in REPETITIONS.items()}
    parts = {
        "bias": bias,
        "coverage": coverage,
        "drift": drift,
        "named_first": named_first,
        "verdicts": verdicts,
    }
    found: dict[str, Any] = {
        name: make(n[name]) for name, make in parts.items() if only is None or name == only
    }
    return {**found, "repetitions": n}


REPETITIONS = {"bias": 4000, "coverage": 2000, "drift": 2000, "named_first": 2000, "verdicts": 400}


def main() -> None:
    """Run and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/results/statistics_truth.json"))
    parser.add_argument("--share", type=float, default=1.0, help="share of the repetitions")
    parser.add_argument("--only", choices=list(REPETITIONS), help="this one; the file keeps the others")
    arguments = parser.parse_args()
    start = time.perf_counter()
    kept = json.loads(arguments.out.read_text()) if arguments.only and arguments.out.exists() else {}
    found = {
        **{name: kept[name] for name in REPETITIONS if name in kept},
        **run(arguments.share, arguments.only),
    }
    seconds = round(time.perf_counter() - start, 1)
    write_result(arguments.out, "statistics_truth", ["numpy", "scipy"], {"seconds": seconds, **found})


if __name__ == "__main__":
    main()
