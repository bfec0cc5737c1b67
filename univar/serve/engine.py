"""One thread that owns the encoder and joins the texts of many requests in batches of tokens.

Requests take turns: a batch takes pieces from the waiting requests, oldest first. One that is not done after
half a batch of its own goes to the back, so that a long text delays the others by two batches at most. What a
cancelled request still has waiting is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from univar.encoder.reading import WHOLE, ReadOptions, RowReader
from univar.encoder.tokenizer import take_texts
from univar.errors import DataError, UnivarError
from univar.serve.work import Embedded, EngineFault, Job, checked

if TYPE_CHECKING:
    from univar.encoder.encoder import Encoder

logger = logging.getLogger("univar.serve")

PROBE = "We should help each other, and keep the promises that we gave."
"""What the engine embeds to see that it still works."""

TELLING_TOKENS = 1_024
"""Tokens from which on a batch tells the encoder's speed: of a few, most of the time is overhead."""

BATCH_S = 2.0
"""Seconds that a batch should take at most."""

_READ_BYTES = 1 << 20
"""Text of several requests that is tokenised at once."""


@dataclass
class Load:
    """What the engine has to do: requests and tokens that wait or are worked on, and tokens done so far."""

    requests: int = 0
    tokens: int = 0
    tokens_done: int = 0
    batches: int = 0
    busy_since: float | None = None
    tokens_per_s: float = 0.0


@dataclass
class _Queues:
    """Jobs that are not yet tokenised, and those that are."""

    inbox: deque[Job] = field(default_factory=deque)
    ready: deque[Job] = field(default_factory=deque)


