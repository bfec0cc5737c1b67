"""Rates and breakers, on a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from univar.elicit.requests import ModelGone
from univar.elicit.workers import CircuitBreaker, RateLimiter


@dataclass
class Clock:
    """Time that passes only in `sleep`."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


@pytest.mark.parametrize("per_minute", [30, 600, 30_000])
def test_the_rate_is_kept_to_two_per_cent(per_minute: float) -> None:
    clock = Clock()
    pace = RateLimiter(per_minute, clock.sleep, clock.now)

    async def work() -> None:
        for _ in range(1000):
            await pace.turn()

    run(work)
    assert 1000 / clock.now_s * 60 == pytest.approx(per_minute, rel=0.02)


def test_a_late_waker_does_not_slow_the_rest() -> None:
    clock = Clock()

    async def late(seconds: float) -> None:
        clock.now_s += seconds + 0.001

    pace = RateLimiter(6000, late, clock.now)

    async def work() -> None:
        for _ in range(2000):
            await pace.turn()

    run(work)
    assert 2000 / clock.now_s == pytest.approx(100, rel=0.02)


def test_turns_cost_what_they_are_given() -> None:
    clock = Clock()
    pace = RateLimiter(60_000, clock.sleep, clock.now)

    async def work() -> None:
        for tokens in (5000, 1000, 10):
            await pace.turn(tokens)

    run(work)
    assert clock.now_s == pytest.approx(6, rel=0.02)


def test_without_a_rate_nobody_waits_but_for_a_pause() -> None:
    clock = Clock()
    pace = RateLimiter(0, clock.sleep, clock.now)

    async def work() -> None:
        await pace.turn()
        pace.pause(7)
        await pace.turn()

    run(work)
    assert clock.slept == [7]


def test_a_breaker_waits_longer_each_time_and_then_gives_the_model_up() -> None:
    clock = Clock()
    breaker = CircuitBreaker(3, clock.sleep, cool_down_s=10, probes=3)

    async def work() -> None:
        while True:
            async with breaker.attempt():
                breaker.failed("it is down")

    with pytest.raises(ModelGone, match="6 failures in a row, the last one: it is down"):
        run(work)
    assert clock.slept == [10, 20, 40]


def test_one_success_closes_the_breaker() -> None:
    clock = Clock()
    breaker = CircuitBreaker(2, clock.sleep, cool_down_s=10, probes=3)

    async def work() -> None:
        for fails in (True, True, False, True, False):
            async with breaker.attempt():
                if fails:
                    breaker.failed("down")
                else:
                    breaker.succeeded()

    run(work)
    assert clock.slept == [10]
