"""This evaluation beside an older one of the same questions: what became better or worse, and how surely."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from univar import files
from univar.errors import DataError
from univar.evaluate.metrics import Difference, sign_flip_p
from univar.evaluate.report import FORMAT, OLD_FORMAT, ByQuestion, Change, Compared, Report
from univar.statistics.intervals import by_cluster, ratio
from univar.statistics.permutation import holm

SIGNIFICANT = 0.05
ALIKE = ("within", "protocol", "headline_k")
"""Settings that two comparable reports share."""


@dataclass(frozen=True)
class OldReport:
    """What a comparison needs of a report. settings: those of ALIKE; targets: by name."""

    settings: dict[str, object]
    targets: dict[str, ByQuestion]

    @classmethod
    def of(cls, report: Report) -> OldReport:
        """The same of a report in memory."""
        settings = {name: getattr(report.settings, name) for name in ALIKE}
        return cls(settings, {name: target.by_question for name, target in report.overall.items()})


def read_report(path: str | Path) -> OldReport:
    """A report that `evaluate` wrote, now or one schema ago. Raises DataError for anything else."""
    facts = files.read_json(Path(path))
    found = facts.get("format")
    if found not in (FORMAT, OLD_FORMAT):
        raise DataError(
            f"{path} has format {found!r}, not {FORMAT!r}: write it again with `univar evaluate --out`"
        )
    try:
        settings = {name: facts["settings"].get(name) for name in ALIKE}
        overall = facts["overall"]
        return OldReport(settings, {name: _by_question(overall[name]["by_question"]) for name in overall})
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a whole report of univar evaluate: {error!r}") from None


def _by_question(facts: dict[str, Any]) -> ByQuestion:
    return ByQuestion(facts["questions"], facts["rows"], facts["knn"], facts.get("probe"))


def compare(report: Report, old: OldReport | Report, least: float = 0.0) -> dict[str, dict[str, Change]]:
    """Target to classifier to its change, over the questions of both reports.

    `worse` is True where the accuracy fell by more than `least` and p < 0.05 by a two-sided test that flips
    the sign of clusters, after Holm's correction for everything compared. Raises DataError if the reports
    share no target or no question, or compare other groups or k.
    """
    past = OldReport.of(old) if isinstance(old, Report) else old
    _check_alike(OldReport.of(report).settings, past.settings)
    found = {
        name: _changes(target.by_question, past.targets[name], report.settings.seed)
        for name, target in report.overall.items()
        if name in past.targets
    }
    if not any(found.values()):
        raise DataError(
            f"the reports have nothing to compare: targets {', '.join(report.overall)} and "
            f"{', '.join(past.targets)}, and no question in common"
        )
    return _corrected(found, least)


def _corrected(found: dict[str, dict[str, Change]], least: float) -> dict[str, dict[str, Change]]:
    """With Holm's p-values, and `worse` by them."""
    places = [(target, kind) for target, changes in found.items() for kind in changes]
    p = holm([found[target][kind].difference.p for target, kind in places])
    for (target, kind), corrected in zip(places, p.tolist(), strict=True):
        change = found[target][kind]
        worse = corrected < SIGNIFICANT and change.difference.value < -least
        found[target][kind] = replace(change, p_holm=corrected, worse=worse)
    return found


def with_comparison(report: Report, old: OldReport, path: str, least: float = 0.0) -> Report:
    """The report, and what `compare` finds beside the one that was read from `path`."""
    return replace(report, compared=Compared(path, compare(report, old, least)))


def _check_alike(new: dict[str, object], old: dict[str, object]) -> None:
    for name in ALIKE:
        if new[name] != old[name]:
            raise DataError(
                f"the reports differ in {name}: {new[name]!r} now, {old[name]!r} then; "
                "evaluate both in the same way"
            )


def _changes(new: ByQuestion, old: ByQuestion, seed: int) -> dict[str, Change]:
    shared, here, there = np.intersect1d(
        np.array(new.questions, dtype=object), np.array(old.questions, dtype=object), return_indices=True
    )
    if not len(shared):
        return {}
    rows, old_rows = np.array(new.rows)[here], np.array(old.rows)[there]
    clusters = np.array(new.clusters or new.questions, dtype=object)[here]
    report = {}
    for name, now, then in (("knn", new.knn, old.knn), ("probe", new.probe, old.probe)):
        if now is not None and then is not None:
            hits = np.array(now)[here], np.array(then)[there] / old_rows * rows
            report[name] = _change(*hits, rows, clusters, seed)
    return report


def _change(now: np.ndarray, then: np.ndarray, rows: np.ndarray, clusters: np.ndarray, seed: int) -> Change:
    """now, then: (questions,) hits among as many rows; rows, clusters: (questions,)."""
    moved = now - then
    found = ratio(moved, rows, clusters)
    p = sign_flip_p(by_cluster(moved, clusters), seed)
    difference = Difference(found.estimate, found.low, found.high, p)
    new, old = float(now.sum() / rows.sum()), float(then.sum() / rows.sum())
    return Change(len(rows), new, old, difference, worse=False)
