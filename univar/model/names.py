"""Trained weights under the names of their checkpoint: the way back of `univar.model.weights`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from univar.model.config import ModelConfig
from univar.model.weights import Affine, LayerWeights, Weights, weight_files

ANCHOR = "embeddings.word_embeddings.weight"


@dataclass(frozen=True)
class LayerNames:
    """Modules of one layer, with their prefix; `qkv` and `up` are stacked in `LayerWeights` in this order."""

    qkv: tuple[str, ...]
    out: str
    attention_norm: str
    up: tuple[str, ...]
    down: str
    output_norm: str

    def matrices(self, part: str) -> tuple[str, ...]:
        """Modules of a linear part: "qkv", "out", "up" or "down"."""
        names = getattr(self, part)
        return names if isinstance(names, tuple) else (names,)


def layer_names(config: ModelConfig, number: int, own_nomic: bool = False) -> LayerNames:
    """Names of layer `number`; own_nomic: nomic-embed's checkpoint, not the one transformers writes."""
    if config.family == "nomic_bert":
        at = f"encoder.layers.{number}." if own_nomic else f"layers.{number}."
        if own_nomic:
            up = (f"{at}mlp.fc11", f"{at}mlp.fc12")
            return LayerNames(
                (f"{at}attn.Wqkv",), f"{at}attn.out_proj", f"{at}norm1", up, f"{at}mlp.fc2", f"{at}norm2"
            )
        return LayerNames(
            tuple(f"{at}self_attn.{part}_proj" for part in "qkv"),
            f"{at}self_attn.o_proj",
            f"{at}post_attention_layernorm",
            (f"{at}mlp.up_proj", f"{at}mlp.gate_proj"),
            f"{at}mlp.down_proj",
            f"{at}post_mlp_layernorm",
        )
    at = f"encoder.layer.{number}."
    if config.family == "mpnet":
        qkv, out, norm = (
            [f"attention.attn.{part}" for part in "qkv"],
            "attention.attn.o",
            "attention.LayerNorm",
        )
    else:
        qkv = [f"attention.self.{part}" for part in ("query", "key", "value")]
        out, norm = "attention.output.dense", "attention.output.LayerNorm"
    return LayerNames(
        tuple(at + name for name in qkv),
        at + out,
        at + norm,
        (f"{at}intermediate.dense",),
        f"{at}output.dense",
        f"{at}output.LayerNorm",
    )


def checkpoint_tensors(config: ModelConfig, weights: Weights) -> dict[str, Tensor]:
    """All tensors of the checkpoint in `config.folder`, with `weights` in the place of what it held.

    The token type is folded into other tables (`univar.model.weights`); what is written has zeros for it.
    """
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in weight_files(config.folder):
        tensors.update(load_file(path))
    tensors = {
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        ): tensor
        for name, tensor in tensors.items()
    }
    prefix = min((name.removesuffix(ANCHOR) for name in tensors if name.endswith(ANCHOR)), key=len)
    types = f"{prefix}embeddings.token_type_embeddings.weight"
    if types in tensors:
        tensors[types] = tensors[types].clone()
        tensors[types][0] = 0
    for name, tensor in _named(config, weights, f"{prefix}encoder.layers.0.attn.Wqkv.weight" in tensors):
        old = tensors[prefix + name]
        if name == "embeddings.position_embeddings.weight":
            tensor = torch.cat([old[: config.position_offset].float(), tensor])
        tensors[prefix + name] = tensor.float().contiguous().clone()
    return tensors


def _named(config: ModelConfig, weights: Weights, own_nomic: bool) -> Iterator[tuple[str, Tensor]]:
    yield ANCHOR, weights.word
    if weights.position is not None:
        yield "embeddings.position_embeddings.weight", weights.position
    if weights.relative_bias is not None:
        yield "encoder.relative_attention_bias.weight", weights.relative_bias
    norm = "emb_ln" if own_nomic else "embeddings.LayerNorm"
    yield from _affine((norm,), weights.embedding_norm)
    for number, layer in enumerate(weights.layers):
        yield from _layer(layer_names(config, number, own_nomic), layer)


def _layer(names: LayerNames, layer: LayerWeights) -> Iterator[tuple[str, Tensor]]:
    for part in ("qkv", "out", "attention_norm", "up", "down", "output_norm"):
        yield from _affine(names.matrices(part), getattr(layer, part))


def _affine(names: tuple[str, ...], affine: Affine) -> Iterator[tuple[str, Tensor]]:
    for name, weight in zip(names, affine.weight.chunk(len(names)), strict=True):
        yield f"{name}.weight", weight
    if affine.bias is not None:
        for name, bias in zip(names, affine.bias.chunk(len(names)), strict=True):
            yield f"{name}.bias", bias
