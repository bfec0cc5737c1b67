"""What an encoder's folder says about it: family, sizes, pooling, limits.

Sentence-transformers folders (modules.json, as versions up to 5 and as version 6 write it) and plain Hugging
Face folders (mean pooling) can be read. Code in a folder never runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.encoder.modules import read_modules, tokenizer_settings, transformer_settings
from univar.errors import DataError
from univar.files import read_json

FAMILIES = {
    "bert": "bert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "mpnet": "mpnet",
    "nomic_bert": "nomic_bert",
}
"""model_type of config.json -> the family, which chooses the forward."""

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_python": "gelu",
    "relu": "relu",
}

NO_LIMIT = 1_000_000
"""A longest text of so many tokens is none: transformers writes 1e30."""

_COUNTS = ("dim", "layers", "heads", "intermediate", "vocab_size", "positions")
_MOST = 1 << 24


@dataclass(frozen=True)
class EncoderConfig:
    """Everything the forward needs beside the weights.

    `positions` is how many tokens a text can have at most, `position_offset` the row of the first token in
    the position table; `rotary_base` is None for families with such a table. `pad_id` is the id that takes no
    number when a text's tokens are numbered (RoBERTa's kin: the row before `position_offset`), else None.
    """

    folder: Path
    family: str
    dim: int
    layers: int
    heads: int
    intermediate: int
    vocab_size: int
    positions: int
    position_offset: int
    norm_eps: float
    activation: str
    rotary_base: float | None
    pooling: str
    max_length: int
    pad_id: int | None = None

    @property
    def head_dim(self) -> int:
        """Dims of one attention head."""
        return self.dim // self.heads


def read_config(folder: Path) -> EncoderConfig:
    """Read the settings of an encoder's folder; DataError names the file and what is supported."""
    weights_folder, pooling = read_modules(folder)
    path = weights_folder / "config.json"
    _refuse_adapter(weights_folder)
    if not path.exists():
        raise DataError(f"{weights_folder} has no config.json: give the folder of a Hugging Face encoder")
    raw = read_json(path)
    family = FAMILIES.get(str(raw.get("model_type", "")))
    if family is None:
        supported = ", ".join(FAMILIES)
        raise DataError(
            f"{path}: model_type {raw.get('model_type')!r} is not supported; supported: {supported}"
        )
    _refuse_other_models(raw, path)
    limit = _stated_limit(weights_folder)
    try:
        sizes = _nomic_sizes(raw, path) if family == "nomic_bert" else _bert_sizes(raw, family, path)
    except KeyError as error:
        raise DataError(f"{path} has no {error}: is it the config.json of a {family} encoder?") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path} does not describe a {family} encoder: {error}") from None
    wrong = [name for name in _COUNTS if not 0 < sizes[name] < _MOST]
    if wrong:
        raise DataError(f"{path}: {wrong[0]} is {sizes[wrong[0]]}: no encoder has that many")
    if sizes["dim"] % sizes["heads"]:
        raise DataError(
            f"{path}: {sizes['dim']} dims cannot be divided among {sizes['heads']} attention heads"
        )
    max_length = min(sizes["positions"], limit) if limit else sizes["positions"]
    if max_length < 3:
        raise DataError(f"{path.parent}: texts of {max_length} tokens hold no text: raise max_seq_length")
    return EncoderConfig(
        folder=weights_folder, family=family, pooling=pooling, max_length=max_length, **sizes
    )


def _refuse_adapter(folder: Path) -> None:
    """peft's own folders: sentence-transformers adds the adapter to the base that it names."""
    path = folder / "adapter_config.json"
    if path.exists():
        base = read_json(path).get("base_model_name_or_path")
        raise DataError(f"{folder} is an adapter of {base!r}: give both as BASE+{folder.name}")


def _refuse_other_models(raw: dict[str, Any], path: Path) -> None:
    """Settings under which a checkpoint of these names computes something else."""
    for name in ("is_decoder", "quantization_config", "pruned_heads"):
        if raw.get(name):
            raise DataError(f"{path}: {name} {raw[name]!r} is not supported")


