"""Contenders that take turns: the one runner of all long benchmarks.

The speed of a shared machine drifts by more than what is measured. So in each round every contender does the
same work once, one right after the other, the first of a round being another one each time; ratios are taken
within a round, and reported as their median with the least and the greatest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["cpu_s", "wall_s"]


@dataclass(frozen=True)
class Cost:
    """What a call took. peak_rss: bytes of resident memory at the peak, 0 where it was not measured."""

    cpu_s: float
    wall_s: float
    peak_rss: int = 0

    def facts(self) -> dict[str, float]:
        """For a result file."""
        facts: dict[str, float] = {"cpu_s": round(self.cpu_s, 4), "wall_s": round(self.wall_s, 4)}
        if self.peak_rss:
            facts["peak_rss_mb"] = round(self.peak_rss / 1e6, 1)
        return facts


Measure = Callable[[], Cost]
Round = dict[str, Cost]


def cost_of(call: Callable[[], object]) -> Cost:
    """What `call` takes in this process, all its threads included."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def one_round(contenders: Mapping[str, Measure], number: int) -> Round:
    """Every contender once; round `number` (from 0) begins with the contender of that number."""
    names = list(contenders)
    first = number % len(names)
    costs = {name: contenders[name]() for name in names[first:] + names[:first]}
    return {name: costs[name] for name in names}


def take_turns(contenders: Mapping[str, Measure], rounds: int) -> Iterator[Round]:
    """`rounds` rounds, each given out when it is done."""
    return (one_round(contenders, number) for number in range(rounds))


def ratios(rounds: Sequence[Round], slow: str, fast: str, kind: Kind = "wall_s") -> list[float]:
    """How many times faster `fast` was than `slow`, round by round."""
    return [getattr(one[slow], kind) / getattr(one[fast], kind) for one in rounds]


def median(rounds: Sequence[Round], name: str, kind: Kind = "wall_s") -> float:
    """Median seconds of a contender."""
    return statistics.median(getattr(one[name], kind) for one in rounds)


def best(rounds: Sequence[Round], names: Sequence[str], kind: Kind = "wall_s") -> str:
    """The contender of `names` with the lowest median."""
    return min(names, key=lambda name: median(rounds, name, kind))


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, least and greatest."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def shown(found: Mapping[str, Any]) -> str:
    """A spread for people: 1.94 (1.74-2.03)."""
    return f"{found['median']:.2f} ({found['min']:.2f}-{found['max']:.2f})"
