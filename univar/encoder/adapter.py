"""Value adapters: low-rank changes to an encoder's matrices, stored as peft does, merged at load.

For each matrix W (out, in): W + (alpha / rank) B A with A (rank, in) and B (out, rank). A folder holds
`adapter_config.json` and `adapter_model.safetensors`, which peft opens on the same base, and
`univar_adapter.json` with the base's revision and how the adapter was trained.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from univar.encoder.checkpoint import (
    MATRICES,
    Affine,
    Weights,
    layer_names,
    load_weights,
    read_tensors,
    write_tensors,
)
from univar.encoder.config import EncoderConfig
from univar.encoder.spec import ResolvedSpec
from univar.errors import DataError

_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Adapter:
    """matrices: for each module of the base its A (rank, in) and B (out, rank), float32."""

    rank: int
    alpha: float
    matrices: dict[str, tuple[np.ndarray, np.ndarray]]


def save_adapter(adapter: Adapter, folder: Path, base: str, facts: dict[str, Any]) -> None:
    """Write an adapter's three files, the matrices in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{_PREFIX}{name}.lora_{side}.weight": np.ascontiguousarray(matrix, np.float16)
        for name, pair in adapter.matrices.items()
        for side, matrix in zip("AB", pair, strict=True)
    }
    write_tensors(folder / "adapter_model.safetensors", tensors)
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
    """Read what `save_adapter` or peft wrote; DataError for any adapter but plain LoRA on matrices."""
    from safetensors import SafetensorError

    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = read_tensors(folder / "adapter_model.safetensors")
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        plain = config["peft_type"] == "LORA" and not any(
            config.get(name) for name in ("use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern")
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{folder} is not an adapter that univar can read: {error}") from None
    pairs: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        module, _, side = name.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".lora_")
        if not module or side not in ("A", "B") or tensor.ndim != 2:
            raise DataError(f"{folder}: {name} is not a matrix of a LoRA adapter, the only kind univar reads")
        pairs.setdefault(module, {})[side] = tensor
    if not plain or any(len(pair) != 2 for pair in pairs.values()):
        raise DataError(f"{folder} is not a plain LoRA adapter, the only kind univar reads")
    if config.get("use_rslora"):
        alpha *= math.sqrt(rank)
    return Adapter(rank, alpha, {name: (pair["A"], pair["B"]) for name, pair in pairs.items()})


def adapted_weights(source: ResolvedSpec, config: EncoderConfig) -> Weights:
    """The weights of an encoder, its adapter merged if it has one."""
    weights = load_weights(config)
    return weights if source.adapter is None else merge(weights, config, read_adapter(source.adapter))


def merge(weights: Weights, config: EncoderConfig, adapter: Adapter) -> Weights:
    """`weights` with the adapter added; DataError if it was made for another base."""
    left = dict(adapter.matrices)
    layers = []
    for number, layer in enumerate(weights.layers):
        names = layer_names(config.family, number)
        changed = {part: _added(getattr(layer, part), names[part], left, adapter) for part in MATRICES}
        layers.append(replace(layer, **changed))
    if left:
        raise DataError(
            f"the adapter changes {next(iter(left))}, which {config.folder} lacks: use it with its own base"
        )
    return replace(weights, layers=layers)


def _added(affine: Affine, names: tuple[str, ...], left: dict[str, Any], adapter: Adapter) -> Affine:
    blocks = []
    for name, block in zip(names, np.split(affine.weight, len(names)), strict=True):
        pair = left.pop(name, None)
        if pair is not None:
            a, b = pair
            if (b.shape[0], a.shape[1]) != block.shape or b.shape[1] != a.shape[0]:
                raise DataError(
                    f"the adapter changes {name} as {b.shape[0]} x {a.shape[1]}, not {block.shape}: "
                    f"use the adapter with its own base"
                )
            block = block + (adapter.alpha / adapter.rank) * (b @ a)
        blocks.append(block)
    return Affine(np.concatenate(blocks), affine.bias)
