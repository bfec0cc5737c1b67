"""Value adapters: low-rank changes to an encoder's matrices, stored as peft does, merged at load.

For each matrix W (out, in): W + (alpha / rank) B A with A (rank, in) and B (out, rank). Adapters of peft
with rsLoRA, DoRA, patterns of ranks and alphas, PiSSA and OLoRA are merged as peft merges them; others are
refused. A folder holds `adapter_config.json` and `adapter_model.safetensors`, which peft opens on the same
base, and `univar_adapter.json` with the base's revision and how the adapter was trained.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Collection
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
from univar.files import read_json, refuse_irregular

logger = logging.getLogger("univar")

_PREFIX = "base_model.model."
_PART = re.compile(r"(?P<module>.+)\.lora_(?P<part>A|B|B\.bias|magnitude_vector)(?:\.default)?(?:\.weight)?")
_BESIDE = {
    *("pooler", "cls", "lm_head", "classifier", "pre_classifier", "score", "qa_outputs", "seq_relationship"),
}
"""Parts of a model, as names of modules, that stand beside the encoder."""
_OTHER_KINDS = (
    *("use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "layer_replication"),
    *("trainable_token_indices", "target_parameters", "kasa_config", "monteclora_config", "velora_config"),
)
"""Settings of adapter_config.json that make another adapter of it than LoRA on matrices."""


@dataclass(frozen=True)
class Change:
    """What one matrix W (out, in) of the base becomes: m / |W + scale B A| of each row, times W + scale B A.

    a: (rank, in), b: (out, rank); bias: (out,), added to the base's times `scale`, or None; magnitude: DoRA's
    m (out,), or None: the rows keep their length. All float32.
    """

    a: np.ndarray
    b: np.ndarray
    scale: float
    bias: np.ndarray | None = None
    magnitude: np.ndarray | None = None


@dataclass(frozen=True)
class Adapter:
    """matrices: for each module of the base its A (rank, in) and B (out, rank), float32.

    changes: what peft's further settings make of them; by default each is scaled by alpha / rank
    init:    what was taken from the base before training: "plain" nothing, "pissa" its first `rank` singular
             directions (Meng et al. 2024), "olora" the first `rank` of its QR (Büyükakyüz 2024)
    """

    rank: int
    alpha: float
    matrices: dict[str, tuple[np.ndarray, np.ndarray]]
    changes: dict[str, Change] | None = None
    init: str = "plain"

    def all_changes(self) -> dict[str, Change]:
        """The change of each module, by its name in the adapter."""
        if self.changes is not None:
            return dict(self.changes)
        return {name: Change(a, b, self.alpha / self.rank) for name, (a, b) in self.matrices.items()}


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
    """Read what `save_adapter` or peft wrote; DataError for any adapter but LoRA and DoRA on matrices."""
    from safetensors import SafetensorError

    path = folder / "adapter_model.safetensors"
    config = read_json(folder / "adapter_config.json")
    try:
        refuse_irregular(path)
        tensors = read_tensors(path)
        init = _checked(config, folder)
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, SafetensorError) as error:
        raise DataError(f"{folder} is not an adapter that univar can read: {error}") from None
    parts: dict[str, dict[str, np.ndarray]] = {}
    unused = 0
    for name, tensor in tensors.items():
        found = _PART.fullmatch(name.removeprefix(_PREFIX))
        if _is_beside(name):
            unused += 1
        elif found is None or tensor.ndim != (1 if found["part"] in ("B.bias", "magnitude_vector") else 2):
            raise DataError(f"{folder}: {name} is not a matrix of a LoRA adapter, the only kind univar reads")
        else:
            parts.setdefault(found["module"], {})[found["part"]] = tensor
    if unused:
        logger.info("%d tensors of %s change a pooler or a head, which no embedding reads", unused, folder)
    if not parts:
        raise DataError(f"{folder} changes no part of an encoder that its embeddings read")
    try:
        changes = {module: _change(module, part, config) for module, part in parts.items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, re.error) as error:
        raise DataError(f"{folder} is neither a plain LoRA adapter nor a whole DoRA one: {error}") from None
    matrices = {module: (change.a, change.b) for module, change in changes.items()}
    return Adapter(rank, alpha, matrices, changes, init)


def _checked(config: dict[str, Any], folder: Path) -> str:
    """How the base was changed before training: "plain", "pissa" or "olora"; DataError for another kind."""
    if config.get("peft_type") != "LORA":
        raise ValueError(f"peft_type is {config.get('peft_type')!r}, not 'LORA'")
    other = [name for name in _OTHER_KINDS if config.get(name)]
    if other:
        raise DataError(
            f"{folder}: {other[0]} {config[other[0]]!r} is not supported: merge the adapter with peft"
        )
    if config.get("bias", "none") != "none":
        raise DataError(f"{folder}: bias {config['bias']!r} is not supported: merge the adapter with peft")
    init = config.get("init_lora_weights", True)
    if init in (True, False, None, "gaussian", "eva", "lora_ga"):
        return "plain"
    if str(init).lower() in ("pissa", "olora"):
        return str(init).lower()
    raise DataError(
        f"{folder}: init_lora_weights {init!r} changed the base by numbers that the adapter does not hold: "
        f"convert it with peft (path_initial_model_for_weight_conversion)"
    )


def _is_beside(name: str) -> bool:
    """Whether a module is a pooler or a head: no embedding of mean or first-token pooling reads it."""
    return not _BESIDE.isdisjoint(name.split("."))


def _change(module: str, part: dict[str, np.ndarray], config: dict[str, Any]) -> Change:
    """The change of one matrix, scaled as peft scales it."""
    a, b = part["A"], part["B"]

    def chosen(patterns: str, usual: str) -> Any:
        given = config.get(patterns) or {}
        key = next((key for key in given if re.match(rf"(.*\.)?({key})$", module)), None)
        return config[usual] if key is None else given[key]

    rank, alpha = int(chosen("rank_pattern", "r")), float(chosen("alpha_pattern", "lora_alpha"))
    if a.shape[0] != rank or b.shape[1] != rank:
        raise ValueError(f"{module} has rank {a.shape[0]} in the weights, {rank} in adapter_config.json")
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    if bool(config.get("use_dora")) != ("magnitude_vector" in part):
        raise ValueError(f"{module} has a magnitude only in the weights or only in adapter_config.json")
    return Change(a, b, scale, part.get("B.bias"), part.get("magnitude_vector"))


def adapted_weights(source: ResolvedSpec, config: EncoderConfig) -> Weights:
    """The weights of an encoder, its adapter merged if it has one."""
    weights = load_weights(config)
    return weights if source.adapter is None else merge(weights, config, read_adapter(source.adapter))


def merge(weights: Weights, config: EncoderConfig, adapter: Adapter) -> Weights:
    """`weights` with the adapter added; DataError if it was made for another base."""
    names = [layer_names(config.family, number) for number in range(len(weights.layers))]
    known = {name for parts in names for part in MATRICES for name in parts[part]}
    left = {_known_name(module, known): change for module, change in adapter.all_changes().items()}
    layers = []
    for layer, parts in zip(weights.layers, names, strict=True):
        changed = {part: _added(getattr(layer, part), parts[part], left, adapter.init) for part in MATRICES}
        layers.append(replace(layer, **changed))
    if left:
        raise DataError(
            f"the adapter changes {next(iter(left))}, which {config.folder} lacks: use it with its own base"
        )
    return replace(weights, layers=layers)


def _known_name(module: str, known: Collection[str]) -> str:
    """The base's name of a module, whatever stands before it in the adapter ("bert.", "0.auto_model.")."""
    parts = module.split(".")
    tails = (".".join(parts[first:]) for first in range(len(parts)))
    return next((tail for tail in tails if tail in known), module)


