"""Weights of a model folder under names that all families share. Only safetensors: nothing is unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from univar.encoder.config import ModelConfig
from univar.errors import DataError

ANCHOR = "embeddings.word_embeddings.weight"
"""What every checkpoint has, behind whatever prefix."""


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
    """All weights, float32. The one token type there is stands in `position`, or in `word` without one.

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


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder; DataError where there are none."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
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
        raise DataError(f"{path} is missing: fetch the model's safetensors weights")
    return files


def load_weights(config: ModelConfig) -> Weights:
    """Read the weights that `config` describes; DataError names a missing or misshapen tensor."""
    read = _Reader(config)
    family = {"bert": _bert_layer, "roberta": _bert_layer, "mpnet": _mpnet_layer, "nomic_bert": _nomic_layer}
    layer = family[config.family]
    word = read("embeddings.word_embeddings.weight", config.vocab_size, config.dim)
    position = None
    if config.rotary_base is None:
        rows = config.position_offset + config.positions
        position = read("embeddings.position_embeddings.weight", rows, config.dim)[config.position_offset :]
    has_token_type = read.has("embeddings.token_type_embeddings.weight")
    if has_token_type:
        table = word if position is None else position
        table += read("embeddings.token_type_embeddings.weight", None, config.dim)[0]
    norm = "emb_ln" if read.has("emb_ln.weight") else "embeddings.LayerNorm"
    bias = "encoder.relative_attention_bias.weight"
    return Weights(
        word=word,
        position=position,
        embedding_norm=_norm(read, norm),
        relative_bias=read(bias, None, config.heads) if config.family == "mpnet" else None,
        layers=[layer(read, index, config) for index in range(config.layers)],
        has_token_type=has_token_type,
    )


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


class _Reader:
    """Tensors by name, whatever prefix the checkpoint gives them ("bert.", "0.auto_model."), in float32."""

    def __init__(self, config: ModelConfig):
        from safetensors import SafetensorError

        self._folder = config.folder
        tensors: dict[str, np.ndarray] = {}
        for path in weight_files(config.folder):
            try:
                tensors.update(read_tensors(path))
            except (SafetensorError, OSError) as error:
                raise DataError(f"cannot read {path}: {error}") from None
        prefixes = [name.removesuffix(ANCHOR) for name in tensors if name.endswith(ANCHOR)]
        if not prefixes:
            raise DataError(f"{config.folder}: the weights hold no {ANCHOR}: is this a text encoder?")
        prefix = min(prefixes, key=len)
        renamed = ((name.removeprefix(prefix), tensor) for name, tensor in tensors.items())
        # TensorFlow's names of a LayerNorm live on in old checkpoints.
        self._tensors = {
            name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
                "LayerNorm.beta", "LayerNorm.bias"
            ): tensor
            for name, tensor in renamed
        }

    def has(self, name: str) -> bool:
        return name in self._tensors

    def __call__(self, name: str, *shape: int | None) -> np.ndarray:
        if name not in self._tensors:
            raise DataError(f"{self._folder}: the weights hold no {name}, which config.json asks for")
        tensor = self._tensors[name]
        if tensor.ndim != len(shape) or any(
            want not in (None, got) for want, got in zip(shape, tensor.shape, strict=True)
        ):
            raise DataError(f"{self._folder}: {name} is {tensor.shape}, but config.json asks for {shape}")
        return tensor

    def affine(self, name: str, *shape: int) -> Affine:
        bias = self(f"{name}.bias", shape[0]) if self.has(f"{name}.bias") else None
        return Affine(self(f"{name}.weight", *shape), bias)

    def stacked(self, names: list[str], rows: int, columns: int) -> Affine:
        parts = [self.affine(name, rows, columns) for name in names]
        biases = [part.bias for part in parts if part.bias is not None]
        return Affine(
            np.concatenate([part.weight for part in parts]), np.concatenate(biases) if biases else None
        )


def _norm(read: _Reader, name: str) -> Affine:
    dim = read._tensors["embeddings.word_embeddings.weight"].shape[1]
    return Affine(read(f"{name}.weight", dim), read(f"{name}.bias", dim))


def _encoder_layer(
    read: _Reader, index: int, config: ModelConfig, qkv: list[str], out: str, norm: str
) -> LayerWeights:
    prefix = f"encoder.layer.{index}."
    return LayerWeights(
        qkv=read.stacked([f"{prefix}{name}" for name in qkv], config.dim, config.dim),
        out=read.affine(prefix + out, config.dim, config.dim),
        attention_norm=_norm(read, prefix + norm),
        up=read.affine(f"{prefix}intermediate.dense", config.intermediate, config.dim),
        down=read.affine(f"{prefix}output.dense", config.dim, config.intermediate),
        output_norm=_norm(read, f"{prefix}output.LayerNorm"),
    )


def _bert_layer(read: _Reader, index: int, config: ModelConfig) -> LayerWeights:
    qkv = [f"attention.self.{name}" for name in ("query", "key", "value")]
    return _encoder_layer(read, index, config, qkv, "attention.output.dense", "attention.output.LayerNorm")


def _mpnet_layer(read: _Reader, index: int, config: ModelConfig) -> LayerWeights:
    qkv = [f"attention.attn.{name}" for name in ("q", "k", "v")]
    return _encoder_layer(read, index, config, qkv, "attention.attn.o", "attention.LayerNorm")


def _nomic_layer(read: _Reader, index: int, config: ModelConfig) -> LayerWeights:
    """nomic-embed's own names, or those transformers 5 writes for the same model."""
    own = f"encoder.layers.{index}."
    prefix = own if read.has(f"{own}attn.Wqkv.weight") else f"layers.{index}."
    dim, intermediate = config.dim, config.intermediate
    if prefix == own:
        names = ("attn.out_proj", "norm1", ["mlp.fc11", "mlp.fc12"], "mlp.fc2", "norm2")
        qkv = read.affine(f"{prefix}attn.Wqkv", 3 * dim, dim)
    else:
        up = ["mlp.up_proj", "mlp.gate_proj"]
        names = ("self_attn.o_proj", "post_attention_layernorm", up, "mlp.down_proj", "post_mlp_layernorm")
        qkv = read.stacked([f"{prefix}self_attn.{part}_proj" for part in "qkv"], dim, dim)
    out, attention_norm, up_parts, down, output_norm = names
    return LayerWeights(
        qkv=qkv,
        out=read.affine(prefix + str(out), dim, dim),
        attention_norm=_norm(read, prefix + str(attention_norm)),
        up=read.stacked([prefix + part for part in up_parts], intermediate, dim),
        down=read.affine(prefix + str(down), dim, intermediate),
        output_norm=_norm(read, prefix + str(output_norm)),
    )
