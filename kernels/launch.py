"""Where Triton kernels can run, and how they read tensors there."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from univar.errors import UsageError

if TYPE_CHECKING:
    from triton.tools.tensor_descriptor import TensorDescriptor

NEEDS = "needs the package triton and a CUDA device of compute capability 8.0 or later"


@dataclass(frozen=True)
class Config:
    """Rows, columns and dims of a kernel's tiles, warps of a program, stages of its pipeline."""

    block_m: int
    block_n: int
    block_k: int
    num_warps: int
    num_stages: int


def can_launch(device: torch.device) -> bool:
    """Whether kernels run on the device; on the CPU, whether Triton's interpreter is on."""
    if importlib.util.find_spec("triton") is None:
        return False
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    import triton

    return bool(triton.knobs.runtime.interpret)


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Inside, kernels are launched on this device: Triton takes the current one, whatever the tensors say."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def has_tma(device: torch.device) -> bool:
    """Whether the device has a tensor memory accelerator (compute capability 9.0 or later)."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= (9, 0)


def descriptor(x: Tensor, rows: int, columns: int) -> TensorDescriptor | Tensor:
    """x (n, D) as kernels take it: a TMA descriptor of tiles (rows, columns), or x itself without TMA."""
    if not has_tma(x.device):
        return x
    from triton.tools.tensor_descriptor import TensorDescriptor

    return TensorDescriptor(x, list(x.shape), list(x.stride()), [rows, columns])


def check_same_device(name: str, tensor: Tensor, **others: Tensor | None) -> None:
    """Raise UsageError if one of the others is not on the tensor's device."""
    for other_name, other in others.items():
        if other is not None and other.device != tensor.device:
            raise UsageError(
                f"{name} is on {tensor.device}, {other_name} on {other.device}: move one of them"
            )


def check_can_launch(operation: str, device: torch.device) -> None:
    """Raise UsageError where kernels can't run."""
    if not can_launch(device):
        raise UsageError(f"{operation} {NEEDS}, not {device}: use univar.kernels.reference.{operation}")