class Engine:
    """Embeds texts of many callers with one encoder.

    encoder:          used by the engine's thread alone
    max_batch_tokens: tokens that the encoder works on at once
    on_batch:         called with texts and tokens of each batch
    """

    def __init__(
        self,
        encoder: Encoder,
        max_batch_tokens: int = 16_384,
        on_batch: Callable[[int, int], object] = lambda pieces, tokens: None,
    ) -> None:
        self.encoder = encoder
        self.load = Load()
        self.broken = threading.Event()
        self.max_batch_tokens = max(max_batch_tokens, encoder.max_length)  # one piece always fits
        self.on_batch = on_batch
        self._readers: dict[ReadOptions, RowReader] = {}
        self._queues = _Queues()
        self._changed = threading.Condition(threading.RLock())
        self._closing = False
        self._probe = self._probe_vector()
        self._thread = threading.Thread(target=self._run, name="univar-engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        read: ReadOptions = WHOLE,
        *,
        first: bool = False,
    ) -> Job:
        """Ask for the embeddings of answers; `job.future` gets an `Embedded`. Cancel the future to drop it.

        questions, answers: n texts each, an empty question means the answer alone
        first: before all others, for a sign of life
        Raises EngineFault where the engine takes no more.
        """
        job = Job(list(questions), list(answers), read)
        with self._changed:
            if self._closing or self.broken.is_set():
                raise EngineFault("the server is stopping")
            (self._queues.inbox.appendleft if first else self._queues.inbox.append)(job)
            job.is_first = first
            self.load.requests += 1
            self.load.tokens += job.counted
            self._changed.notify()
        return job

    def close(self, timeout_s: float | None = None) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """The thread runs and nothing broke."""
        return self._thread.is_alive() and not self.broken.is_set()

    def seconds_of_work(self) -> float:
        """About how long the engine needs for what waits, by its speed so far; 0 where it is unknown."""
        return self.load.tokens / self.load.tokens_per_s if self.load.tokens_per_s else 0.0

    def _run(self) -> None:
        try:
            self._measure()
            while self._wait():
                self._read_inbox()
                if self._queues.ready:
                    self._run_batch()
        except BaseException:  # a thread that ends silently would leave everyone waiting
            logger.exception("the engine stopped")
            self._break()

    def _measure(self) -> None:
        """Learn the encoder's speed before the first request, so that it is known how many fit."""
        ids, _ = self.encoder.tokenize([PROBE])
        copies = min(TELLING_TOKENS, self.max_batch_tokens) // len(ids)
        began = time.monotonic()
        self.encoder.forward_packed(np.tile(ids, copies), np.arange(copies + 1, dtype=np.int64) * len(ids))
        self.load.tokens_per_s = copies * len(ids) / max(time.monotonic() - began, 1e-6)

    def _wait(self) -> bool:
        """Sleep until there is work; False when there will be none."""
        with self._changed:
            self.load.busy_since = None
            while not (self._queues.inbox or self._queues.ready):
                if self._closing or self.broken.is_set():
                    return False
                self._changed.wait()
            if self.broken.is_set():
                return False
            self.load.busy_since = time.monotonic()
            return True

    def _read_inbox(self) -> None:
        """Tokenise what has come in, the texts of several requests in one call."""
        taken: dict[ReadOptions, list[Job]] = {}
        size = 0
        with self._changed:
            while self._queues.inbox and size < _READ_BYTES:
                job = self._queues.inbox.popleft()
                if job.start():
                    taken.setdefault(job.read, []).append(job)
                    size += job.size
                else:
                    self._leave(job)
        for read, jobs in taken.items():
            try:
                self._read(read, jobs)
            except Exception:  # one text may be at fault: the others are read without it
                for job in jobs:
                    self._read_alone(read, job)

    def _read_alone(self, read: ReadOptions, job: Job) -> None:
        try:
            self._read(read, [job])
        except UnivarError as error:
            self._fail(job, error)
        except Exception as error:
            logger.exception("a request could not be tokenised")
            self._fail(job, EngineFault(f"the texts could not be read ({type(error).__name__})"))

    def _read(self, read: ReadOptions, jobs: list[Job]) -> None:
        reader = self._readers.get(read)
        if reader is None:
            reader = self._readers[read] = RowReader(self.encoder.tokenizer, read)
        questions, answers = (
            pa.array([text for job in jobs for text in texts(job)], pa.large_string())
            for texts in (lambda job: job.questions, lambda job: job.answers)
        )
        pieces = reader.read(questions, answers)
        start = 0
        for job in jobs:
            own = pieces.take(np.arange(start, start + len(job.answers)))
            start += len(job.answers)
            if len(empty := np.flatnonzero(own.per_answer == 0)):
                self._fail(job, DataError(f"text {empty[0]} (counted from 0) has nothing to read: remove it"))
                continue
            with self._changed:
                self.load.tokens += len(own.ids) - job.counted
            job.take_pieces(own, self.encoder.dim)
            (self._queues.ready.appendleft if job.is_first else self._queues.ready.append)(job)

    def _run_batch(self) -> None:
        """Embed a batch of the oldest requests."""
        jobs, ids, cu_seqlens, owner, piece = self._next_batch()
        if not jobs:
            return
        began = time.monotonic()
        try:
            for rows, vectors in self.encoder.forward_batches(ids, cu_seqlens):
                self._hand_out(jobs, owner[rows], piece[rows], vectors)
                if all(job.future.cancelled() for job in jobs):
                    break
        except Exception as error:
            logger.exception("the encoder failed on a batch")
            for job in jobs:
                self._fail(job, EngineFault(f"the encoder failed ({type(error).__name__})"))
            self._test_self()
        self._count(len(owner), len(ids), time.monotonic() - began)
        for job in reversed(jobs):
            if job.is_done or job.future.cancelled():
                self._leave(job)
            elif job.in_turn < self._room() // 2:  # it only met the end of a batch: its turn goes on
                self._queues.ready.appendleft(job)
            else:
                job.in_turn = 0
                self._queues.ready.append(job)

    def _next_batch(self) -> tuple[list[Job], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Requests (J), packed texts, and of each text the place of its request and its piece there."""
        room = self._room()
        jobs: list[Job] = []
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        pieces: list[np.ndarray] = []
        ready = self._queues.ready
        while ready and room > 0:
            job = ready.popleft()
            if job.future.cancelled():
                self._leave(job)
                continue
            taken = job.next_pieces(room)
            if not len(taken):  # the rest of the room is too small for its next piece
                ready.appendleft(job)
                break
            part = take_texts(job.ids, job.cu_seqlens, taken)
            room -= len(part[0])
            job.in_turn += len(part[0])
            jobs.append(job)
            parts.append(part)
            pieces.append(taken)
        if not jobs:
            nothing = np.zeros(0, np.int64)
            return [], nothing, nothing, nothing, nothing
        ids = np.concatenate([part[0] for part in parts])
        lengths = np.concatenate([np.diff(part[1]) for part in parts])
        cu_seqlens = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        owner = np.repeat(np.arange(len(jobs)), [len(taken) for taken in pieces])
        return jobs, ids, cu_seqlens, owner, np.concatenate(pieces)

    def _room(self) -> int:
        """Tokens of the next batch: on a slow machine no more than BATCH_S, so that nobody waits long."""
        if not self.load.tokens_per_s:
            return self.max_batch_tokens
        in_time = max(int(self.load.tokens_per_s * BATCH_S), self.encoder.max_length)
        return min(self.max_batch_tokens, in_time)

    def _hand_out(self, jobs: list[Job], owner: np.ndarray, piece: np.ndarray, vectors: np.ndarray) -> None:
        """Give each request the vectors of its pieces, and answer those that have all."""
        for place in np.unique(owner).tolist():
            job = jobs[place]
            mine = owner == place
            job.vectors[piece[mine]] = vectors[mine]
            job.missing -= int(mine.sum())
            if job.missing == 0 and not job.future.done():
                self._answer(job)

    def _answer(self, job: Job) -> None:
        try:
            vectors = checked(self.encoder.pool(job.pieces, job.vectors))
        except EngineFault as fault:
            logger.error("%s", fault)
            self._fail(job, fault)
            self._test_self()
            return
        pieces = job.pieces
        job.finish(Embedded(vectors, len(pieces.ids), pieces.answer_tokens, pieces.read))

    def _count(self, pieces: int, tokens: int, seconds: float) -> None:
        load = self.load
        load.tokens_done += tokens
        load.batches += 1
        if tokens >= min(TELLING_TOKENS, self.max_batch_tokens // 4):
            speed = tokens / max(seconds, 1e-6)
            load.tokens_per_s = 0.8 * load.tokens_per_s + 0.2 * speed if load.tokens_per_s else speed
        self.on_batch(pieces, tokens)

    def _leave(self, job: Job) -> None:
        with self._changed:
            self.load.requests -= 1
            self.load.tokens -= job.counted

    def _fail(self, job: Job, error: Exception) -> None:
        if not job.has_pieces:  # else it leaves with its batch
            self._leave(job)
        job.fail(error)

    def _probe_vector(self) -> np.ndarray:
        """(dim,) float32 of PROBE. Raises EngineFault for an encoder that gives no unit vector."""
        vector: np.ndarray = checked(self.encoder.encode_qa([""], [PROBE]))[0]
        return vector

    def _test_self(self) -> None:
        """Embed PROBE again; where that fails or gives another vector, nothing is answered any more."""
        try:
            close = float(self._probe_vector() @ self._probe) > 0.999
        except Exception:
            logger.exception("the encoder fails on a short text")
            close = False
        if not close:
            logger.critical("the encoder is broken: the server ends")
            self._break()

    def _break(self) -> None:
        with self._changed:
            self.broken.set()
            waiting: list[Any] = [*self._queues.inbox, *self._queues.ready]
            self._queues = _Queues()
            self._changed.notify_all()
        for job in waiting:
            job.fail(EngineFault("the encoder is broken"))
