"""Weights of an encoder's folder: the names of its tensors by family, read and written from one table.

Only safetensors: nothing is unpickled.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from univar.encoder.config import EncoderConfig
from univar.errors import DataError
from univar.files import os_call, read_json

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("qkv", "out", "attention_norm", "up", "down", "output_norm")
"""The parts of a layer (`LayerWeights`)."""
MATRICES = ("qkv", "out", "up", "down")
"""Those of them that are linear layers; the others are LayerNorms."""

WORD = "embeddings.word_embeddings.weight"
"""A tensor that every checkpoint has, behind whatever prefix."""
POSITION = "embeddings.position_embeddings.weight"
TOKEN_TYPE = "embeddings.token_type_embeddings.weight"
RELATIVE_BIAS = "encoder.relative_attention_bias.weight"
EMBEDDING_NORM = "embeddings.LayerNorm"

_BERT_FEED_FORWARD = {
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}
_LAYERS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "bert": (
        "encoder.layer.{}.",
        {
            "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
            "out": ("attention.output.dense",),
            "attention_norm": ("attention.output.LayerNorm",),
            **_BERT_FEED_FORWARD,
        },
    ),
    "mpnet": (
        "encoder.layer.{}.",
        {
            "qkv": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
            "out": ("attention.attn.o",),
            "attention_norm": ("attention.LayerNorm",),
            **_BERT_FEED_FORWARD,
        },
    ),
    "nomic_bert": (
        "layers.{}.",
        {
            "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "out": ("self_attn.o_proj",),
            "attention_norm": ("post_attention_layernorm",),
            "up": ("mlp.up_proj", "mlp.gate_proj"),
            "down": ("mlp.down_proj",),
            "output_norm": ("post_mlp_layernorm",),
        },
    ),
    "nomic_own": (
        "encoder.layers.{}.",
        {
            "qkv": ("attn.Wqkv",),
            "out": ("attn.out_proj",),
            "attention_norm": ("norm1",),
            "up": ("mlp.fc11", "mlp.fc12"),
            "down": ("mlp.fc2",),
            "output_norm": ("norm2",),
        },
    ),
}
"""Naming -> prefix of layer n, and the modules that are stacked to each part of a layer.

"nomic_own" is what nomic-embed's own checkpoints have, "nomic_bert" what transformers 5 writes.
"""
_EMBEDDING_NORMS = {"nomic_own": "emb_ln"}


@dataclass(frozen=True)
class Affine:
    """Weight and bias of a linear layer (out, in) and (out,), or of a LayerNorm (dim,) and (dim,)."""

    weight: np.ndarray
    bias: np.ndarray | None


@dataclass(frozen=True)
class LayerWeights:
    """One transformer layer. `qkv` is (3 * dim, dim): queries, keys, values; SwiGLU's `up`: value, gate."""

    qkv: Affine
    out: Affine
    attention_norm: Affine
    up: Affine
    down: Affine
    output_norm: Affine


@dataclass(frozen=True)
class Weights:
    """All weights, float32. The one token type there is has been added to `position`, or to `word` if None.

    word: (V, dim); position: (positions, dim), row i for token i of a text, or None; relative_bias: (buckets,
    heads), MPNet's, or None. `has_token_type`: whether there was a token type at all.
    """

    word: np.ndarray
    position: np.ndarray | None
    embedding_norm: Affine
    relative_bias: np.ndarray | None
    layers: list[LayerWeights]
    has_token_type: bool = False


def lowest_layers(weights: Weights, layers: int) -> Weights:
    """The same encoder without its layers above the first `layers`."""
    return replace(weights, layers=weights.layers[:layers])


def layer_names(family: str, number: int) -> dict[str, tuple[str, ...]]:
    """Names of the modules that are stacked to each part of layer `number`.

    family: one of a config, or "nomic_own"
    """
    prefix, modules = _LAYERS["bert" if family == "roberta" else family]
    return {part: tuple(prefix.format(number) + name for name in names) for part, names in modules.items()}


