"""Metrics of a run: a file with one JSON object a line, and the trackers that --log adds."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Protocol

from univar.errors import UsageError
from univar.files import new_text_file, reported
from univar.train.options import TRACKERS


class Tracker(Protocol):
    """Where metrics go beside the file."""

    def write(self, step: int, numbers: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class MetricsFile:
    """`metrics.jsonl`. Opened for a run that continues at `first_step`, it drops the lines from there on."""

    def __init__(self, path: Path, first_step: int) -> None:
        with reported("write", path):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
            kept = [line for line in lines if _step_of(line) < first_step]
            with new_text_file(path) as file:
                file.writelines(f"{line}\n" for line in kept)
            self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by close()
        self.path = path

    def write(self, step: int, numbers: dict[str, Any]) -> None:
        """Add a line."""
        with reported("write", self.path):
            self._file.write(json.dumps({"step": step, **numbers}) + "\n")

    def close(self) -> None:
        self._file.close()


def _step_of(line: str) -> int:
    """Step of a line; very large for a line that is not whole."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 1 << 62


def open_tracker(name: str | None, folder: Path, settings: dict[str, Any]) -> Tracker | None:
    """The tracker `name`, one of TRACKERS, writing under `folder`; UsageError if its package is missing."""
    if name is None:
        return None
    if name not in TRACKERS:
        raise UsageError(f"unknown tracker {name!r}: give one of {', '.join(TRACKERS)}")
    try:
        if name == "tensorboard":
            return _TensorBoard(importlib.import_module("torch.utils.tensorboard"), folder)
        return _Wandb(importlib.import_module(name), folder, settings)
    except ImportError:
        raise UsageError(f"--log {name} needs the package: pip install {name}") from None


class _TensorBoard:
    def __init__(self, module: Any, folder: Path) -> None:
        self._writer = module.SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, numbers: dict[str, float]) -> None:
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """wandb, or trackio, which has the same interface."""

    def __init__(self, module: Any, folder: Path, settings: dict[str, Any]) -> None:
        self._module = module
        module.init(project="univar", name=folder.name, config=settings)

    def write(self, step: int, numbers: dict[str, float]) -> None:
        self._module.log(numbers, step=step)

    def close(self) -> None:
        self._module.finish()
