"""Models that were never trained on: is a bag of answers nearest to another bag of the same model?

The questions of a group are halved; a bag of one half is compared with all bags of the other half, so that no
two compared bags share a question. A bag is the mean of its answers' embeddings; nearest is by cosine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.evaluate.encoded import Encoded
from univar.evaluate.metrics import HIGH, LOW, with_interval
from univar.evaluate.settings import Settings
from univar.evaluate.split import Group, Setting

REPEATS = 20
DRAWS = 200


def unseen_model_bags(setting: Setting, encoders: list[Encoded], settings: Settings) -> dict[str, Any]:
    """For each bag size: hits of every encoder, chance, and the ratio to each other encoder.

    setting: unseen models, as `split.unseen_models` makes it
    A figure over all groups gives each bag one voice. Sizes for which no group has two models with two bags
    are left out. Intervals draw questions, the same for all encoders.
    """
    sizes = sorted({size for size in settings.bags if size > 1})
    report: dict[str, Any] = {}
    for size in sizes:
        tables = {}
        for group in setting.groups:
            table = _group_table(setting, group, encoders, size, settings)
            if table is not None:
                tables["all" if group.name is None else group.name] = table
        if tables:
            first = next(iter(tables.values()))
            together = {name: np.sum([t[name] for t in tables.values()], axis=0) for name in first}
            report[str(size)] = {
                **_figures(together, encoders),
                "groups": {name: _figures(table, encoders) for name, table in tables.items()},
            }
    return report


def _group_table(
    setting: Setting, group: Group, encoders: list[Encoded], size: int, settings: Settings
) -> dict[str, np.ndarray] | None:
    """Sums over bags, (REPEATS + draws,): "bags", "chance", "models", hits by encoder; None without bags."""
    rows = np.sort(np.concatenate([group.train, group.eval]))
    store, side = setting.stores[1], setting.sides[1]
    model = np.unique(np.array(store.text("model", rows), dtype=object), return_inverse=True)[1]
    question = np.unique(np.array(store.text("question_id", rows), dtype=object), return_inverse=True)[1]
    vectors = [encoder.matrix(side, rows) for encoder in encoders]
    rng = np.random.default_rng(settings.seed)
    draws = min(DRAWS, settings.bootstrap)
    names = ["bags", "chance", "models", *(encoder.name for encoder in encoders)]
    table = {name: np.zeros(REPEATS + draws) for name in names}
    for draw in range(REPEATS + draws):
        times = np.ones(int(question.max()) + 1, dtype=np.int64)
        if draw >= REPEATS:
            times = np.bincount(rng.integers(0, len(times), len(times)), minlength=len(times))
        half = np.isin(question, rng.permutation(len(times))[: len(times) // 2])
        here, there = (_bags(np.repeat(np.flatnonzero(side), times[question[side]]), model, size, rng)
                       for side in (half, ~half))  # fmt: skip
        common = np.intersect1d(model[here[:, 0]], model[there[:, 0]])
        if len(common) < 2:
            continue
        here, there = (bags[np.isin(model[bags[:, 0]], common)] for bags in (here, there))
        own = model[here[:, 0]][:, None] == model[there[:, 0]]
        table["bags"][draw], table["models"][draw] = len(here), len(common)
        table["chance"][draw] = own.mean(axis=1).sum()
        for encoder, matrix in zip(encoders, vectors, strict=True):
            nearest = (_means(matrix, here) @ _means(matrix, there).T).argmax(axis=1)
            table[encoder.name][draw] = own[np.arange(len(here)), nearest].sum()
    return table if table["bags"][:REPEATS].all() else None


def _bags(rows: np.ndarray, model: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """(bags, size) row numbers, each bag of one model."""
    order = rng.permutation(rows)
    bags = [
        own[: len(own) // size * size].reshape(-1, size)
        for own in (order[model[order] == number] for number in range(int(model.max()) + 1))
    ]
    return np.concatenate(bags)


def _means(matrix: np.ndarray, bags: np.ndarray) -> np.ndarray:
    mean = matrix[bags].mean(axis=1)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)


def _figures(table: dict[str, np.ndarray], encoders: list[Encoded]) -> dict[str, Any]:
    main, *others = [encoder.name for encoder in encoders]
    report: dict[str, Any] = {
        "bags": round(float(table["bags"][:REPEATS].mean()), 1),
        "models": int(table["models"][:REPEATS].max()),
        "chance": float((table["chance"] / np.maximum(1, table["bags"]))[:REPEATS].mean()),
        "same_model": _share(table[main], table["bags"]),
    }
    for name in others:
        report.setdefault("against", {})[name] = {
            "same_model": _share(table[name], table["bags"]),
            "ratio": _share(table[main], table[name]),
        }
    return report


def _share(part: np.ndarray, whole: np.ndarray) -> dict[str, Any]:
    """value from the repeats, low and high from the draws of questions."""
    value = part[:REPEATS].sum() / max(1e-9, whole[:REPEATS].sum())
    usable = whole[REPEATS:] > 0
    drawn = part[REPEATS:][usable] / whole[REPEATS:][usable]
    low, high = np.percentile(drawn, [LOW, HIGH]) if len(drawn) else (0.0, 1.0)
    return with_interval(value, np.array([min(low, value), max(high, value)]))