def load_weights(config: EncoderConfig) -> Weights:
    """Read the weights that `config` describes; DataError names a missing or misshapen tensor."""
    read = _Reader(config)
    family = _naming(config, read.names)
    word = read(WORD, config.vocab_size, config.dim)
    position = None
    if config.rotary_base is None:
        rows = config.position_offset + config.positions
        position = read(POSITION, rows, config.dim)[config.position_offset :]
    has_token_type = TOKEN_TYPE in read.names
    if has_token_type:
        table = word if position is None else position
        table += read(TOKEN_TYPE, None, config.dim)[0]
    return Weights(
        word=word,
        position=position,
        embedding_norm=read.norm((_EMBEDDING_NORMS.get(family, EMBEDDING_NORM),), config.dim),
        relative_bias=read(RELATIVE_BIAS, None, config.heads) if family == "mpnet" else None,
        layers=[_layer(read, config, layer_names(family, number)) for number in range(config.layers)],
        has_token_type=has_token_type,
    )


def _layer(read: _Reader, config: EncoderConfig, names: dict[str, tuple[str, ...]]) -> LayerWeights:
    dim, inner = config.dim, config.intermediate
    shapes = {
        "qkv": (3 * dim, dim),
        "out": (dim, dim),
        "up": (2 * inner if config.activation == "swiglu" else inner, dim),
        "down": (dim, inner),
    }
    parts = {part: read.stacked(names[part], *shape) for part, shape in shapes.items()}
    norms = {part: read.norm(names[part], dim) for part in ("attention_norm", "output_norm")}
    return LayerWeights(**parts, **norms)


def _naming(config: EncoderConfig, names: Collection[str]) -> str:
    """The key of `_LAYERS` that tells the names of a checkpoint, whose tensors are `names`."""
    if config.family == "nomic_bert" and f"{layer_names('nomic_own', 0)['qkv'][0]}.weight" in names:
        return "nomic_own"
    return config.family


