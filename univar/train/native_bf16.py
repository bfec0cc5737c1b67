"""When training computes in C++, and how its tensors get there: NumPy has no bf16."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from univar.runtime import bf16_isa

PANEL = 32
"""What widths must be multiples of."""


def training_isa(x: Tensor) -> str | None:
    """What instruction set computes with x in C++, where x is bf16 on a CPU that is fast at it, else None."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return bf16_isa() if on_cpu else None


def bits(x: Tensor) -> np.ndarray:
    """The 16 bits of each value of x, bf16."""
    return x.detach().contiguous().view(torch.uint16).numpy()
