"""Several answers known to come from one unknown source, attributed together.

A bag's strength for a label is the sum over its answers: of votes for k-NN, of log-probabilities for a probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from univar.evaluate.metrics import HIGH, LOW, with_interval

REPEATS = 10
DRAWS = 100
ROWS = 20_000
"""More rows than these are sampled before bags are made of them."""


def bag_accuracy(
    strengths: Mapping[Any, np.ndarray],
    truth: np.ndarray,
    questions: np.ndarray,
    sizes: tuple[int, ...],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Accuracy of bags of each size, by classifier; sizes for which no label has the rows are left out.

    strengths: classifier to (n, L); truth: (n,) int64; questions: (n,)
    Bags are cut at random from each label's rows, REPEATS times over; intervals draw questions `draws` times.
    """
    rng = np.random.default_rng(seed)
    _, question = np.unique(questions, return_inverse=True)
    n_questions = int(question.max()) + 1
    report: dict[str, Any] = {}
    for size in sizes:
        if np.bincount(truth).max() < size:
            continue
        whole = [_bags(np.arange(len(truth)), truth, size, rng) for _ in range(REPEATS)]
        drawn = [_bags(_rows_of_drawn(question, n_questions, rng), truth, size, rng) for _ in range(draws)]
        drawn = [bags for bags in drawn if len(bags)]
        report[str(size)] = {
            "bags": len(whole[0]),
            "labels": len(np.unique(truth[whole[0][:, 0]])),
        }
        for name, strength in strengths.items():
            value = float(np.mean([_accuracy(strength, truth, bags) for bags in whole]))
            around = np.array([_accuracy(strength, truth, bags) for bags in drawn])
            bounds = np.percentile(around, [LOW, HIGH]) if len(around) else np.array([0.0, 1.0])
            bounds = np.array([min(bounds[0], value), max(bounds[1], value)])
            report[str(size)][name] = with_interval(value, bounds)
    return report


def _rows_of_drawn(question: np.ndarray, n_questions: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of as many questions as there are, drawn with replacement."""
    times = np.bincount(rng.integers(0, n_questions, n_questions), minlength=n_questions)
    return np.repeat(np.arange(len(question)), times[question])


def _bags(rows: np.ndarray, truth: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """(bags, size) row numbers: each label's rows in random order, cut into whole bags."""
    order = rows[np.lexsort((rng.random(len(rows)), truth[rows]))]
    labels = truth[order]
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    counts = np.diff([*starts, len(labels)])
    place = np.arange(len(labels)) - np.repeat(starts, counts)
    kept = place < np.repeat(counts // size * size, counts)
    return order[kept].reshape(-1, size)


def _accuracy(strength: np.ndarray, truth: np.ndarray, bags: np.ndarray) -> float:
    total = strength[bags[:, 0]].astype(np.float64)
    for column in bags.T[1:]:
        total += strength[column]
    return float((total.argmax(axis=1) == truth[bags[:, 0]]).mean())
