"""Linear layers, by oneDNN with weights packed once or by plain torch, and activations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from univar.encoder.weights import Affine

_PACKING_ROWS = 2048
"""Rows that oneDNN shall expect when it chooses the layout of packed weights; any number works."""


def activate(x: Tensor, activation: str) -> Tensor:
    """x: (T, F), or (T, 2 F) for "swiglu", whose second half is the gate; may overwrite x. Returns (T, F)."""
    if activation == "gelu":
        return F.gelu(x)
    if activation == "gelu_tanh":
        return F.gelu(x, approximate="tanh")
    if activation == "relu":
        return x.relu_()
    assert activation == "swiglu"
    value, gate = x.chunk(2, dim=1)
    return F.silu(gate).mul_(value)


class TorchLinear:
    """x (T, in) -> x @ weight.T + bias (T, out), in the weight's dtype and on its device."""

    def __init__(self, affine: Affine, dtype: torch.dtype, device: torch.device):
        self._weight = torch.from_numpy(affine.weight).to(device, dtype)
        self._bias = _bias(affine, dtype, device)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)


class MkldnnLinear:
    """The same by oneDNN on the CPU. The operator is private to torch: `univar.runtime` tries it first."""

    def __init__(self, affine: Affine, dtype: torch.dtype, device: torch.device):
        weight = torch.from_numpy(affine.weight).to(dtype)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKING_ROWS)
        self._bias = _bias(affine, dtype, device)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")


def _bias(affine: Affine, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    return None if affine.bias is None else torch.from_numpy(affine.bias).to(device, dtype)
