"""`univar train --task values` and `--task distil`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from univar.cli.common import Output
from univar.cli.progress import Reporter, duration, line_bar, stop_on_signals
from univar.errors import EXIT_INTERRUPTED, UsageError
from univar.files import read_toml
from univar.train.values.settings import ValueSettings

if TYPE_CHECKING:
    from rich.progress import Progress

    from univar.train.values.loop import Progress as Run

_OF_BOTH = ("base", "epochs", "batch", "max_length", "learning_rate", "seed")
"""Options of `univar train` that these tasks know too; all else is given by --recipe and --set."""

_OF_CALL = ("device", "threads", "checkpoint_every", "resume", "force")


def train_values(
    task: str,
    inputs: tuple[str, ...],
    out: str,
    teacher: str | None,
    labels: str | None,
    recipe: str | None,
    changes: Mapping[str, Any],
    values: Mapping[str, Any],
    output: Output,
) -> None:
    """Run the task and print its report. values: the options of `univar train` that were given."""
    from univar.train.values.run import RunOptions, distil
    from univar.train.values.run import train_values as by_labels

    settings = _settings(recipe, changes, values, teacher)
    with _Reporter(output) as reporter:
        options = RunOptions(
            **{name: values[name] for name in _OF_CALL if values.get(name) is not None},
            on_progress=reporter.update,
            should_stop=stop_on_signals().is_set,
        )
        if task == "values":
            if len(inputs) != 1 or teacher or labels:
                raise UsageError(
                    "--task values takes one file of labelled answers, no --teacher and no --labels"
                )
            report = by_labels(inputs[0], out, settings, options)
        else:
            report = distil(inputs, out, settings, options, labels)
    output.result({"folder": report.folder, **report.facts}, report.summary())
    if report.folder is None:
        output.note("interrupted: run the same command with --resume to continue")
        raise SystemExit(EXIT_INTERRUPTED)


def _settings(
    recipe: str | None, changes: Mapping[str, Any], values: Mapping[str, Any], teacher: str | None
) -> ValueSettings:
    """Settings of a recipe, changed by `--set`, then by options."""
    known = {*_OF_BOTH, *_OF_CALL}
    for name, value in values.items():
        if name not in known and value not in (None, (), False):
            raise UsageError(f"--{name.replace('_', '-')} is of --task sources: leave it out")
    settings = ValueSettings.from_dict(read_toml(recipe) if recipe else {})
    given = {name: values[name] for name in _OF_BOTH if values.get(name) is not None}
    if teacher:
        given["teacher"] = teacher
    return ValueSettings.from_dict({**changes, **given}, settings)


class _Reporter(Reporter):
    """Shows step, loss, tokens/s and the time left."""

    def _make_bar(self) -> Progress:
        bar, self._task = line_bar("training", 1.0)
        return bar

    def update(self, run: Run) -> None:
        """Show the state of a run."""
        if self._bar is not None:
            self._bar.update(self._task, completed=run.step / run.steps, description=self._line(run))
        else:
            self._note_if_due(lambda: self._line(run))

    def _line(self, run: Run) -> str:
        left = duration(run.seconds * (run.steps - run.step) / max(1, run.step))
        rate = run.tokens / max(run.seconds, 1e-9)
        done = f"step {run.step:,} of {run.steps:,}, loss {run.loss:.4f}"
        return f"{done}, {rate:,.0f} tokens/s, about {left} left"
