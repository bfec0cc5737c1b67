"""Overlapping work: an iterator that runs ahead in a thread, and a writer in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Done:
    """Marks the end of a queue; carries the exception that ended it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Prefetcher(Generic[T]):
    """Iterates over `items` while a thread already produces the next ones, at most `depth` of them waiting.

    An exception of the producer is raised where the item would have come. `close` stops the producer.
    """

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._queue: queue.Queue[T | _Done] = queue.Queue(maxsize=depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._produce, args=(items,), daemon=True)
        self._thread.start()

    def _produce(self, items: Iterator[T]) -> None:
        end = _Done()
        try:
            for item in items:
                if not self._put(item):
                    return
        except BaseException as error:  # handed over, not swallowed
            end = _Done(error)
        self._put(end)

    def _put(self, item: T | _Done) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, _Done):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Stop producing and drop waiting items; a producer blocked on its own input is abandoned."""
        self._closed.set()
        self._thread.join(timeout=5.0)


class BackgroundWriter(Generic[T]):
    """Calls `consume` on each item in a thread, in order, at most `depth` of them waiting.

    An exception of `consume` is raised by the next `put` or by `close`; later items are then dropped.
    """

    def __init__(self, consume: Callable[[T], None], depth: int) -> None:
        self._consume = consume
        self._queue: queue.Queue[T | _Done] = queue.Queue(maxsize=depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not isinstance(item := self._queue.get(), _Done):
            if self._error is None:
                try:
                    self._consume(item)
                except BaseException as error:  # handed over, not swallowed
                    self._error = error

    def put(self, item: T) -> None:
        """Hand an item over; waits while `depth` items are waiting."""
        self._raise()
        self._queue.put(item)

    def close(self) -> None:
        """Wait until everything handed over is consumed."""
        self._queue.put(_Done())
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
