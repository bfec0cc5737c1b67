"""Asking one remote model: its workers, and how each request is tried until it has an answer or a reason."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from univar.elicit.endpoint import Endpoint
from univar.elicit.limits import CircuitBreaker, RateLimiter
from univar.elicit.plan import Tokens, estimate_for
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
)

if TYPE_CHECKING:
    import aiohttp
    from tenacity import RetryCallState

    from univar.elicit.run import ElicitRun

MAX_WAIT_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0
"""An endpoint that asks to wait longer is dropped for this run."""

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
        self._gone = False
        self._busy = 0
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
                self._gone = True
                self.run.report.stopped[self.model.name] = error.reason
                return
            await self.run.keep(attempts.outcome(), self.model)

    async def _answer(self, attempts: _Attempts) -> None:
        """Try until there is an answer, or a reason why there is none."""
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.model.attempts),
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
        """One attempt. Each needs money of its own: the one before may have been billed for nothing."""
        async with self._breaker.attempt():
            await self._request_rate.turn()
            await self._token_rate.turn(attempts.estimate.total)
            if not self.run.budget.reserve(attempts.estimated_cost):
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
                self.run.budget.settle(attempts.estimated_cost, attempts.cost - paid_before)
            self._breaker.succeeded()
            self._busy = 0

    def _learn(self, error: RequestFailed) -> None:
        """Slow all workers down, or count towards dropping the model, as the failure suggests."""
        if isinstance(error, Permanent) and error.charged:
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
        return own_s if asked_s is None else asked_s + self._random.uniform(0, 0.1) * longest_s


class _Attempts:
    """The attempts at one request: how many, what they cost and how they ended."""

    def __init__(self, model: ModelEntry, request: Request, estimate: Tokens) -> None:
        self.model, self.request, self.estimate = model, request, estimate
        self.estimated_cost = model.cost(estimate.prompt, estimate.completion)
        self.count = self.prompt_tokens = self.completion_tokens = 0
        self.cost = 0.0
        self.reason = ""
        self._reply: Reply | None = None

    def succeeded(self, reply: Reply) -> None:
        """The answer came."""
        self._reply = reply
        self._pay(reply)

    def failed(self, error: RequestFailed) -> None:
        """An attempt failed; what may have been billed counts as paid."""
        if error.charged:
            self._pay(error.reply)

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
        tokens = (self.prompt_tokens, self.completion_tokens)
        return Outcome(
            self.request.id, reply.answer, reply.finish, self.reason, self.count, *tokens, self.cost
        )
