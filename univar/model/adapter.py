"""Value adapters: low-rank changes of an encoder's matrices, in peft's files, merged when they are loaded.

For each matrix W (out, in): W + (alpha / rank) B A with A (rank, in) and B (out, rank). A folder holds
`adapter_config.json` and `adapter_model.safetensors`, which peft opens on the same base too, and
`univar_adapter.json` with the base's revision and how it was trained.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from univar.errors import DataError
from univar.model.config import ModelConfig
from univar.model.names import layer_names
from univar.model.spec import ResolvedSpec
from univar.model.weights import Affine, Weights, load_weights

if TYPE_CHECKING:
    from univar.model.trainable import TrainableEncoder

PARTS = ("qkv", "out", "up", "down")
_PREFIX = "base_model.model."


class LowRank(nn.Module):
    """What is added to a matrix that is `parts` matrices stacked: (alpha / rank) B A for each of them.

    A starts at random from `generator`, B at zero: nothing is added at first.
    """

    def __init__(
        self, shape: tuple[int, int], parts: int, rank: int, alpha: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        rows, columns = shape[0] // parts, shape[1]
        bound = math.sqrt(3 / columns) / math.sqrt(3)
        start = torch.rand(parts, rank, columns, generator=generator) * 2 * bound - bound
        self.a, self.b = nn.Parameter(start), nn.Parameter(torch.zeros(parts, rows, rank))
        self._scale = alpha / rank

    def forward(self) -> Tensor:
        """(out, in) float32."""
        return (self._scale * torch.bmm(self.b, self.a)).flatten(0, 1)


@dataclass(frozen=True)
class Adapter:
    """matrices: for each module of the base its A (rank, in) and B (out, rank), float32."""

    rank: int
    alpha: float
    matrices: dict[str, tuple[Tensor, Tensor]]


def attach(model: TrainableEncoder, rank: int, seed: int) -> None:
    """Freeze the model and give each of its matrices a low-rank part to train; alpha is twice the rank."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for number, layer in enumerate(model.layers):
        names = layer_names(model.config, number)
        for part in PARTS:
            affine = getattr(layer, part)
            stacked = len(names.matrices(part))
            affine.delta = LowRank(tuple(affine.weight.shape), stacked, rank, 2 * rank, generator)


def detach(model: TrainableEncoder) -> Adapter:
    """The low-rank parts of a model that `attach` prepared."""
    matrices: dict[str, tuple[Tensor, Tensor]] = {}
    rank = 0
    for number, layer in enumerate(model.layers):
        names = layer_names(model.config, number)
        for part in PARTS:
            delta = getattr(layer, part).delta
            rank = delta.a.shape[1]
            for name, a, b in zip(names.matrices(part), delta.a.detach(), delta.b.detach(), strict=True):
                matrices[name] = (a, b)
    return Adapter(rank, 2.0 * rank, matrices)


def save_adapter(adapter: Adapter, folder: Path, base: str, facts: dict[str, Any]) -> None:
    """Write an adapter's three files, the matrices in float16."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{_PREFIX}{name}.lora_{side}.weight": matrix.half().contiguous()
        for name, pair in adapter.matrices.items()
        for side, matrix in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    targets = sorted({name.split(".", 3)[3] for name in adapter.matrices})
    config = {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": targets,
    }
    for name, content in (("adapter_config.json", config), ("univar_adapter.json", facts)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_adapter(folder: Path) -> Adapter:
    """Read what `save_adapter` or peft wrote; DataError for a kind that is not plain LoRA on matrices."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        plain = config["peft_type"] == "LORA" and not any(
            config.get(name) for name in ("use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern")
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{folder} is no adapter that univar can read: {error}") from None
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        module, _, side = name.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".lora_")
        if not module or side not in ("A", "B") or tensor.ndim != 2:
            raise DataError(f"{folder}: {name} is no matrix of a LoRA adapter, the only kind univar reads")
        pairs.setdefault(module, {})[side] = tensor.float()
    if not plain or any(len(pair) != 2 for pair in pairs.values()):
        raise DataError(f"{folder} is not a plain LoRA adapter, the only kind univar reads")
    if config.get("use_rslora"):
        alpha *= math.sqrt(rank)
    return Adapter(rank, alpha, {name: (pair["A"], pair["B"]) for name, pair in pairs.items()})


def adapted_weights(source: ResolvedSpec, config: ModelConfig) -> Weights:
    """The weights of an encoder, its adapter merged if it has one."""
    weights = load_weights(config)
    return weights if source.adapter is None else merge(weights, config, read_adapter(source.adapter))


def merge(weights: Weights, config: ModelConfig, adapter: Adapter) -> Weights:
    """`weights` with the adapter added; DataError where it was made for another base."""
    left = dict(adapter.matrices)
    layers = []
    for number, layer in enumerate(weights.layers):
        names = layer_names(config, number)
        changed = {part: _added(getattr(layer, part), names.matrices(part), left, adapter) for part in PARTS}
        layers.append(replace(layer, **changed))
    if left:
        raise DataError(f"the adapter has a part for {next(iter(left))}, which {config.folder} lacks")
    return replace(weights, layers=layers)


def _added(affine: Affine, names: tuple[str, ...], left: dict[str, Any], adapter: Adapter) -> Affine:
    blocks = []
    for name, block in zip(names, affine.weight.chunk(len(names)), strict=True):
        pair = left.pop(name, None)
        if pair is not None:
            a, b = pair
            if (b.shape[0], a.shape[1]) != tuple(block.shape) or b.shape[1] != a.shape[0]:
                raise DataError(
                    f"the adapter's part for {name} is {b.shape[0]} x {a.shape[1]}, not {tuple(block.shape)}"
                )
            block = block + (adapter.alpha / adapter.rank) * (b @ a)
        blocks.append(block)
    return Affine(torch.cat(blocks), affine.bias)
