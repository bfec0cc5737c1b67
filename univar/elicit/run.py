"""Asking everything of a plan: workers, limits, retries, money, and one transaction for many answers."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from univar.elicit.asks import Ask, AskFailed, ModelGone, Outcome, Permanent, Reply, Transient
from univar.elicit.endpoint import Endpoint
from univar.elicit.gguf import served
from univar.elicit.limits import Breaker, Pace
from univar.elicit.local import LocalModel, load_local
from univar.elicit.models import Model
from univar.elicit.plan import estimate_for
from univar.elicit.state import Source, State
from univar.elicit.tokens import Tokens
from univar.errors import UsageError

if TYPE_CHECKING:
    import aiohttp
    from tenacity import RetryCallState

MAX_WAIT_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0
"""An endpoint that asks to wait longer is given up for this run."""

GATHER_S = 0.004
"""Answers that come within this time share a transaction."""

_BUSY_IN_A_ROW = 3


@dataclass
class RunReport:
    """What one run did. stopped: models that were given up, with the reason; over_budget: --max-cost was
    reached.
    """

    answered: int = 0
    failed: int = 0
    attempts: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    stopped: dict[str, str] = field(default_factory=dict)
    over_budget: bool = False
    by_model: dict[str, int] = field(default_factory=dict)


OnProgress = Callable[[RunReport], None]


class _Stopped(Exception):
    """The run ends before this request could have an answer."""


class Budget:
    """Money: what is spent, and what the requests in flight will probably cost."""

    def __init__(self, spent: float, limit: float | None) -> None:
        self._spent, self._limit, self._in_flight = spent, limit, 0.0

    def reserve(self, cost: float) -> bool:
        """Whether a request of about this cost may start."""
        if self._limit is not None and self._spent + self._in_flight + cost > self._limit:
            return False
        self._in_flight += cost
        return True

    def settle(self, reserved: float, cost: float) -> None:
        """A request ended that had `reserved` so much."""
        self._in_flight -= reserved
        self._spent += cost


class Run:
    """One run over the pending asks of `sources`.

    stop: ends the run when set, after the requests in flight; limit: ask at most so many of each model.
    """

    def __init__(
        self,
        state: State,
        sources: list[Source],
        *,
        stop: threading.Event | None = None,
        max_cost: float | None = None,
        max_connections: int = 64,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.state, self.report = state, RunReport()
        self.stop = stop or threading.Event()
        self.budget = Budget(state.spent(), max_cost)
        self.limit = limit
        self._max_connections = max_connections
        self._on_progress = on_progress
        self._waiting: list[tuple[Outcome, asyncio.Future[None]]] = []
        self._by_model: dict[Model, list[Source]] = {}
        for source in sources:
            self._by_model.setdefault(source.model, []).append(source)

    def run(self) -> RunReport:
        """Ask until nothing is pending, the budget is used up, or `stop` is set."""
        try:
            import aiohttp  # noqa: F401
            import tenacity  # noqa: F401
        except ImportError as error:
            raise UsageError(f"asking needs {error.name}: pip install 'univar-embed[elicit]'") from None
        began = time.monotonic()
        asyncio.run(self._all())
        self.report.seconds = time.monotonic() - began
        return self.report

    async def _all(self) -> None:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=self._max_connections)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        ) as session:
            self._ending = asyncio.Event()
            watcher = asyncio.create_task(self._watch())
            paces: dict[tuple[str, str], tuple[Pace, Pace]] = {}
            remote = [
                worker
                for model, sources in self._by_model.items()
                if not model.local
                for worker in self._workers(_Lane(self, model, sources, session, paces))
            ]
            try:
                await asyncio.gather(*remote, self._local_models(session))
            finally:
                watcher.cancel()

    def _workers(self, lane: _Lane) -> list[asyncio.Task[None]]:
        count = min(lane.model.concurrency, self._max_connections)
        return [asyncio.create_task(lane.work()) for _ in range(count)]

    async def _local_models(self, session: aiohttp.ClientSession) -> None:
        """One model after the other: each wants all of the machine."""
        for model, sources in self._by_model.items():
            if not model.local or self.ending or self.idle(sources):
                continue
            if model.api == "gguf":
                with ExitStack() as stack:
                    endpoint = await asyncio.to_thread(stack.enter_context, served(model))
                    await asyncio.gather(*self._workers(_Lane(self, endpoint, sources, session, {})))
            else:
                await _ask_local(self, model, sources)

    def idle(self, sources: list[Source]) -> bool:
        """Whether nothing is pending for `sources`."""
        return next(self.state.pending(sources, 1), None) is None

    async def _watch(self) -> None:
        """Carry `stop`, which a signal may set, over to the tasks that sleep."""
        while not self.stop.is_set():
            await asyncio.sleep(0.1)
        self._ending.set()

    @property
    def ending(self) -> bool:
        """Whether no further request may start."""
        return self._ending.is_set() or self.stop.is_set()

    def out_of_money(self) -> None:
        """End the run because the budget is used up."""
        self.report.over_budget = True
        self._ending.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the run. Raises _Stopped there."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except asyncio.TimeoutError:
            return
        raise _Stopped

    async def keep(self, outcome: Outcome, model: Model) -> None:
        """Record an outcome; returns when it is in the file."""
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[None] = loop.create_future()
        self._waiting.append((outcome, kept))
        if len(self._waiting) == 1:
            loop.call_later(GATHER_S, self._record)
        await kept
        self.count(outcome, model)

    def count(self, outcome: Outcome, model: Model) -> None:
        """Add an outcome to the report and tell of it."""
        report = self.report
        report.failed += bool(outcome.reason)
        report.answered += not outcome.reason
        report.attempts += outcome.attempts
        report.cost += outcome.cost
        report.by_model[model.name] = report.by_model.get(model.name, 0) + 1
        if self._on_progress is not None:
            self._on_progress(report)

    def _record(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            self.state.record(outcome for outcome, _ in waiting)
        except Exception as error:
            for _, kept in waiting:
                kept.set_exception(error)
            return
        for _, kept in waiting:
            kept.set_result(None)


class _Lane:
    """All that the workers of one remote model share."""

    def __init__(
        self,
        run: Run,
        model: Model,
        sources: list[Source],
        session: aiohttp.ClientSession,
        paces: dict[tuple[str, str], tuple[Pace, Pace]],
    ) -> None:
        self.run, self.model = run, model
        self._endpoint = Endpoint(model, session)
        now = asyncio.get_running_loop().time
        self._requests, self._tokens = paces.setdefault(
            (model.url, model.key.reveal() if model.key else ""),
            (Pace(model.requests_per_minute, run.sleep, now), Pace(model.tokens_per_minute, run.sleep, now)),
        )
        self._breaker = Breaker(2 * model.concurrency + 8, run.sleep)
        self._asks: Iterator[Ask] = run.state.pending(sources, run.limit)
        self._estimate = estimate_for(run.state, model, sources)
        self._gone = ""
        self._busy = 0
        self._random = random.Random(0)

    async def work(self) -> None:
        """One worker: ask, keep, and so on until nothing is left."""
        for ask in self._asks:
            if self.run.ending or self._gone:
                return
            trial = _Trial(self.model, ask, self._estimate.of(ask))
            try:
                await self._answer(trial)
            except _Stopped:
                self.run.state.charge(ask.id, trial.attempts, trial.cost)
                return
            except ModelGone as error:
                self.run.state.charge(ask.id, trial.attempts, trial.cost)
                self._gone = error.reason
                self.run.report.stopped[self.model.name] = error.reason
                return
            await self.run.keep(trial.outcome(), self.model)

    async def _answer(self, trial: _Trial) -> None:
        """Try until there is an answer or a reason why there is none."""
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
                    await self._once(trial)
        except (Transient, Permanent) as error:
            trial.reason = error.reason

    async def _once(self, trial: _Trial) -> None:
        """One attempt, which needs money of its own: the one before may have been paid for nothing."""
        async with self._breaker.attempt():
            await self._requests.turn()
            await self._tokens.turn(trial.estimate.total)
            if not self.run.budget.reserve(trial.estimated_cost):
                self.run.out_of_money()
                raise _Stopped
            paid_before = trial.cost
            trial.attempts += 1
            try:
                trial.answer(await self._endpoint.ask(trial.ask))
            except AskFailed as error:
                trial.note(error)
                self._learn(error)
                raise
            finally:
                self.run.budget.settle(trial.estimated_cost, trial.cost - paid_before)
            self._breaker.succeeded()
            self._busy = 0

    def _learn(self, error: AskFailed) -> None:
        """Slow all workers down, or count towards giving the model up, as the failure suggests."""
        if isinstance(error, Permanent) and error.charged:
            self._breaker.succeeded()
            return
        if error.retry_after_s is not None and error.retry_after_s > LONGEST_RETRY_AFTER_S:
            raise ModelGone(f"{error.reason} (asks to come back in {error.retry_after_s / 60:.0f} min)")
        if error.busy:
            self._busy += 1
            if self._busy >= _BUSY_IN_A_ROW:
                self._requests.pause(error.retry_after_s or self.model.backoff_s)
        elif not isinstance(error, ModelGone):
            self._breaker.failed(error.reason)

    def _wait_s(self, attempt: RetryCallState) -> float:
        """Exponential with full jitter on the upper half, and never less than the endpoint asked for."""
        error = attempt.outcome.exception() if attempt.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, AskFailed) else None
        longest_s = min(self.model.backoff_s * 2 ** (attempt.attempt_number - 1), MAX_WAIT_S)
        own_s = longest_s * self._random.uniform(0.5, 1.0)
        return own_s if asked_s is None else asked_s + self._random.uniform(0, 0.1) * longest_s


class _Trial:
    """The attempts at one ask: what they cost and how they ended."""

    def __init__(self, model: Model, ask: Ask, estimate: Tokens) -> None:
        self.model, self.ask, self.estimate = model, ask, estimate
        self.estimated_cost = model.cost(estimate.prompt, estimate.completion)
        self.attempts = self.prompt_tokens = self.completion_tokens = 0
        self.cost = 0.0
        self.reason = ""
        self._reply: Reply | None = None

    def answer(self, reply: Reply) -> None:
        """The answer came."""
        self._reply = reply
        self._pay(reply)

    def note(self, error: AskFailed) -> None:
        """An attempt failed: what may have been paid for is counted as paid."""
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
            self.ask.id, reply.answer, reply.finish, self.reason, self.attempts, *tokens, self.cost
        )


async def _ask_local(run: Run, model: Model, sources: list[Source]) -> None:
    """Let a model in this process answer, batch by batch; the state is written between them."""
    local: LocalModel = await asyncio.to_thread(load_local, model)
    try:
        asks = run.state.pending(sources, run.limit)
        while not run.ending and (batch := list(islice(asks, local.batch_size))):
            outcomes = await asyncio.to_thread(_answers, local, batch)
            run.state.record(outcomes)
            for outcome in outcomes:
                run.count(outcome, model)
    finally:
        await asyncio.to_thread(local.close)


def _answers(local: LocalModel, batch: list[Ask]) -> list[Outcome]:
    outcomes = []
    for ask, reply in zip(batch, local.answer(batch), strict=True):
        reason = "" if reply.answer else "the answer is empty"
        tokens = (reply.prompt_tokens or 0, reply.completion_tokens or 0)
        outcomes.append(Outcome(ask.id, reply.answer, reply.finish, reason, 1, *tokens, 0.0))
    return outcomes
