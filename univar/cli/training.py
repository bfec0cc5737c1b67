"""What `univar train` needs beside its options: settings from all their sources, and progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from univar.cli.progress import Reporter, duration, line_bar
from univar.errors import UsageError
from univar.files import read_toml, toml_value

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from univar.train import TrainSettings
    from univar.train.run import Progress

_ENDS = ("steps", "epochs", "budget_minutes")


def settings_of(
    preset: str,
    recipe: str | None,
    qa_per_view: str | None,
    pairs: tuple[str, ...],
    given: Mapping[str, object],
) -> TrainSettings:
    """Settings of a preset, changed by a recipe, then by `--set`, then by options."""
    from univar.train import PRESETS, TrainSettings

    if preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}: give one of {', '.join(PRESETS)}")
    content = _nested([("--set", pair) for pair in pairs])
    content |= {key: value for key, value in given.items() if value is not None}
    if qa_per_view is not None:
        content.setdefault("views", {})["qa_per_view"] = _range(qa_per_view)
    settings = PRESETS[preset]
    for changes in (_recipe(recipe), content):
        if any(end in changes for end in _ENDS):  # what is said later about the end stands alone
            changes = {**dict.fromkeys(_ENDS), **changes}
        settings = TrainSettings.from_dict(changes, settings)
    return settings


def _recipe(path: str | None) -> dict[str, Any]:
    return {} if path is None else read_toml(path)


def _nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`views.overlap=true` as {"views": {"overlap": True}}; values are TOML, else plain strings."""
    content: dict[str, Any] = {}
    for option, pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals):
            raise UsageError(f"{option} {pair!r} is not KEY=VALUE, such as {option} symmetric=false")
        parsed = toml_value(value)
        group, dot, name = key.rpartition(".")
        (content.setdefault(group, {}) if dot else content)[name] = parsed
    return content


def _range(text: str) -> list[int]:
    low, dash, high = text.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()):
        raise UsageError(f"--qa-per-view {text!r} is not a number or a range such as 1-5")
    return [int(low), int(high or low)]


class TrainingReporter(Reporter):
    """Loss, tokens/s, validation and the time left."""

    def _make_bar(self) -> Bar:
        bar, self._task = line_bar("training", 1.0)
        return bar

    def update(self, progress: Progress) -> None:
        """Take the running state in."""
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.share, description=self._line(progress))
        else:
            self._note_if_due(lambda: self._line(progress))

    def _line(self, progress: Progress) -> str:
        of_total = f" of {progress.steps:,}" if progress.steps else ""
        rate = progress.tokens / max(progress.seconds, 1e-9)
        left = ""
        if progress.share > 0:
            left = f", about {duration(progress.seconds * (1 - progress.share) / progress.share)} left"
        found = "" if progress.accuracy is None else f", held-out attribution {progress.accuracy:.3f}"
        return (
            f"step {progress.step:,}{of_total}, loss {progress.loss:.3f}{found}, {rate:,.0f} tokens/s{left}"
        )
