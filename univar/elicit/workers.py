"""Asking one remote model: rates, a circuit breaker, money, and attempts until a request has ended."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from univar.elicit.endpoint import Endpoint
from univar.elicit.failures import shortened
from univar.elicit.plan import BY_USAGE, Tokens, estimate_for
from univar.elicit.requests import (
    ModelEntry,
    ModelGone,
    Outcome,
    Permanent,
    Reply,
    Request,
    RequestFailed,
    Respondent,
    Transient,
    Unclear,
)

if TYPE_CHECKING:
    import aiohttp
    from tenacity import RetryCallState

    from univar.elicit.run import ElicitRun

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

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self._limit is not None

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


MAX_WAIT_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0
"""An endpoint that asks to wait longer is dropped for this run."""

MAX_UNCLEAR, MAX_PAID = 2, 3
"""The most attempts at one request: with unreadable replies, and billed for nothing."""

REJECTED_IN_A_ROW = 20
"""A model is dropped after this many rejections in a row that no question accounts for."""

_BUSY_IN_A_ROW = 3

Limiters = dict[tuple[str, str], tuple[RateLimiter, RateLimiter]]
"""(url, key) to the limiters of requests and of tokens: models behind one account share them."""


class Stopped(Exception):
    """The run ended before this request had an answer."""


class ModelWorkers:
    """The workers of one remote model, and what they share."""

    def __init__(
        self,
        run: ElicitRun,
        model: ModelEntry,
        respondents: list[Respondent],
        session: aiohttp.ClientSession,
        limiters: Limiters,
    ) -> None:
        self.run, self.model = run, model
        self._endpoint = Endpoint(model, session)
        now = asyncio.get_running_loop().time
        self._request_rate, self._token_rate = limiters.setdefault(
            (model.url, model.key.reveal() if model.key else ""),
            (
                RateLimiter(model.requests_per_minute, run.sleep, now),
                RateLimiter(model.tokens_per_minute, run.sleep, now),
            ),
        )
        self._breaker = CircuitBreaker(2 * model.concurrency + 8, run.sleep)
        self._pending: Iterator[Request] = run.state.pending(respondents, run.limit)
        self._estimate = estimate_for(run.state, model, respondents)
        self._cost_is_known = not run.budget.is_limited or self._estimate.prompts_by == BY_USAGE
        self._cost_ratio = 1.0  # the highest real cost by estimated cost so far
        self._first = asyncio.Lock()
        self._gone = False
        self._busy = self._rejected = 0
        self._random = random.Random(0)

    async def work(self) -> None:
        """One worker: ask and record until nothing is pending."""
        for request in self._pending:
            if self.run.ending or self._gone:
                return
            attempts = _Attempts(self.model, request, self._estimate.of(request))
            try:
                await self._answer(attempts)
            except Stopped:
                self.run.state.charge(request.id, attempts.count, attempts.cost)
                return
            except ModelGone as error:
                self.run.state.charge(request.id, attempts.count, attempts.cost)
                self._drop(error.reason)
                return
            except Exception as error:  # whatever it is, the other models go on
                self.run.state.charge(request.id, attempts.count, attempts.cost)
                self._drop(f"unexpected {type(error).__name__}: {shortened(str(error))}")
                return
            await self.run.keep(attempts.outcome(), self.model)
            if self._rejected >= REJECTED_IN_A_ROW:
                self._drop(
                    f"{self._rejected} requests in a row were rejected, the last one: {attempts.reason}"
                )

    def _drop(self, reason: str) -> None:
        """Ask the model no more in this run."""
        if not self._gone:
            self._gone = True
            self.run.report.stopped[self.model.name] = reason

    async def _answer(self, attempts: _Attempts) -> None:
        """Try until there is an answer, or a reason why there is none."""
        from tenacity import AsyncRetrying, retry_if_exception_type

        retrying = AsyncRetrying(
            stop=lambda _: attempts.are_enough,
            wait=self._wait_s,
            retry=retry_if_exception_type(Transient),
            sleep=self.run.sleep,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    await self._once(attempts)
        except (Transient, Permanent) as error:
            attempts.reason = error.reason

    async def _once(self, attempts: _Attempts) -> None:
        """One attempt; under a budget, the model's requests go one by one until the cost of one is known."""
        async with self._breaker.attempt():
            if not self._cost_is_known:
                async with self._first:
                    if not self._cost_is_known:
                        return await self._send(attempts)
            await self._send(attempts)

    async def _send(self, attempts: _Attempts) -> None:
        """Each attempt needs money of its own: the one before may have been billed for nothing."""
        await self._request_rate.turn()
        await self._token_rate.turn(attempts.estimate.total)
        reserved = attempts.estimated_cost * self._cost_ratio
        if self.run.ending:
            raise Stopped
        if not self.run.budget.reserve(reserved):
            self.run.out_of_money()
            raise Stopped
        paid_before = attempts.cost
        attempts.count += 1
        try:
            attempts.succeeded(await self._endpoint.ask(attempts.request))
        except RequestFailed as error:
            attempts.failed(error)
            self._learn(error)
            raise
        finally:
            paid = attempts.cost - paid_before
            self.run.budget.settle(reserved, paid)
            self._learn_cost(paid, attempts.estimated_cost)
        self._breaker.succeeded()
        self._busy = self._rejected = 0

    def _learn_cost(self, paid: float, estimated: float) -> None:
        if paid:
            self._cost_is_known = True
            self._cost_ratio = max(self._cost_ratio, paid / estimated)

    def _learn(self, error: RequestFailed) -> None:
        """Slow all workers down, or count towards dropping the model, as the failure suggests."""
        if isinstance(error, Permanent):
            self._rejected = 0 if error.charged or error.about_question else self._rejected + 1
            if error.charged:
                self._breaker.succeeded()
            return
        if error.retry_after_s is not None and error.retry_after_s > LONGEST_RETRY_AFTER_S:
            raise ModelGone(f"{error.reason} (asks to wait {error.retry_after_s / 60:.0f} min)")
        if error.busy:
            self._busy += 1
            if self._busy >= _BUSY_IN_A_ROW:
                self._request_rate.pause(error.retry_after_s or self.model.backoff_s)
        elif not isinstance(error, ModelGone):
            self._breaker.failed(error.reason)

    def _wait_s(self, attempt: RetryCallState) -> float:
        """Exponential backoff, its upper half random, and never less than the endpoint asked for."""
        error = attempt.outcome.exception() if attempt.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, RequestFailed) else None
        longest_s = min(self.model.backoff_s * 2 ** (attempt.attempt_number - 1), MAX_WAIT_S)
        own_s = longest_s * self._random.uniform(0.5, 1.0)
        return asked_s + self._random.uniform(0, 0.1) * longest_s if asked_s else own_s


