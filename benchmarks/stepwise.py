"""A trainer that is stepped from outside: it runs in a thread of its own, and every step waits for a call."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stepwise:
    """Runs `train(on_step)`, which calls on_step(loss) after each step, one step for each `step()`.

    A context manager; on leaving it, steps that are left are run to the end unwatched.
    """

    def __init__(self, train: Callable[[Callable[[float], None]], None]) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._loss = float("nan")
        self._error: BaseException | None = None
        self._free = False
        self._thread = threading.Thread(target=self._run, args=(train,), daemon=True)

    def __enter__(self) -> Stepwise:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._free = True
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
        try:
            train(self._on_step)
            self._error = RuntimeError("the training has ended: give it more steps")
        except BaseException as error:  # raised again where `step` was called
            self._error = error
        self._done.release()

    def _on_step(self, loss: float) -> None:
        self._loss = loss
        if self._free:
            return
        self._done.release()
        self._go.acquire()
