"""Checkpoints: tensors in safetensors, the rest in JSON; each is there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from univar.errors import DataError, ProviderError
from univar.files import make_folder, os_call, reported, sync_folder
from univar.train.step import Stepper

KEPT = 2
_NAME = re.compile(r"step-(\d{9})")
_MOMENTS = ("exp_avg", "exp_avg_sq")


def save(folder: Path, step: int, stepper: Stepper, state: dict[str, Any]) -> None:
    """Write checkpoint `step` under `folder` and remove all but the last KEPT."""
    tensors = dict(trained(stepper))
    for name, parameter in _parameters(stepper):
        moments = stepper.optimizer.state.get(parameter, {})
        tensors |= {f"{moment}.{name}": moments[moment] for moment in _MOMENTS if moment in moments}
    target = folder / f"step-{step:09d}"
    temporary = folder / f".step-{step:09d}.tmp"
    make_folder(folder)
    with reported("write", target):
        shutil.rmtree(temporary, ignore_errors=True)
        os_call(os.mkdir, temporary)
        try:
            write_tensors(temporary / "state.safetensors", tensors)
            _write_text(temporary / "state.json", json.dumps({**state, "step": step}, indent=1))
            shutil.rmtree(target, ignore_errors=True)
            os_call(os.replace, temporary, target)
            os_call(sync_folder, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def restore(path: Path, stepper: Stepper) -> dict[str, Any]:
    """Put a checkpoint's tensors back; returns what `save` was given, with `step`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(path / "state.safetensors")
        for name, parameter in _parameters(stepper):
            parameter.data.copy_(tensors[f"model.{name}"])
            if f"{_MOMENTS[0]}.{name}" in tensors:
                moments = {moment: tensors[f"{moment}.{name}"].to(parameter.device) for moment in _MOMENTS}
                stepper.optimizer.state[parameter] = {"step": torch.tensor(float(state["step"])), **moments}
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(
            f"the checkpoint {path} cannot be read ({error}): remove it, and --resume takes the one before"
        ) from error
    return state


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def trained(stepper: Stepper) -> dict[str, Tensor]:
    """The parameters that are trained, by name."""
    return {f"model.{name}": parameter.detach() for name, parameter in _parameters(stepper)}


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file and wait until the disk has it; raises OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        os_call(save_file, {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise ProviderError(
            f"cannot write {path}: {error}; the last good checkpoint is kept: free some space and --resume"
        ) from error
    with open(path, "rb") as file:
        os_call(os.fsync, file.fileno())


def _write_text(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os_call(os.fsync, file.fileno())


def _parameters(stepper: Stepper) -> list[tuple[str, torch.nn.Parameter]]:
    named = [*stepper.model.named_parameters(), *stepper.objective.named_parameters()]
    return [(name, parameter) for name, parameter in named if parameter.requires_grad]


def replace_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file in the place of the one there is, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with reported("write", path):
        try:
            write_tensors(temporary, tensors)
            os_call(os.replace, temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def load_trained(path: Path, stepper: Stepper) -> None:
    """Put back what `trained` gave."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    for name, parameter in _parameters(stepper):
        parameter.data.copy_(tensors[f"model.{name}"])
