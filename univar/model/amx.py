"""When training computes in C++ on AMX, and how its tensors get there: NumPy has no bf16."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from univar.ops import cpu_features, isa_limit

PANEL = 32
"""What widths must be multiples of."""


def on_amx(x: Tensor) -> bool:
    """Whether x, bf16 on a CPU, may go to AMX."""
    if x.device.type != "cpu" or x.dtype != torch.bfloat16:
        return False
    return cpu_features()["amx_bf16"] and isa_limit() == "amx"


def bits(x: Tensor) -> np.ndarray:
    """The 16 bits of each value of x, bf16."""
    return x.detach().contiguous().view(torch.uint16).numpy()
