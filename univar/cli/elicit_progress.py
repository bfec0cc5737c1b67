"""Progress of `univar elicit` on stderr: a bar for each model on a terminal, a line every 30 s elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from univar.cli.output import Output, printable
from univar.cli.progress import Reporter, duration

if TYPE_CHECKING:
    from rich.progress import Progress

    from univar.elicit.run import RunReport


class ElicitProgress(Reporter):
    """Shows how far each model is. pending: what each model has to answer in this run."""

    def __init__(self, pending: dict[str, int], output: Output) -> None:
        self._pending, self._began = pending, time.monotonic()
        super().__init__(output)

    def _make_bar(self) -> Progress:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks = {
            model: bar.add_task(escape(printable(model)), total=count)
            for model, count in self._pending.items()
        }
        return bar

    def update(self, report: RunReport) -> None:
        """Take the running report in."""
        if self._bar is not None:
            for model, count in report.by_model.items():
                self._bar.update(self._tasks[model], completed=count)
        else:
            self._note_if_due(lambda: self._line(report))

    def _line(self, report: RunReport) -> str:
        seconds = time.monotonic() - self._began
        finished, total = report.answered + report.failed, sum(self._pending.values())
        models = ", ".join(
            f"{printable(model)} {report.by_model.get(model, 0):,}/{count:,}"
            for model, count in self._pending.items()
        )
        left = duration((total - finished) * seconds / finished) if finished else "unknown time"
        return f"{finished:,} of {total:,} ({report.failed:,} failed), about {left} left: {models}"
