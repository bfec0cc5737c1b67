"""A trainer that is stepped from outside: it runs in a thread of its own, and every step waits for a call."""

from __future__ import annotations

import threading
from collections.abc import Callable


class _BrokenOff(Exception):
    """Raised inside the trainer to end it."""


class Stepwise:
    """Runs `train(on_step)`, which calls on_step(loss) after each step, one step for each `step()`.

    A context manager; on leaving it the training is broken off after the step that it is in.
    """

    def __init__(self, train: Callable[[Callable[[float], None]], None]) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._loss = float("nan")
        self._error: BaseException | None = None
        self._left = False
        self._thread = threading.Thread(target=self._run, args=(train,), daemon=True)

    def __enter__(self) -> Stepwise:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._left = True
        self._go.release()
        self._thread.join()

    def step(self) -> float:
        """Run until the end of the next step; returns its loss."""
        self._go.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._loss

    def _run(self, train: Callable[[Callable[[float], None]], None]) -> None:
        self._go.acquire()
        if self._left:
            return
        try:
            train(self._on_step)
            self._error = RuntimeError("the training has ended: give it more steps")
        except _BrokenOff:
            return
        except BaseException as error:  # raised again where `step` was called
            self._error = error
        self._done.release()

    def _on_step(self, loss: float) -> None:
        self._loss = loss
        self._done.release()
        self._go.acquire()
        if self._left:
            raise _BrokenOff
