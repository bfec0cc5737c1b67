"""The working folder of a run: checkpoints and the weights kept so far, each there whole or not at all.

Tensors are safetensors, the rest is JSON: `checkpoints/step-N/{state.safetensors, state.json}`,
`kept.safetensors`; `tokens/` and `metrics.jsonl` beside them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from univar.errors import DataError, ProviderError
from univar.files import (
    file_sha256,
    make_folder,
    new_file,
    new_folder,
    os_call,
    read_json,
    refuse_irregular,
    reported,
    text_sha256,
)

CHECKPOINTS_LEFT = 2
_NAME = re.compile(r"step-(\d{9})")
_MOMENTS = ("exp_avg", "exp_avg_sq")


class Trained(Protocol):
    """What a checkpoint holds of a run."""

    optimizer: torch.optim.AdamW

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that are trained, by name."""


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

    def save(self, step: int, stepper: Trained, state: Mapping[str, Any]) -> None:
        """Write the checkpoint of `step` and remove all but the last CHECKPOINTS_LEFT."""
        tensors = _trained(stepper)
        for name, parameter in stepper.trained():
            moments = stepper.optimizer.state.get(parameter, {})
            tensors |= {f"{moment}.{name}": moments[moment] for moment in _MOMENTS if moment in moments}
        target = self._checkpoints / f"step-{step:09d}"
        make_folder(self._checkpoints)
        with reported("write", target), new_folder(target, replace=True) as temporary:
            _write_tensors(temporary / "state.safetensors", tensors)
            content = {**state, "step": step, "state_sha256": file_sha256(temporary / "state.safetensors")}
            text = json.dumps({**content, "sha256": text_sha256(content)}, indent=1)
            os_call((temporary / "state.json").write_text, text, "utf-8")
        for old in self.checkpoints()[:-CHECKPOINTS_LEFT]:
            shutil.rmtree(old, ignore_errors=True)

    def keep(self, stepper: Trained) -> None:
        """Keep the weights as they are now, in place of those kept before."""
        from safetensors.torch import save

        with new_file(self._kept) as file:
            tensors = _on_cpu(_trained(stepper))
            file.write(save(tensors, metadata={"sha256": _sum_of(tensors)}))

    def load_kept(self, stepper: Trained) -> None:
        """Put the weights of the last `keep` back."""
        from safetensors import SafetensorError, safe_open

        try:
            refuse_irregular(self._kept)
            with safe_open(self._kept, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                told = (file.metadata() or {}).get("sha256", "")
        except (OSError, SafetensorError) as error:
            raise _damaged(self._kept, error) from error
        if told and told != _sum_of(tensors):
            raise _damaged(self._kept, "its checksum is another")
        for name, parameter in stepper.trained():
            parameter.data.copy_(tensors[f"weight.{name}"])


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What `RunFolder.save` was given, with `step`; DataError where it cannot be read."""
    try:
        state = dict(read_json(checkpoint / "state.json"))
        told = state.pop("sha256", None)  # none in checkpoints of earlier versions
        if told is not None and told != text_sha256(state):
            raise DataError("the checksum of its state.json is another")
        return state
    except DataError as error:
        raise _unreadable(checkpoint, error) from error


def load_tensors(checkpoint: Path, step: int, stepper: Trained) -> None:
    """Put a checkpoint's weights and moments back; DataError where they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    told = read_state(checkpoint).get("state_sha256")
    try:
        if told is not None and told != file_sha256(checkpoint / "state.safetensors"):
            raise RuntimeError("the checksum of its state.safetensors is another")
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


def _damaged(kept: Path, why: object) -> DataError:
    return DataError(f"{kept} cannot be read ({why}): remove {kept.parent} and train again")


def _sum_of(tensors: Mapping[str, Tensor]) -> str:
    """Checksum of tensors and their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _trained(stepper: Trained) -> dict[str, Tensor]:
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
