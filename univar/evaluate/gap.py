"""The control with corpora that are not about values: the gain over another encoder should be small there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from univar.errors import UsageError
from univar.evaluate.figures import headline_keys
from univar.evaluate.metrics import HIGH, LOW, QuestionBootstrap, with_interval
from univar.evaluate.settings import Settings
from univar.evaluate.task import Judged


def check_names(groups: Iterable[str | None], settings: Settings) -> None:
    """Raise UsageError where `settings.non_value` is not some of the groups, or all of them."""
    names = set(map(str, groups))
    if settings.non_value and (set(settings.non_value) - names or names <= set(settings.non_value)):
        raise UsageError(
            f"non-value corpora must be some of {', '.join(sorted(names))}, got "
            f"{', '.join(settings.non_value)}"
        )


def value_gap(judged: dict[str, list[tuple[str | None, Judged]]], settings: Settings) -> dict[str, Any]:
    """Gain in accuracy over each other encoder on value corpora and on the others, by target and classifier.

    judged: target to (group, what was judged), of groups among which `settings.non_value` is known to be
    A gain is the mean over corpora of the difference in accuracy; `ratio` is the gain on non-value corpora
    divided by that on value corpora; `holds` says whether it is at most one half.
    """
    report: dict[str, Any] = {}
    for target, parts in judged.items():
        sides = [
            [part for name, part in parts if (name in settings.non_value) == wanted]
            for wanted in (False, True)
        ]
        if all(sides):
            report[target] = _by_encoder(sides, settings)
    return report


def _by_encoder(sides: list[list[Judged]], settings: Settings) -> dict[str, Any]:
    first = sides[0][0]
    others = dict.fromkeys(encoder for encoder, _ in first.verdict if encoder is not None)
    return {
        encoder: {
            classifier: _gains(sides, encoder, key, settings)
            for classifier, key in headline_keys(first, settings).items()
        }
        for encoder in others
    }


def _gains(sides: list[list[Judged]], encoder: str, key: str, settings: Settings) -> dict[str, Any]:
    values, draws = [], []
    for parts in sides:
        found = [_gain(part, encoder, key, settings) for part in parts]
        values.append(float(np.mean([value for value, _ in found])))
        draws.append(np.mean([drawn for _, drawn in found], axis=0))
    ratio = values[1] / values[0] if values[0] > 0 else None
    usable = draws[0] > 0
    around = draws[1][usable] / draws[0][usable] if usable.any() else np.zeros(1)
    report: dict[str, Any] = {
        "value": _interval(values[0], draws[0]),
        "non_value": _interval(values[1], draws[1]),
        "corpora": [len(parts) for parts in sides],
        "ratio": None if ratio is None else _interval(ratio, around),
        "holds": ratio is not None and ratio <= 0.5,
    }
    return report


def _gain(part: Judged, encoder: str, key: str, settings: Settings) -> tuple[float, np.ndarray]:
    """Difference in accuracy, and the same in each draw of questions (draws,)."""
    difference = part.hits((None, key)).astype(np.float64) - part.hits((encoder, key))
    intervals = QuestionBootstrap(part.questions, settings.bootstrap, settings.seed)
    return float(difference.mean()), intervals.drawn_means(difference[:, None])[:, 0]


def _interval(value: float, draws: np.ndarray) -> dict[str, Any]:
    return with_interval(value, np.percentile(draws, [LOW, HIGH]))