def _added(affine: Affine, names: tuple[str, ...], left: dict[str, Change], init: str) -> Affine:
    blocks = np.split(affine.weight, len(names))
    biases = [None] * len(names) if affine.bias is None else np.split(affine.bias, len(names))
    changes = [left.pop(name, None) for name in names]
    done = [
        (block, bias) if change is None else _changed(block, bias, change, init, name)
        for block, bias, change, name in zip(blocks, biases, changes, names, strict=True)
    ]
    weight = np.concatenate([block for block, _ in done])
    bias = None if affine.bias is None else np.concatenate([bias for _, bias in done if bias is not None])
    return Affine(weight, bias)


def _changed(
    block: np.ndarray, bias: np.ndarray | None, change: Change, init: str, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """One matrix (out, in) and its bias (out,) after the change."""
    out, into = change.b.shape[0], change.a.shape[1]
    sizes = {len(vector) for vector in (change.bias, change.magnitude) if vector is not None}
    if (out, into) != block.shape or sizes - {out} or (change.bias is not None and bias is None):
        raise DataError(
            f"the adapter changes {name} as {out} x {into}, not {block.shape}: use it with its own base"
        )
    if init == "pissa":  # peft takes away from the base what the adapter began with
        u, s, vh = np.linalg.svd(block, full_matrices=False)
        rank = len(change.a)
        block = block - (u[:, :rank] * s[:rank]) @ vh[:rank]
    elif init == "olora":
        q, r = np.linalg.qr(block)
        rank = len(change.a)
        block = block - np.float32(change.scale) * (q[:, :rank] @ r[:rank])
    block = block + np.float32(change.scale) * (change.b @ change.a)
    if change.magnitude is not None:
        block = block * (change.magnitude / np.linalg.norm(block, axis=1))[:, None]
    if bias is not None and change.bias is not None:
        bias = bias + np.float32(change.scale) * change.bias
    return block, bias
