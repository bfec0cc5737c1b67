"""What an evaluation was asked for; part of its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from univar.errors import UsageError

TARGETS = ("source", "model", "language")
HEADLINE_K = 50
PROTOCOLS = ("questions", "paper")


@dataclass(frozen=True)
class Settings:
    """As the arguments of `evaluate`; headline_k is the k of one-line figures, the one nearest to 50."""

    k: tuple[int, ...] = (5, 20, 50)
    targets: tuple[str, ...] = TARGETS
    within: str | None = None
    protocol: str = "questions"
    non_value: tuple[str, ...] = ()
    bags: tuple[int, ...] = (1, 5, 20)
    bootstrap: int = 1000
    permutations: int = 100
    baselines: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.k or min(self.k) < 1:
            raise UsageError(f"k must be numbers of neighbours of at least 1, got {list(self.k)}")
        if not self.targets:
            raise UsageError("no target to predict: choose from source, model, language or another column")
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol {self.protocol!r}: choose {' or '.join(PROTOCOLS)}")
        if self.bootstrap < 1 or self.permutations < 0:
            raise UsageError("bootstrap must be at least 1 and permutations at least 0")
        if any(size < 1 for size in self.bags):
            raise UsageError(f"bags hold at least 1 answer, got {list(self.bags)}")
        if self.non_value and self.within is None:
            raise UsageError("non-value corpora are told apart by --within COLUMN: name the column")

    @property
    def headline_k(self) -> int:
        return min(self.k, key=lambda n: abs(n - HEADLINE_K))

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        facts = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        return {**facts, "headline_k": self.headline_k}
