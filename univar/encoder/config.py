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
    "gelu_accurate": "gelu_tanh",
    "gelu_python": "gelu",
    "relu": "relu",
}

SUPPORTED = "Transformer, then Pooling, then Dropout or Normalize"
LOAD_KWARGS = {"model_kwargs": "model_args", "config_kwargs": "config_args"}
"""Arguments that a folder hands to the model's and the config's loader -> their names in old folders."""

_SETTINGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
"""Names of the transformer module's settings, in the order in which sentence-transformers looks for them."""

_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SAME_DIRECTION = {"mean_sqrt_len_tokens": "mean"}
"""Poolings that give another one's row times a number, which is gone once the row has length 1."""

_HARMLESS = {"torch_dtype", "dtype", "attn_implementation", "trust_remote_code", "device_map", "use_cache"}

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
    if not 0 <= sizes["norm_eps"] < 1:
        raise DataError(f"{path}: layer_norm_eps is {sizes['norm_eps']}: give a small number, such as 1e-12")
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


def read_modules(folder: Path) -> tuple[Path, str]:
    """The transformer's folder and the pooling of an encoder; DataError for what is not supported."""
    path = folder / "modules.json"
    if not path.exists():
        return folder, "mean"
    modules = read_json(path, list)
    try:
        named = [
            (_known(str(module["type"]), path), _inside(folder, str(module["path"]), path))
            for module in modules
        ]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} lists a module without {error}: is it a modules.json?") from None
    if "Transformer" not in [name for name, _ in named]:
        raise DataError(f"{path} names no Transformer module: is this a text encoder?")
    _refuse_prompts(folder / "config_sentence_transformers.json")
    names = [name for name, _ in named]
    if names[0] != "Transformer" or names.count("Transformer") != 1 or names[1:2] != ["Pooling"]:
        raise DataError(f"{path}: the modules {', '.join(names)} are not supported; supported: {SUPPORTED}")
    if "Pooling" in names[2:]:
        raise DataError(f"{path}: a second Pooling module is not supported; supported: {SUPPORTED}")
    transformer = named[0][1]
    _refuse_settings(*_settings(transformer))
    return transformer, _pooling(named[1][1] / "config.json")


def transformer_settings(folder: Path) -> dict[str, Any]:
    """What sentence_bert_config.json says in a transformer's folder; {} in a plain Hugging Face folder.

    sentence-transformers reads it only in folders that it wrote, those with a modules.json.
    """
    if not any((place / "modules.json").exists() for place in (folder, folder.parent)):
        return {}
    return _settings(folder)[1]


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, changed by what the transformer's settings hand to the tokenizer's loader."""
    path = folder / "tokenizer_config.json"
    said = read_json(path) if path.exists() else {}
    settings = transformer_settings(folder)
    given = settings.get("processor_kwargs") or settings.get("tokenizer_args") or {}
    if not isinstance(given, dict):
        raise DataError(f"{folder / _SETTINGS[0]}: processor_kwargs is no JSON object")
    return {**said, **{name: value for name, value in given.items() if name not in _HARMLESS}}


def _settings(folder: Path) -> tuple[Path, dict[str, Any]]:
    for name in _SETTINGS:
        if (folder / name).exists() and (settings := read_json(folder / name)):
            return folder / name, settings
    return folder / _SETTINGS[0], {}


def _known(module: str, path: Path) -> str:
    name = module.rsplit(".", 1)[-1]
    if not module.startswith("sentence_transformers."):
        raise DataError(f"{path}: module {module!r} is code of its own, which univar never runs")
    if name not in ("Transformer", "Pooling", "Dropout", "Normalize"):
        raise DataError(f"{path}: module {name!r} is not supported; supported: {SUPPORTED}")
    return name


def _inside(folder: Path, relative: str, path: Path) -> Path:
    try:
        target = (folder / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: module path {relative!r} cannot be followed: {error}") from None
    if not target.is_relative_to(folder.resolve()):
        raise DataError(f"{path}: module path {relative!r} leads out of the folder")
    return folder / relative


def _refuse_prompts(path: Path) -> None:
    if not path.exists():
        return
    raw = read_json(path)
    kind = raw.get("model_type") or "SentenceTransformer"
    if kind != "SentenceTransformer":
        raise DataError(f"{path}: a model of type {kind!r} is not supported; supported: SentenceTransformer")
    name, prompts = raw.get("default_prompt_name"), raw.get("prompts")
    if name and (not isinstance(prompts, dict) or prompts.get(str(name)) != ""):
        raise DataError(
            f"{path} sets a default prompt, which univar does not add: set default_prompt_name to null "
            f"and put the prompt into the texts"
        )


def _refuse_settings(path: Path, settings: dict[str, Any]) -> None:
    task = settings.get("transformer_task") or "feature-extraction"
    if task != "feature-extraction":
        raise DataError(
            f"{path}: transformer_task {task!r} is not supported; supported: 'feature-extraction'"
        )
    modalities = settings.get("modality_config") or {"text": {"method_output_name": "last_hidden_state"}}
    text = modalities.get("text") if isinstance(modalities, dict) and len(modalities) == 1 else None
    if not isinstance(text, dict) or text.get("method_output_name") not in (None, "last_hidden_state"):
        raise DataError(f"{path}: modality_config is not supported but for text by its last hidden state")
    if settings.get("processing_kwargs"):
        raise DataError(f"{path}: processing_kwargs {settings['processing_kwargs']!r} is not supported")
    for name, old in LOAD_KWARGS.items():
        given = settings.get(name) or settings.get(old) or {}
        if not isinstance(given, dict) or set(given) - _HARMLESS:
            raise DataError(f"{path}: {name} {given!r} is not supported: write it into config.json")


def _pooling(path: Path) -> str:
    raw = read_json(path)
    if "pooling_mode" in raw:
        modes = raw["pooling_mode"] if isinstance(raw["pooling_mode"], list) else [raw["pooling_mode"]]
    else:
        modes = [mode for key, mode in _LEGACY_POOLING.items() if raw.get(key)] or ["mean"]
    chosen = _SAME_DIRECTION.get(str(modes[0]), str(modes[0])) if len(modes) == 1 else ""
    if chosen not in POOLINGS:
        raise DataError(
            f"{path}: pooling {'+'.join(map(str, modes))!r} is not supported; supported: "
            f"{', '.join(POOLINGS)}"
        )
    return chosen
