"""univar train: a value encoder from answers. Most of its options are fields of `univar.train.options`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from univar.cli.common import Output, input_options, table_options
from univar.cli.progress import Reporter, duration, line_bar, stop_on_signals
from univar.errors import EXIT_INTERRUPTED, UsageError
from univar.files import read_toml, toml_value
from univar.train.options import PRESETS, TrainOptions, TrainSettings, ViewSettings

if TYPE_CHECKING:
    from rich.progress import Progress

    from univar.answers.inputs import Reading
    from univar.train.run import TrainProgress

UNKNOWN_TOLD = 0.05
"""Share of unknown tokens from which on the command says so."""

_ENDS = ("steps", "epochs", "budget_minutes")
_OLD_NAMES = {"rejected": "refused", "first_rejected": "first_refused", "declined": "refusals"}


def _options_of(kind: type, shows_defaults: bool = False) -> Callable[[Any], Any]:
    """Add an option for each field of a dataclass that has one; without a value the command receives None.

    shows_defaults: show the fields' defaults, and receive them
    """

    def add(command: Any) -> Any:
        hints = get_type_hints(kind, localns={"Reading": object})
        for item in reversed(list(_fields_with_options(kind))):
            how = _click_settings(item, hints[item.name])
            if shows_defaults and how.get("type") and item.default not in (None, MISSING):
                how |= {"default": item.default, "show_default": True}
            about = item.metadata["help"]
            command = click.option(item.metadata["option"], item.name, help=about, **how)(command)
        return command

    return add


def _fields_with_options(kind: type) -> Iterator[Field[Any]]:
    return (item for item in fields(kind) if item.metadata.get("option"))


def _click_settings(item: Field[Any], hint: Any) -> dict[str, Any]:
    """What click needs to know of a field of type `hint`."""
    how = item.metadata
    if hint is bool:
        return {"is_flag": True, "default": None}
    if parse := how.get("parse"):
        return {"metavar": how.get("metavar"), "callback": _parsed_by(parse)}
    if choices := how.get("choices"):
        return {"type": click.Choice(list(choices))}
    for plain in (int, float, str):
        if hint is plain or plain in get_args(hint):
            return {"type": plain, "metavar": how.get("metavar")}
    return {"multiple": True}


def _parsed_by(parse: Callable[[str], Any]) -> Callable[[Any, Any, str | None], Any]:
    return lambda context, option, text: None if text is None else parse(text)


def _given(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options that were given, of fields of a dataclass."""
    names = [item.name for item in _fields_with_options(kind)]
    return {name: values[name] for name in names if values.get(name) not in (None, ())}


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", required=True, help="Folder of the encoder. The run works in OUT.run beside it.")
@click.option(
    "--task",
    type=click.Choice(["sources", "values", "distil"]),
    default="sources",
    show_default=True,
    help="Tell sources apart; or values, by the marks of people in the file INPUTS; or learn from --teacher.",
)
@click.option("--teacher", metavar="ENCODER", help="The encoder whose vectors a distilled one learns.")
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False),
    help="Labelled answers whose texts, not labels, are distilled too.",
)
@click.option(
    "--preset",
    default="default",
    show_default=True,
    help="Settings to start from: default or paper-lambda-1, -5, -20, -80.",
)
@click.option("--recipe", type=click.Path(dir_okay=False), help="TOML file of settings on top of the preset.")
@_options_of(TrainSettings)
@_options_of(ViewSettings)
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Any other setting, e.g. views.overlap=true."
)
@_options_of(TrainOptions, shows_defaults=True)
@input_options
@table_options
def train(
    inputs: tuple[str, ...],
    out: str,
    task: str,
    teacher: str | None,
    labels: str | None,
    preset: str,
    recipe: str | None,
    changes: tuple[str, ...],
    reading: Reading,
    output: Output,
    **values: Any,
) -> None:
    """Train an encoder that brings answers of one source (model and language) together.

    INPUTS are answer files or stores of answers. The finished folder opens in univar and in
    SentenceTransformer. With --lora-rank its `adapter` folder can be named as an encoder too:
    minilm+OUT/adapter. To use several processes: torchrun --nproc-per-node 2 -m univar train ...

    \b
    Example:
        univar train answers.jsonl -o encoder --steps 3 --batch 8 --set validate_every=0
        univar train answers.jsonl -o encoder-lora --steps 2 --batch 8 --lora-rank 4
        univar train answers.jsonl -o student --task distil --teacher minilm --batch 4 --set texts=8
    """
    if task != "sources":
        from univar.cli.train_values import train_values

        if preset != "default":
            raise UsageError(f"--preset {preset} is of --task sources: give a --recipe")
        train_values(task, inputs, out, teacher, labels, recipe, _nested(changes), values, output)
        return
    if teacher or labels:
        raise UsageError(f"{'--teacher' if teacher else '--labels'} goes with --task distil")
    from univar.train.run import train as run

    settings = settings_of(preset, recipe, changes, values)
    options = TrainOptions(**_given(TrainOptions, values), reading=reading)
    with TrainReporter(output) as reporter:
        report = run(
            inputs,
            out,
            settings,
            options,
            on_progress=reporter.update,
            should_stop=stop_on_signals().is_set,
        )
    output.result({"folder": report.folder, **report.facts}, report.summary(), _OLD_NAMES)
    if report.facts["unknown_share"] > UNKNOWN_TOLD:
        output.note(
            f"{100 * report.facts['unknown_share']:.1f} % of the answers' tokens are unknown to "
            f"{settings.base}: train another base for their languages, such as --base e5-multilingual"
        )
    if report.folder is None:
        output.note("interrupted: run the same command with --resume to continue")
        raise SystemExit(EXIT_INTERRUPTED)