class _Reader:
    """Tensors by name, whatever prefix the checkpoint gives them ("bert.", "0.auto_model."), in float32."""

    def __init__(self, config: EncoderConfig):
        from safetensors import SafetensorError

        self._folder = config.folder
        tensors: dict[str, np.ndarray] = {}
        for path in weight_files(config.folder):
            try:
                tensors.update(read_tensors(path))
            except (SafetensorError, OSError) as error:
                raise DataError(f"cannot read {path}: {error}") from None
        prefix = _prefix(tensors, config.folder)
        self._tensors = {_modern(name.removeprefix(prefix)): tensor for name, tensor in tensors.items()}

    @property
    def names(self) -> Collection[str]:
        return self._tensors.keys()

    def __call__(self, name: str, *shape: int | None) -> np.ndarray:
        if name not in self._tensors:
            raise DataError(
                f"{self._folder}: tensor {name} not found in the weights, but config.json asks for it"
            )
        tensor = self._tensors[name]
        if tensor.ndim != len(shape) or any(
            want not in (None, got) for want, got in zip(shape, tensor.shape, strict=True)
        ):
            raise DataError(f"{self._folder}: {name} is {tensor.shape}, but config.json asks for {shape}")
        return tensor

    def stacked(self, names: tuple[str, ...], rows: int, columns: int) -> Affine:
        """One linear layer (rows, columns) of modules of equal size."""
        rows //= len(names)
        weights = [self(f"{name}.weight", rows, columns) for name in names]
        biases = [self(f"{name}.bias", rows) for name in names if f"{name}.bias" in self._tensors]
        if len(names) == 1:
            return Affine(weights[0], biases[0] if biases else None)
        return Affine(np.concatenate(weights), np.concatenate(biases) if biases else None)

    def norm(self, names: tuple[str, ...], dim: int) -> Affine:
        (name,) = names
        return Affine(self(f"{name}.weight", dim), self(f"{name}.bias", dim))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of an encoder's folder; DataError where there are none."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        placed = read_json(index).get("weight_map")
        if not isinstance(placed, dict) or not all(isinstance(name, str) for name in placed.values()):
            raise DataError(f"{index} does not say which file holds each weight: fetch it again")
        names = sorted(set(placed.values()))
        files = [folder / Path(name).name for name in names]
    else:
        files = [folder / "model.safetensors"]
    for path in files:
        if path.is_file():
            continue
        if (folder / "pytorch_model.bin").is_file():
            raise DataError(
                f"{folder} has only pytorch_model.bin, a pickle, which univar never opens: load it once with "
                f"transformers and save_pretrained(..., safe_serialization=True)"
            )
        raise DataError(f"{path} is missing: fetch the encoder's safetensors weights")
    return files


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of floats of a safetensors file by name, in float32; raises SafetensorError or OSError."""
    from safetensors import deserialize, safe_open

    with safe_open(path, "numpy") as file:
        names = file.keys()
        dtypes = {name: file.get_slice(name).get_dtype() for name in names}
        tensors = {
            name: file.get_tensor(name).astype(np.float32, copy=False)
            for name, dtype in dtypes.items()
            if dtype in ("F64", "F32", "F16")
        }
    if "BF16" in dtypes.values():  # which NumPy lacks: the upper half of a float32
        for name, tensor in deserialize(path.read_bytes()):
            if tensor["dtype"] == "BF16":
                bits = np.frombuffer(tensor["data"], np.uint16).astype(np.uint32) << 16
                tensors[name] = bits.view(np.float32).reshape(tensor["shape"])
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray] | Mapping[str, Tensor]) -> None:
    """Write a safetensors file whose permissions are those that the umask leaves; raises OSError."""
    from safetensors import SafetensorError

    is_numpy = all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
    library = importlib.import_module(f"safetensors.{'numpy' if is_numpy else 'torch'}")
    os_call(lambda: open(path, "ab").close())
    mode = path.stat().st_mode  # the library makes a new file that nobody else may read
    try:
        os_call(library.save_file, dict(tensors), path, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error
    os.chmod(path, mode)


def checkpoint_tensors(config: EncoderConfig, weights: Weights) -> dict[str, Tensor]:
    """All tensors of the checkpoint in `config.folder`, with `weights` in the place of what it held.

    Layers that `weights` no longer has are left out. The token type is part of another table (`Weights`), so
    zeros are written for it.
    """
    import torch
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in weight_files(config.folder):
        tensors.update(load_file(path))
    prefix = _prefix(tensors, config.folder)
    tensors = {_modern(name): tensor for name, tensor in tensors.items()}
    family = _naming(config, {name.removeprefix(prefix) for name in tensors})
    if (types := prefix + TOKEN_TYPE) in tensors:
        tensors[types] = tensors[types].clone()
        tensors[types][0] = 0
    for number in range(len(weights.layers), config.layers):
        modules = layer_names(family, number).values()
        dropped = tuple(f"{prefix}{name}." for names in modules for name in names)
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(dropped)}
    for name, array in _named(weights, family):
        if name == POSITION:
            before = tensors[prefix + POSITION][: config.position_offset].float().numpy()
            array = np.concatenate([before, array])
        tensors[prefix + name] = torch.tensor(array)
    return tensors


def _named(weights: Weights, family: str) -> Iterator[tuple[str, np.ndarray]]:
    yield WORD, weights.word
    if weights.position is not None:
        yield POSITION, weights.position
    if weights.relative_bias is not None:
        yield RELATIVE_BIAS, weights.relative_bias
    yield from _unstacked((_EMBEDDING_NORMS.get(family, EMBEDDING_NORM),), weights.embedding_norm)
    for number, layer in enumerate(weights.layers):
        for part, names in layer_names(family, number).items():
            yield from _unstacked(names, getattr(layer, part))


def _unstacked(names: tuple[str, ...], affine: Affine) -> Iterator[tuple[str, np.ndarray]]:
    for name, weight in zip(names, np.split(affine.weight, len(names)), strict=True):
        yield f"{name}.weight", weight
    if affine.bias is not None:
        for name, bias in zip(names, np.split(affine.bias, len(names)), strict=True):
            yield f"{name}.bias", bias


def _prefix(names: Collection[str], folder: Path) -> str:
    """What stands before every name of a checkpoint."""
    prefixes = [name.removesuffix(WORD) for name in names if name.endswith(WORD)]
    if not prefixes:
        raise DataError(f"{folder}: tensor {WORD} not found in the weights: is this a text encoder?")
    return min(prefixes, key=len)


def _modern(name: str) -> str:
    """The name of a tensor today: TensorFlow's names of a LayerNorm live on in old checkpoints."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
