"""Metrics of a run: one JSON object a line, and the trackers a user asks for beside it."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any, Protocol

from univar.errors import UsageError
from univar.files import reported

TRACKERS = ("tensorboard", "trackio", "wandb")


class Tracker(Protocol):
    """Where metrics go beside the file."""

    def write(self, step: int, numbers: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class MetricsFile:
    """`metrics.jsonl`. Opened for a run that goes on at `first_step`, it forgets the lines from there on."""

    def __init__(self, path: Path, first_step: int) -> None:
        with reported("write", path):
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            kept = [line for line in lines if _step_of(line) < first_step]
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
            os.replace(temporary, path)
            self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by close()
        self.path = path

    def write(self, step: int, numbers: dict[str, Any]) -> None:
        """Add a line."""
        with reported("write", self.path):
            self._file.write(json.dumps({"step": step, **numbers}) + "\n")

    def close(self) -> None:
        self._file.close()


def _step_of(line: str) -> int:
    """Step of a line, very large for one that was cut short."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 1 << 62


def open_tracker(name: str | None, folder: Path, settings: dict[str, Any]) -> Tracker | None:
    """The tracker `name`, one of TRACKERS, writing under `folder`; UsageError where its package is absent."""
    if name is None:
        return None
    if name not in TRACKERS:
        raise UsageError(f"unknown tracker {name!r}: give one of {', '.join(TRACKERS)}")
    try:
        if name == "tensorboard":
            return _TensorBoard(importlib.import_module("torch.utils.tensorboard"), folder)
        return _Run(importlib.import_module(name), folder, settings)
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


class _Run:
    """trackio and wandb: trackio has wandb's interface."""

    def __init__(self, module: Any, folder: Path, settings: dict[str, Any]) -> None:
        self._module = module
        module.init(project="univar", name=folder.name, config=settings)

    def write(self, step: int, numbers: dict[str, float]) -> None:
        self._module.log(numbers, step=step)

    def close(self) -> None:
        self._module.finish()
