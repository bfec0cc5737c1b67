"""Long runs on stderr: a bar on a terminal, a line every 30 s elsewhere, and a clean end on a signal."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from univar.cli.common import Output, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typing_extensions import Self

    from univar.answers.inputs import Reading
    from univar.bulk import EmbedReport
    from univar.elicit.run import ElicitReport

LINE_EVERY_S = 30.0
FIRST_LINE_S = 2.0
REJECTED_SHOWN = 20


def stop_on_signals() -> threading.Event:
    """An event that SIGINT or SIGTERM sets, which ends waiting for input too; a second signal kills."""
    from univar.answers.inputs import stopping

    stop = stopping
    stop.clear()

    def handle(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    return stop


class Reporter:
    """A bar on a terminal, a line every 30 s elsewhere, nothing with --quiet."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last_line = time.monotonic()
        self._bar = None if output.quiet or not sys.stderr.isatty() else self._make_bar()

    def _make_bar(self) -> Progress:
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _note_if_due(self, line: Callable[[], str]) -> None:
        if time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._output.note(line())


def line_bar(title: str, total: float | None) -> tuple[Progress, TaskID]:
    """A bar between its title and a line of text, and its one task."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn(title), BarColumn(), TextColumn("{task.description}", markup=False))
    bar = Progress(*columns, console=Console(stderr=True))
    return bar, bar.add_task("", total=total)


class ProgressReporter(Reporter):
    """Shows rows/s, tokens/s and the time left while the engine runs."""

    def __init__(self, inputs: Sequence[str], reading: Reading, output: Output) -> None:
        from univar.answers import estimate_rows

        self._total = None if output.quiet else estimate_rows(inputs, reading)
        self._rejected = 0
        super().__init__(output)

    def _make_bar(self) -> Progress:
        bar, self._task = line_bar("embedding", self._total)
        return bar

    def rejected(self, sentence: str) -> None:
        """Name a rejected row; after the first few only the count goes on."""
        self._rejected += 1
        if self._rejected <= REJECTED_SHOWN:
            self._output.note(f"rejected: {sentence}")
        elif self._rejected == REJECTED_SHOWN + 1:
            self._output.note("rejected: more rows, all listed in the store's rejected.jsonl")

    def update(self, report: EmbedReport) -> None:
        """Take the running report in."""
        if self._bar is not None:
            self._bar.update(self._task, completed=report.encoded, description=self._line(report))
        else:
            self._note_if_due(lambda: self._line(report))

    def _line(self, report: EmbedReport) -> str:
        seconds = max(report.seconds, 1e-9)
        of_total = f" of about {self._total:,}" if self._total else ""
        settled = report.already_stored + report.duplicate + report.rejected + report.other_workers
        left = ""
        if self._total and report.encoded:
            remaining = max(self._total - settled - report.encoded, 0)
            left = f", about {duration(remaining * seconds / report.encoded)} left"
        return (
            f"{settled + report.encoded:,}{of_total} rows, {report.encoded / seconds:.0f} rows/s, "
            f"{report.tokens / seconds:,.0f} tokens/s{left}"
        )


class ElicitProgress(Reporter):
    """Shows each model's progress while `elicit` runs. pending: requests of each model in this run."""

    def __init__(self, pending: dict[str, int], output: Output) -> None:
        self._pending, self._began = pending, time.monotonic()
        super().__init__(output)

    def _make_bar(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True))
        self._tasks = {
            model: bar.add_task(printable(model), total=count) for model, count in self._pending.items()
        }
        return bar

    def update(self, report: ElicitReport) -> None:
        """Show the running report."""
        if self._bar is not None:
            for model, count in report.by_model.items():
                self._bar.update(self._tasks[model], completed=count)
        else:
            self._note_if_due(lambda: self._line(report))

    def _line(self, report: ElicitReport) -> str:
        seconds = time.monotonic() - self._began
        finished, total = report.answered + report.failed, sum(self._pending.values())
        models = ", ".join(
            f"{model} {report.by_model.get(model, 0):,}/{count:,}" for model, count in self._pending.items()
        )
        left = duration((total - finished) * seconds / finished) if finished else "unknown time"
        return f"{finished:,} of {total:,} ({report.failed:,} failed), about {left} left: {models}"


class Waiting:
    """Tells on stderr that a step without steps of its own goes on: after 2 s, then every 30 s."""

    def __init__(self, what: str, output: Output) -> None:
        self._what, self._output = what, output
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        began, pause = time.monotonic(), FIRST_LINE_S
        while not self._over.wait(pause):
            self._output.note(f"{self._what}: {duration(time.monotonic() - began)} so far")
            pause = LINE_EVERY_S


def duration(seconds: float) -> str:
    """`seconds` for people: 42 s, 3 min, 2 h 5 min."""
    minutes, hours = round(seconds / 60), int(seconds // 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if hours == 0 else f"{hours} h {minutes - 60 * hours} min"
