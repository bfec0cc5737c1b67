"""This evaluation beside an older one of the same questions: what became better, what worse, how surely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from univar.errors import DataError
from univar.evaluate.metrics import HIGH, LOW, with_interval
from univar.evaluate.paired import sign_flip_p

DRAWS = 1000
SIGNIFICANT = 0.05


def read_report(path: str | Path, format: str) -> dict[str, Any]:
    """A report that `evaluate` made. Raises DataError for anything else."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a report of univar evaluate: {error}") from None
    found = report.get("format") if isinstance(report, dict) else None
    if found != format:
        raise DataError(f"{path} is of format {found!r}, not {format!r}: evaluate that encoder again")
    return report


def compare(report: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Target to classifier to new, old, difference with interval and p, over the questions of both reports.

    `worse` is True where the accuracy fell and p < 0.05, a two-sided test that flips the sign of questions.
    Raises DataError if the reports share no target, or no question, or compare other groups or k.
    """
    _check_alike(report["settings"], old.get("settings", {}))
    found: dict[str, Any] = {}
    for target, facts in report["overall"].items():
        if target in old["overall"]:
            found[target] = _by_classifier(
                facts["by_question"], old["overall"][target]["by_question"], report["settings"]["seed"]
            )
    if not any(found.values()):
        raise DataError(
            f"the reports have nothing to compare: targets {', '.join(report['overall'])} and "
            f"{', '.join(old['overall'])}, and no question in common"
        )
    return found


def _check_alike(new: dict[str, Any], old: dict[str, Any]) -> None:
    for name in ("within", "protocol", "headline_k"):
        if new[name] != old.get(name):
            raise DataError(
                f"the reports differ in {name}: {new[name]!r} now, {old.get(name)!r} then; "
                "evaluate both in the same way"
            )


def _by_classifier(new: dict[str, Any], old: dict[str, Any], seed: int) -> dict[str, Any]:
    shared, here, there = np.intersect1d(new["questions"], old["questions"], return_indices=True)
    if not len(shared):
        return {}
    rows = np.array(new["rows"])[here]
    times = np.random.default_rng(seed).integers(0, len(shared), (DRAWS, len(shared)))
    report: dict[str, Any] = {}
    for classifier in ("knn", "probe"):
        if classifier not in new or classifier not in old:
            continue
        now = np.array(new[classifier])[here]
        then = np.array(old[classifier])[there] / np.array(old["rows"])[there] * rows
        moved = now - then
        around = moved[times].sum(axis=1) / rows[times].sum(axis=1)
        difference = with_interval(moved.sum() / rows.sum(), np.percentile(around, [LOW, HIGH]))
        p = sign_flip_p(moved, seed)
        report[classifier] = {
            "questions": len(shared),
            "new": float(now.sum() / rows.sum()),
            "old": float(then.sum() / rows.sum()),
            "difference": {**difference, "p": p},
            "worse": bool(difference["value"] < 0 and p < SIGNIFICANT),
        }
    return report
