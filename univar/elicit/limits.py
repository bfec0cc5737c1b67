"""How fast an endpoint may be asked, and when to stop asking one that is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from univar.elicit.asks import ModelGone

Sleep = Callable[[float], Awaitable[None]]

_BURST_S = 0.05
"""So much of the rate may be caught up after a moment in which nobody asked."""


class Pace:
    """A token bucket of one minute's rate that holds hardly anything: a turn costs an amount, and waits.

    Turns are times on the loop's clock that are given out in order, so a late waker does not slow the rest.
    """

    def __init__(self, per_minute: float, sleep: Sleep, now: Callable[[], float]) -> None:
        self._per_s, self._sleep, self._now = per_minute / 60, sleep, now
        self._free_at = now()  # when the bucket is empty no more

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
        """Let nobody have a turn for so long: the endpoint asked for it."""
        self._free_at = max(self._free_at, self._now() + seconds)


class Breaker:
    """Stops the rush to a model that has failed `threshold` times in a row.

    Then one request at a time is tried, each after a longer pause; after `probes` of them in vain the model
    is given up for this run.
    """

    def __init__(self, threshold: int, sleep: Sleep, cool_down_s: float = 10.0, probes: int = 5) -> None:
        self._threshold, self._sleep = threshold, sleep
        self._cool_down_s, self._probes = cool_down_s, probes
        self._failures = self._probed = 0
        self._last_reason = ""
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Around each request. Raises ModelGone once the model is given up."""
        if self._failures < self._threshold:
            yield
            return
        async with self._one:
            if self._failures >= self._threshold:
                if self._probed >= self._probes:
                    raise ModelGone(f"given up after {self._failures} failures in a row: {self._last_reason}")
                await self._sleep(self._cool_down_s * 2**self._probed)
                self._probed += 1
            yield

    def succeeded(self) -> None:
        """The model answers."""
        self._failures = self._probed = 0

    def failed(self, reason: str) -> None:
        """The model did not answer."""
        self._failures += 1
        self._last_reason = reason