def _stated_limit(folder: Path) -> int | None:
    """Tokens a text may have by the settings of sentence-transformers, else by the tokenizer's."""
    settings = transformer_settings(folder)
    limit, path = settings.get("max_seq_length"), folder / "sentence_bert_config.json"
    if limit is None:
        path = folder / "tokenizer_config.json"
        said = tokenizer_settings(folder)
        limit = said.get("model_max_length", said.get("max_len"))
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
        raise DataError(f"{path}: the longest text is {limit!r} tokens: give a whole number above 2")
    return int(limit) if limit < NO_LIMIT else None


def _bert_sizes(raw: dict[str, Any], family: str, path: Path) -> dict[str, Any]:
    if raw.get("position_embedding_type", "absolute") != "absolute":
        raise DataError(
            f"{path}: position_embedding_type {raw['position_embedding_type']!r} is not supported"
        )
    if str(raw.get("hidden_act", "gelu")) not in ACTIVATIONS:
        raise DataError(
            f"{path}: hidden_act {raw['hidden_act']!r} is not supported; supported: {', '.join(ACTIVATIONS)}"
        )
    pad = None if family == "bert" else _pad_id(raw, family, path)
    offset = 0 if pad is None else pad + 1
    return {
        "dim": int(raw["hidden_size"]),
        "layers": int(raw["num_hidden_layers"]),
        "heads": int(raw["num_attention_heads"]),
        "intermediate": int(raw["intermediate_size"]),
        "vocab_size": int(raw["vocab_size"]),
        "positions": int(raw["max_position_embeddings"]) - offset,
        "position_offset": offset,
        "pad_id": pad,
        "norm_eps": float(raw.get("layer_norm_eps", 1e-12)),
        "activation": ACTIVATIONS[raw.get("hidden_act", "gelu")],
        "rotary_base": None,
    }


def _pad_id(raw: dict[str, Any], family: str, path: Path) -> int:
    """The id that RoBERTa's kin leave out when they number a text's tokens, from the next number on."""
    if family == "mpnet":
        return 1  # whatever config.json says
    pad = raw.get("pad_token_id", 1)
    if isinstance(pad, bool) or not isinstance(pad, int) or pad < 0:
        raise DataError(
            f"{path}: pad_token_id is {pad!r}, from which {family} numbers its positions: give the id"
        )
    return pad


def _nomic_sizes(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """nomic-embed's own config.json (GPT-2's names), or the one transformers 5 writes for the same model."""
    if "n_embd" not in raw:
        return _native_nomic_sizes(raw, path)
    expected = {
        "activation_function": "swiglu",
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "prenorm": False,
        "parallel_block": False,
        "use_rms_norm": False,
        "causal": False,
        "num_experts": 0,
    }
    for key, value in expected.items():
        if raw.get(key, value) != value and not (raw.get(key) is None and not value):
            raise DataError(
                f"{path}: {key} {raw[key]!r} is not supported for nomic-bert; supported: {value!r}"
            )
    # Beyond the trained positions the original changes the rotary base with the longest text of a batch.
    scaled = raw.get("rotary_scaling_factor") is not None
    positions = int(raw.get("max_trained_positions", 2048)) if scaled else int(raw["n_positions"])
    return {
        "dim": int(raw["n_embd"]),
        "layers": int(raw["n_layer"]),
        "heads": int(raw["n_head"]),
        "intermediate": int(raw.get("n_inner") or 4 * raw["n_embd"]),
        "vocab_size": int(raw["vocab_size"]),
        "positions": positions,
        "position_offset": 0,
        "norm_eps": float(raw.get("layer_norm_epsilon", 1e-12)),
        "activation": "swiglu",
        "rotary_base": float(raw.get("rotary_emb_base", 10_000)),
    }


def _native_nomic_sizes(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    rope = raw.get("rope_parameters") or {}
    if raw.get("hidden_act", "silu") != "silu" or rope.get("rope_type", "default") != "default":
        raise DataError(
            f"{path}: only hidden_act 'silu' with rope_type 'default' is supported for nomic_bert"
        )
    return {
        "dim": int(raw["hidden_size"]),
        "layers": int(raw["num_hidden_layers"]),
        "heads": int(raw["num_attention_heads"]),
        "intermediate": int(raw["intermediate_size"]),
        "vocab_size": int(raw["vocab_size"]),
        "positions": int(raw["max_position_embeddings"]),
        "position_offset": 0,
        "norm_eps": float(raw.get("layer_norm_eps", 1e-12)),
        "activation": "swiglu",
        "rotary_base": float(rope.get("rope_theta", 1000.0)),
    }
