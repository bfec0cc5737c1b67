"""How figures of the report are written in a table's cell; an empty text for what there is not."""

from __future__ import annotations

from univar.evaluate.metrics import Difference, Estimate
from univar.evaluate.report import Accuracy, Level


def at_1(scores: Accuracy | None) -> str:
    return interval(scores.at_1) if scores else ""


def value(found: Estimate) -> str:
    return f"{found.value:.3f}"


def interval(found: Estimate | None) -> str:
    """The interval only where there is one."""
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{found.value:.3f}"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def signed(found: Difference | None) -> str:
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{found.value:+.3f}"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def p95(level: Level | None) -> str:
    return f"{level.p95:.3f}" if level else ""


def mean(level: Level | None) -> str:
    return f"{level.mean:.3f}" if level else ""
