"""Trained weights under the names of their checkpoint: the way back of `univar.encoder.weights`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from univar.encoder.config import ModelConfig
from univar.encoder.names import LayerNames, layer_names
from univar.encoder.weights import ANCHOR, Affine, LayerWeights, Weights, weight_files

PARTS = ("qkv", "out", "attention_norm", "up", "down", "output_norm")
"""Of a layer (`LayerWeights`)."""


def checkpoint_tensors(config: ModelConfig, weights: Weights) -> dict[str, Tensor]:
    """All tensors of the checkpoint in `config.folder`, with `weights` in the place of what it held.

    Layers that `weights` no longer has are left out.
    The token type is folded into other tables (`univar.encoder.weights`); what is written has zeros for it.
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
    own_nomic = f"{prefix}encoder.layers.0.attn.Wqkv.weight" in tensors
    for number in range(len(weights.layers), config.layers):
        names = layer_names(config, number, own_nomic)
        dropped = tuple(f"{prefix}{module}." for part in PARTS for module in names.matrices(part))
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(dropped)}
    for name, array in _named(config, weights, own_nomic):
        old = tensors[prefix + name]
        if name == "embeddings.position_embeddings.weight":
            array = np.concatenate([old[: config.position_offset].float().numpy(), array])
        tensors[prefix + name] = torch.tensor(array)
    return tensors


def _named(config: ModelConfig, weights: Weights, own_nomic: bool) -> Iterator[tuple[str, np.ndarray]]:
    yield ANCHOR, weights.word
    if weights.position is not None:
        yield "embeddings.position_embeddings.weight", weights.position
    if weights.relative_bias is not None:
        yield "encoder.relative_attention_bias.weight", weights.relative_bias
    norm = "emb_ln" if own_nomic else "embeddings.LayerNorm"
    yield from _affine((norm,), weights.embedding_norm)
    for number, layer in enumerate(weights.layers):
        yield from _layer(layer_names(config, number, own_nomic), layer)


def _layer(names: LayerNames, layer: LayerWeights) -> Iterator[tuple[str, np.ndarray]]:
    for part in PARTS:
        yield from _affine(names.matrices(part), getattr(layer, part))


def _affine(names: tuple[str, ...], affine: Affine) -> Iterator[tuple[str, np.ndarray]]:
    for name, weight in zip(names, np.split(affine.weight, len(names)), strict=True):
        yield f"{name}.weight", weight
    if affine.bias is not None:
        for name, bias in zip(names, np.split(affine.bias, len(names)), strict=True):
            yield f"{name}.bias", bias
