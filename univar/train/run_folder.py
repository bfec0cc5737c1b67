"""The working folder of a run: checkpoints and the weights kept so far, each there whole or not at all.

Tensors are safetensors, the rest is JSON: `checkpoints/step-N/{state.safetensors, state.json}`,
`kept.safetensors`; `tokens/` and `metrics.jsonl` beside them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from univar.errors import DataError, ProviderError
from univar.files import make_folder, new_file, new_folder, os_call, read_json, reported
from univar.train.step import Stepper

CHECKPOINTS_LEFT = 2
_NAME = re.compile(r"step-(\d{9})")
_MOMENTS = ("exp_avg", "exp_avg_sq")


class RunFolder:
    """The folder `path` and what it holds; it is made by the first call that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokens, self.metrics = path / "tokens", path / "metrics.jsonl"
        self._checkpoints, self._kept = path / "checkpoints", path / "kept.safetensors"

    def checkpoints(self) -> list[Path]:
        """Finished checkpoints, oldest first."""
        if not self._checkpoints.is_dir():
            return []
        return sorted(path for path in self._checkpoints.iterdir() if _NAME.fullmatch(path.name))

    def save(self, step: int, stepper: Stepper, state: Mapping[str, Any]) -> None:
        """Write the checkpoint of `step` and remove all but the last CHECKPOINTS_LEFT."""
        tensors = _trained(stepper)
        for name, parameter in stepper.trained():
            moments = stepper.optimizer.state.get(parameter, {})
            tensors |= {f"{moment}.{name}": moments[moment] for moment in _MOMENTS if moment in moments}
        target = self._checkpoints / f"step-{step:09d}"
        make_folder(self._checkpoints)
        with reported("write", target), new_folder(target, replace=True) as temporary:
            _write_tensors(temporary / "state.safetensors", tensors)
            text = json.dumps({**state, "step": step}, indent=1)
            os_call((temporary / "state.json").write_text, text, "utf-8")
        for old in self.checkpoints()[:-CHECKPOINTS_LEFT]:
            shutil.rmtree(old, ignore_errors=True)

    def keep(self, stepper: Stepper) -> None:
        """Keep the weights as they are now, in place of those kept before."""
        from safetensors.torch import save

        with new_file(self._kept) as file:
            file.write(save(_on_cpu(_trained(stepper))))

    def load_kept(self, stepper: Stepper) -> None:
        """Put the weights of the last `keep` back."""
        from safetensors.torch import load_file

        tensors = load_file(self._kept)
        for name, parameter in stepper.trained():
            parameter.data.copy_(tensors[f"weight.{name}"])


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What `RunFolder.save` was given, with `step`; DataError where it cannot be read."""
    try:
        return dict(read_json(checkpoint / "state.json"))
    except DataError as error:
        raise _unreadable(checkpoint, error) from error


def load_tensors(checkpoint: Path, step: int, stepper: Stepper) -> None:
    """Put a checkpoint's weights and moments back; DataError where they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(checkpoint / "state.safetensors")
        for name, parameter in stepper.trained():
            parameter.data.copy_(tensors[f"weight.{name}"])
            if f"{_MOMENTS[0]}.{name}" in tensors:
                moments = {moment: tensors[f"{moment}.{name}"].to(parameter.device) for moment in _MOMENTS}
                stepper.optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unreadable(checkpoint, error) from error


def _unreadable(checkpoint: Path, error: Exception) -> DataError:
    return DataError(
        f"the checkpoint {checkpoint} cannot be read ({error}): remove it, and --resume continues from "
        "the one before"
    )


def _trained(stepper: Stepper) -> dict[str, Tensor]:
    return {f"weight.{name}": parameter.detach() for name, parameter in stepper.trained()}


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file. Raises OSError, or ProviderError where the format's library fails."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        os_call(save_file, _on_cpu(tensors), path)
    except SafetensorError as error:
        raise ProviderError(
            f"cannot write {path}: {error}; the last good checkpoint is kept: free some space and --resume"
        ) from error
