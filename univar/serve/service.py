"""What the endpoints share: the engine, the limits, the store."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from univar.encoder.reading import WHOLE, ReadOptions
from univar.serve.judging import Verdicts
from univar.serve.places import Places
from univar.serve.replies import Rejection
from univar.serve.waiting import answer_of
from univar.serve.work import EngineFault

if TYPE_CHECKING:
    from starlette.requests import Request

    from univar.serve.engine import Engine
    from univar.serve.metrics import Metrics
    from univar.serve.settings import ServeSettings
    from univar.serve.work import Embedded
    from univar.store import Store

logger = logging.getLogger("univar.serve")

T = TypeVar("T")

BUSY_SHARE = 0.5
"""Share of a request's time that may be filled with what waits already; else it is refused at once."""

JUDGES = 2
"""Verdicts that are worked out at once."""


class Service:
    """What the endpoints share.

    store:    what answers are attributed by, if there is one
    read:     how answers are read: as the store's were
    draining: the server ends: it answers what it has, and the sign of life says so
    """

    def __init__(
        self, engine: Engine, settings: ServeSettings, metrics: Metrics, store: Store | None = None
    ) -> None:
        self.engine, self.settings, self.metrics, self.store = engine, settings, metrics, store
        self.places = None if store is None else Places(store)
        self.verdicts = None if store is None else Verdicts(store)
        self.read = WHOLE if store is None else ReadOptions.from_text_format(store.text_format)
        self.draining = False
        self._judges = asyncio.Semaphore(JUDGES)
        metrics.watch(engine)

    def retry_after_s(self) -> int:
        """Seconds in which the work of now is about done."""
        return min(60, max(1, math.ceil(self.engine.seconds_of_work())))

    async def embed(
        self,
        request: Request,
        questions: list[str],
        answers: list[str],
        read: ReadOptions,
        *,
        may_cut: bool,
    ) -> Embedded:
        """Embeddings of one request's answers. may_cut: answers that are too long are read in part."""
        self.check_count(len(answers))
        self.check_busy()  # again: what came while the body was read
        try:
            job = self.engine.submit(questions, answers, read)
        except EngineFault as fault:
            raise self.unavailable(str(fault)) from None
        embedded = await answer_of(job.future, request, self.settings.request_timeout_s, self.retry_after_s())
        if embedded.cut and not may_cut:
            row = embedded.cut[0]
            raise Rejection(
                413,
                f"text {row} (counted from 0) has {embedded.answer_tokens[row]:,} tokens, of which "
                f"{embedded.read[row]:,} are read: shorten it, or start the server with --auto-truncate",
            )
        self.metrics.texts.inc(len(answers))
        self.metrics.cut.inc(len(embedded.cut))
        return embedded

    async def judge(self, work: Callable[[], T]) -> T:
        """Do what takes some CPU time in a thread, a few at once."""

        async def in_turn() -> T:
            async with self._judges:
                return await asyncio.to_thread(work)

        try:
            return await asyncio.wait_for(in_turn(), self.settings.request_timeout_s)
        except asyncio.TimeoutError:
            raise self.unavailable("no answer in time: ask again later") from None

    def warm(self) -> None:
        """Load what the first verdict and the first map need; what cannot be loaded is told."""
        if self.verdicts is None or self.places is None or self.verdicts.missing() is not None:
            return
        try:
            self.verdicts.warm(self.engine.encoder)
            self.places.of(np.zeros((1, self.engine.encoder.dim), np.float32))
        except Rejection as rejection:
            logger.warning("%s", rejection.message)

    def check_busy(self) -> None:
        """Raises Rejection where what waits takes about as long as a request may."""
        if self.engine.seconds_of_work() > BUSY_SHARE * self.settings.request_timeout_s:
            raise self.unavailable("what waits would take longer than a request may: ask again later")

    def check_count(self, texts: int) -> None:
        """Raises Rejection for more texts than a request may have."""
        most = self.settings.max_client_batch_size
        if texts > most:
            raise Rejection(
                413, f"the request has {texts:,} texts: send at most {most:,} (--max-client-batch-size)"
            )

    def unavailable(self, why: str) -> Rejection:
        """503, with when to ask again."""
        return Rejection(503, why, retry_after_s=self.retry_after_s())
