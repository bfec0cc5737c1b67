"""How fast an endpoint may be asked, when to stop asking one that is down, and how much may be spent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from univar.elicit.requests import ModelGone

Sleep = Callable[[float], Awaitable[None]]

_BURST_S = 0.05
"""After an idle time, this much of the rate may be caught up."""


class RateLimiter:
    """A token bucket with hardly any capacity: `turn` waits until its amount fits the rate.

    Turns are times on the loop's clock, given out in order, so that a task that wakes late slows no other.
    """

    def __init__(self, per_minute: float, sleep: Sleep, now: Callable[[], float]) -> None:
        """per_minute: the rate, 0 for no limit."""
        self._per_s, self._sleep, self._now = per_minute / 60, sleep, now
        self._free_at = now()  # when the next turn may start

    async def turn(self, amount: float = 1.0) -> None:
        """Wait until `amount` may be used."""
        if not self._per_s:
            wait_s = self._free_at - self._now()
        else:
            start = max(self._free_at, self._now() - _BURST_S)
            self._free_at = start + amount / self._per_s
            wait_s = start - self._now()
        if wait_s > 0:
            await self._sleep(wait_s)

    def pause(self, seconds: float) -> None:
        """Give nobody a turn for this long, because the endpoint asked for it."""
        self._free_at = max(self._free_at, self._now() + seconds)


class CircuitBreaker:
    """Protects a model that has failed `threshold` times in a row.

    From then on one request at a time is tried, at growing intervals; after `probes` failures more the model
    is dropped for this run.
    """

    def __init__(self, threshold: int, sleep: Sleep, cool_down_s: float = 10.0, probes: int = 5) -> None:
        self._threshold, self._sleep = threshold, sleep
        self._cool_down_s, self._probes = cool_down_s, probes
        self._failures = self._probed = 0
        self._last_reason = ""
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Around each request. Raises ModelGone once the model is dropped."""
        if self._failures < self._threshold:
            yield
            return
        async with self._one:
            if self._failures >= self._threshold:
                if self._probed >= self._probes:
                    raise ModelGone(f"{self._failures} failures in a row, the last one: {self._last_reason}")
                await self._sleep(self._cool_down_s * 2**self._probed)
                self._probed += 1
            yield

    def succeeded(self) -> None:
        """The model answered."""
        self._failures = self._probed = 0

    def failed(self, reason: str) -> None:
        """The model did not answer."""
        self._failures += 1
        self._last_reason = reason


class Budget:
    """Money: what is spent, and the estimated cost of the requests in flight."""

    def __init__(self, spent: float, limit: float | None) -> None:
        self._spent, self._limit, self._in_flight = spent, limit, 0.0

    def reserve(self, cost: float) -> bool:
        """Reserve the estimated cost of a request; False if the limit does not allow it."""
        if self._limit is not None and self._spent + self._in_flight + cost > self._limit:
            return False
        self._in_flight += cost
        return True

    def settle(self, reserved: float, cost: float) -> None:
        """A request has ended: replace what it `reserved` by its `cost`."""
        self._in_flight -= reserved
        self._spent += cost