def settings_of(
    preset: str, recipe: str | None, pairs: tuple[str, ...], values: Mapping[str, Any]
) -> TrainSettings:
    """Settings of a preset, changed by a recipe, then by `--set`, then by options."""
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}: give one of {', '.join(PRESETS)}")
    content = _nested(pairs) | _given(TrainSettings, values)
    if views := _given(ViewSettings, values):
        content["views"] = {**content.get("views", {}), **views}
    settings = PRESETS[preset]
    for changes in (read_toml(recipe) if recipe else {}, content):
        if any(end in changes for end in _ENDS):  # what is said later about the end replaces all of it
            changes = {**dict.fromkeys(_ENDS), **changes}
        settings = TrainSettings.from_dict(changes, settings)
    return settings


def _nested(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`views.overlap=true` as {"views": {"overlap": True}}; values are TOML, else plain strings."""
    content: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals):
            raise UsageError(f"--set {pair!r} is not KEY=VALUE, such as --set symmetric=false")
        group, dot, name = key.rpartition(".")
        (content.setdefault(group, {}) if dot else content)[name] = toml_value(value)
    return content


class TrainReporter(Reporter):
    """Shows loss, tokens/s, validation and the time left."""

    def _make_bar(self) -> Progress:
        bar, self._task = line_bar("training", 1.0)
        return bar

    def update(self, progress: TrainProgress) -> None:
        """Show the state of a run."""
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.share, description=self._line(progress))
        else:
            self._note_if_due(lambda: self._line(progress))

    def _line(self, progress: TrainProgress) -> str:
        of_total = f" of {progress.steps:,}" if progress.steps else ""
        rate = progress.tokens / max(progress.seconds, 1e-9)
        left = ""
        if progress.share > 0:
            left = f", about {duration(progress.seconds * (1 - progress.share) / progress.share)} left"
        found = "" if progress.accuracy is None else f", held-out attribution {progress.accuracy:.3f}"
        if found and not progress.validated_step:
            found = f", held-out attribution not measured yet ({progress.accuracy:.3f} before the first step)"
        return (
            f"step {progress.step:,}{of_total}, loss {progress.loss:.3f}{found}, {rate:,.0f} tokens/s{left}"
        )
