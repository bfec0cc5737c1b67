"""What an encoder's folder says about it: family, sizes, pooling, limits.

Sentence-transformers folders (modules.json, as versions up to 5 and as version 6 write it) and plain Hugging
Face folders (mean pooling) can be read. Code in a folder never runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.errors import DataError
from univar.files import read_json
from univar.kernels.checks import POOLINGS

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
    "relu": "relu",
}

_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class EncoderConfig:
    """Everything the forward needs beside the weights.

    `positions` is how many tokens a text can have at most, `position_offset` the row of the first token in
    the position table; `rotary_base` is None for families with such a table.
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

    @property
    def head_dim(self) -> int:
        """Dims of one attention head."""
        return self.dim // self.heads


def read_config(folder: Path) -> EncoderConfig:
    """Read the settings of an encoder's folder; DataError names the file and what is supported."""
    weights_folder, pooling_folder = _module_folders(folder)
    path = weights_folder / "config.json"
    if not path.is_file():
        raise DataError(f"{weights_folder} has no config.json: give the folder of a Hugging Face encoder")
    raw = read_json(path)
    family = FAMILIES.get(raw.get("model_type", ""))
    if family is None:
        supported = ", ".join(FAMILIES)
        raise DataError(
            f"{path}: model_type {raw.get('model_type')!r} is not supported; supported: {supported}"
        )
    pooling = "mean" if pooling_folder is None else _pooling(pooling_folder / "config.json")
    limit = _stated_limit(weights_folder)
    try:
        sizes = _nomic_sizes(raw, path) if family == "nomic_bert" else _bert_sizes(raw, family, path)
    except KeyError as error:
        raise DataError(f"{path} has no {error}: is it the config.json of a {family} encoder?") from None
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} does not describe a {family} encoder: {error}") from None
    if sizes["dim"] % sizes["heads"]:
        raise DataError(
            f"{path}: {sizes['dim']} dims cannot be divided among {sizes['heads']} attention heads"
        )
    max_length = min(sizes["positions"], limit) if limit else sizes["positions"]
    return EncoderConfig(
        folder=weights_folder, family=family, pooling=pooling, max_length=max_length, **sizes
    )


def _module_folders(folder: Path) -> tuple[Path, Path | None]:
    """Folders of the transformer and of the pooling, None where modules.json names none."""
    path = folder / "modules.json"
    if not path.is_file():
        return folder, None
    named: dict[str, Path] = {}
    for module in read_json(path, list):
        name = str(module["type"]).rsplit(".", 1)[-1]
        if name not in ("Transformer", "Pooling", "Normalize"):
            raise DataError(
                f"{path}: module {name!r} is not supported; supported: Transformer, Pooling, Normalize"
            )
        named[name] = _inside(folder, module["path"], path)
    if "Transformer" not in named:
        raise DataError(f"{path} names no Transformer module: is this a text encoder?")
    _refuse_prompts(folder / "config_sentence_transformers.json")
    return named["Transformer"], named.get("Pooling")


def _inside(folder: Path, relative: str, path: Path) -> Path:
    target = (folder / relative).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise DataError(f"{path}: module path {relative!r} leads out of the folder")
    return folder / relative


def _refuse_prompts(path: Path) -> None:
    if path.is_file() and read_json(path).get("default_prompt_name"):
        raise DataError(
            f"{path} sets a default prompt, which univar does not add: set default_prompt_name to null "
            f"and put the prompt into the texts"
        )


def _pooling(path: Path) -> str:
    raw = read_json(path)
    if "pooling_mode" in raw:
        modes = raw["pooling_mode"] if isinstance(raw["pooling_mode"], list) else [raw["pooling_mode"]]
    else:
        modes = [mode for key, mode in _LEGACY_POOLING.items() if raw.get(key)] or ["mean"]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise DataError(
            f"{path}: pooling {'+'.join(modes)!r} is not supported; supported: {', '.join(POOLINGS)}"
        )
    return str(modes[0])


def _stated_limit(folder: Path) -> int | None:
    """Tokens a text may have according to sentence_bert_config.json, else to tokenizer_config.json."""
    path = folder / "sentence_bert_config.json"
    raw = read_json(path) if path.is_file() else {}
    if raw.get("do_lower_case"):
        raise DataError(f"{path}: do_lower_case is not supported; set it in the tokenizer instead")
    limit = raw.get("max_seq_length")
    if limit is None and (folder / "tokenizer_config.json").is_file():
        limit = read_json(folder / "tokenizer_config.json").get("model_max_length")
    return int(limit) if limit and limit < 1_000_000 else None  # transformers writes 1e30 for "no limit"


def _bert_sizes(raw: dict[str, Any], family: str, path: Path) -> dict[str, Any]:
    if raw.get("position_embedding_type", "absolute") != "absolute":
        raise DataError(
            f"{path}: position_embedding_type {raw['position_embedding_type']!r} is not supported"
        )
    if raw.get("hidden_act", "gelu") not in ACTIVATIONS:
        raise DataError(
            f"{path}: hidden_act {raw['hidden_act']!r} is not supported; supported: {', '.join(ACTIVATIONS)}"
        )
    offset = 0 if family == "bert" else int(raw.get("pad_token_id") or 1) + 1
    return {
        "dim": int(raw["hidden_size"]),
        "layers": int(raw["num_hidden_layers"]),
        "heads": int(raw["num_attention_heads"]),
        "intermediate": int(raw["intermediate_size"]),
        "vocab_size": int(raw["vocab_size"]),
        "positions": int(raw["max_position_embeddings"]) - offset,
        "position_offset": offset,
        "norm_eps": float(raw.get("layer_norm_eps", 1e-12)),
        "activation": ACTIVATIONS[raw.get("hidden_act", "gelu")],
        "rotary_base": None,
    }


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
