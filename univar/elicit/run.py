"""One run: every model's workers, and one transaction for many answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from univar.elicit.requests import ModelEntry, Outcome, Respondent
from univar.elicit.state import State
from univar.elicit.workers import Budget, Limiters, ModelWorkers, Stopped
from univar.errors import UsageError

if TYPE_CHECKING:
    import aiohttp

GATHER_S = 0.01
"""Answers that come within this time share a transaction."""


@dataclass
class ElicitReport:
    """What one run did.

    stopped: models that were dropped, with the reason; over_budget: whether the run ended at its max_cost;
    by_model: finished requests of each model.
    """

    answered: int = 0
    failed: int = 0
    attempts: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    stopped: dict[str, str] = field(default_factory=dict)
    over_budget: bool = False
    by_model: dict[str, int] = field(default_factory=dict)


OnProgress = Callable[[ElicitReport], None]


class ElicitRun:
    """One run over the pending requests of `respondents`.

    stop: ends the run when set, after the requests in flight; limit: the most requests of each model.
    """

    def __init__(
        self,
        state: State,
        respondents: list[Respondent],
        *,
        stop: threading.Event | None = None,
        max_cost: float | None = None,
        max_connections: int = 64,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.state, self.report = state, ElicitReport()
        self.stop = stop or threading.Event()
        self.budget = Budget(state.spent(), max_cost)
        self.limit = limit
        self._max_connections = max_connections
        self._on_progress = on_progress
        self._waiting: list[tuple[Outcome, asyncio.Future[None]]] = []
        self._by_model: dict[ModelEntry, list[Respondent]] = {}
        for respondent in respondents:
            self._by_model.setdefault(respondent.model, []).append(respondent)

    def run(self) -> ElicitReport:
        """Ask until nothing is pending, the budget is used up, or `stop` is set."""
        try:
            import aiohttp  # noqa: F401
            import tenacity  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"asking models needs the package {error.name}: pip install 'univar-embed[elicit]'"
            ) from None
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
            limiters: Limiters = {}
            remote = [
                worker
                for model, respondents in self._by_model.items()
                if not model.local
                for worker in self._start(ModelWorkers(self, model, respondents, session, limiters))
            ]
            try:
                await asyncio.gather(*remote, self._local_models(session))
            finally:
                watcher.cancel()

    def _start(self, workers: ModelWorkers) -> list[asyncio.Task[None]]:
        count = min(workers.model.concurrency, self._max_connections)
        return [asyncio.create_task(workers.work()) for _ in range(count)]

    async def _local_models(self, session: aiohttp.ClientSession) -> None:
        """One model after the other: each needs the whole machine."""
        for model, respondents in self._by_model.items():
            if not model.local or self.ending or self._is_idle(respondents):
                continue
            if model.api == "gguf":
                from univar.elicit.gguf import served

                with ExitStack() as stack:
                    endpoint = await asyncio.to_thread(stack.enter_context, served(model))
                    await asyncio.gather(*self._start(ModelWorkers(self, endpoint, respondents, session, {})))
            else:
                from univar.elicit.local import ask_local

                await ask_local(self, model, respondents)

    def _is_idle(self, respondents: list[Respondent]) -> bool:
        return next(self.state.pending(respondents, 1), None) is None

    async def _watch(self) -> None:
        """Pass `stop`, which a signal may set, on to the tasks that sleep."""
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
        """Sleep. Raises Stopped when the run ends meanwhile."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except asyncio.TimeoutError:
            return
        raise Stopped

    async def keep(self, outcome: Outcome, model: ModelEntry) -> None:
        """Record an outcome; returns when it is in the file."""
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[None] = loop.create_future()
        self._waiting.append((outcome, kept))
        if len(self._waiting) == 1:
            loop.call_later(GATHER_S, self._record)
        await kept
        self.count(outcome, model)

    def count(self, outcome: Outcome, model: ModelEntry) -> None:
        """Add an outcome to the report, and report progress."""
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