class _Attempts:
    """The attempts at one request: how many, what they cost and how they ended."""

    def __init__(self, model: ModelEntry, request: Request, estimate: Tokens) -> None:
        self.model, self.request, self.estimate = model, request, estimate
        self.estimated_cost = model.cost(estimate.prompt, estimate.completion)
        self.count = self.prompt_tokens = self.completion_tokens = 0
        self._unclear = self._paid = 0
        self.cost = 0.0
        self.reason = ""
        self._reply: Reply | None = None

    def succeeded(self, reply: Reply) -> None:
        """The answer came."""
        self._reply = reply
        self._pay(reply)

    def failed(self, error: RequestFailed) -> None:
        """An attempt failed; what may have been billed counts as paid."""
        self._unclear += isinstance(error, Unclear)
        self._paid += error.charged
        if error.charged:
            self._pay(error.reply)

    @property
    def are_enough(self) -> bool:
        """Whether no further attempt is worth making."""
        return self.count >= self.model.attempts or self._unclear >= MAX_UNCLEAR or self._paid >= MAX_PAID

    def _pay(self, reply: Reply | None) -> None:
        if reply is None or reply.prompt_tokens is None or reply.completion_tokens is None:
            self.cost += self.estimated_cost
            return
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.cost += self.model.cost(reply.prompt_tokens, reply.completion_tokens)

    def outcome(self) -> Outcome:
        """What is to be recorded."""
        reply = self._reply or Reply("", "")
        return Outcome(
            self.request.id,
            reply.answer,
            reply.finish,
            self.reason,
            self.count,
            self.prompt_tokens,
            self.completion_tokens,
            self.cost,
            reply.reasoning,
        )
