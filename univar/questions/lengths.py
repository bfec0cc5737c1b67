"""Whether two sets of lengths can come from one distribution (two-sample Kolmogorov-Smirnov test)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LengthMatch:
    """Lengths of value questions against controls, of one wording, in characters."""

    wording: int
    values: int
    controls: int
    median_value: float
    median_control: float
    distance: float
    p: float


def compare_lengths(wording: int, values: np.ndarray, controls: np.ndarray) -> LengthMatch:
    """values, controls: (n,), (m,) lengths; `distance`: the greatest gap between their cumulative shares."""
    ordered = np.sort(np.concatenate([values, controls]))
    shares = [
        np.searchsorted(np.sort(part), ordered, side="right") / len(part) for part in (values, controls)
    ]
    distance = float(np.abs(shares[0] - shares[1]).max())
    effective = math.sqrt(len(values) * len(controls) / (len(values) + len(controls)))
    return LengthMatch(
        wording,
        len(values),
        len(controls),
        float(np.median(values)),
        float(np.median(controls)),
        distance,
        _p_value((effective + 0.12 + 0.11 / effective) * distance),
    )


def _p_value(scaled: float) -> float:
    """Kolmogorov's asymptotic tail probability; `scaled` is Stephens' correction of the distance."""
    if scaled < 0.2:
        return 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))
