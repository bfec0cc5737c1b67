"""The modules of a sentence-transformers folder, and what its settings change around the transformer.

univar runs a transformer, then mean or first-token pooling, and brings each row to length 1. A folder that
asks for anything else is refused, so that no embedding differs from sentence-transformers' in silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from univar.errors import DataError
from univar.files import read_json
from univar.kernels.checks import POOLINGS

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
