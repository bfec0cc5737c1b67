"""An encoder as a folder that `SentenceTransformer(folder)` opens, in versions 5 and 6.

The module types of modules.json and the tokenizer class are written as version 5 knows them; version 6 reads
both.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from univar import __version__
from univar.encoder.adapter import adapted_weights
from univar.encoder.checkpoint import Weights, checkpoint_tensors, write_tensors
from univar.encoder.config import EncoderConfig, read_config
from univar.encoder.spec import ResolvedSpec
from univar.errors import UsageError
from univar.files import new_folder, refuse_existing, reported

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
COPIED = ("config.json", "tokenizer.json", "vocab.txt", "*.safetensors", "*.safetensors.index.json")
ROBERTA_TOKENS = {"bos": "<s>", "cls": "<s>", "sep": "</s>", "eos": "</s>"}
SPECIAL_TOKENS = {
    "bert": {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"},
    "roberta": {**ROBERTA_TOKENS, "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"},
    "mpnet": {**ROBERTA_TOKENS, "pad": "<pad>", "unk": "[UNK]", "mask": "<mask>"},
}


def export_encoder(
    source: ResolvedSpec,
    folder: str | Path,
    *,
    max_length: int | None = None,
    force: bool = False,
    weights: Weights | None = None,
    extra: dict[str, str] | None = None,
) -> Path:
    """Write the encoder at `source` to `folder`, whole or not at all; returns `folder`.

    max_length: tokens to which sentence-transformers truncates a text; default: the encoder's own limit
    weights:    written in place of the encoder's own, as training does
    extra:      further text files of the folder by name; a README.md replaces ours
    Raises UsageError if `folder` exists (unless `force`) or for a family that sentence-transformers cannot
    load without remote code, ProviderError where the disk fails.
    """
    folder = Path(folder)
    config = read_config(source.folder)
    if config.family not in SPECIAL_TOKENS and weights is None:
        raise UsageError(
            f"{source.id} is a {config.family} encoder, which sentence-transformers 5 loads only with remote "
            f"code: open it with univar.Encoder({source.id!r})"
        )
    if weights is None and source.adapter is not None:
        weights = adapted_weights(source, config)
    refuse_existing(folder, force)
    with reported("write", folder), new_folder(folder, replace=force) as made:
        _write_folder(made, source, config, max_length or config.max_length, weights)
        for name, content in (extra or {}).items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(content, encoding="utf-8")
    return folder


def _write_folder(
    folder: Path, source: ResolvedSpec, config: EncoderConfig, max_length: int, weights: Weights | None
) -> None:
    for pattern in COPIED:
        for path in sorted(config.folder.glob(pattern)):
            if weights is None or "safetensors" not in path.name:
                shutil.copyfile(path, folder / path.name)
    if weights is not None:
        write_tensors(folder / "model.safetensors", checkpoint_tensors(config, weights))
        _set_layers(folder / "config.json", len(weights.layers))
    _write_json(folder / "modules.json", MODULES)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    _write_json(folder / "1_Pooling" / "config.json", _pooling(config))
    (folder / "2_Normalize").mkdir()
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(config, max_length))
    card = _card(source, config, max_length)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _set_layers(path: Path, layers: int) -> None:
    """Set the number of layers in a copied config.json: training may have dropped the upper ones."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["n_layer" if "n_layer" in content else "num_hidden_layers"] = layers
    _write_json(path, content)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _pooling(config: EncoderConfig) -> dict[str, Any]:
    modes = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "mean_sqrt_len_tokens": "sqrt"}
    chosen = {f"pooling_mode_{name}": mode == config.pooling for name, mode in modes.items()}
    return {"word_embedding_dimension": config.dim, **chosen}


def _tokenizer_config(config: EncoderConfig, max_length: int) -> dict[str, Any]:
    """The encoder's own special tokens, with a tokenizer class that transformers 4 and 5 both know."""
    path = config.folder / "tokenizer_config.json"
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    special = SPECIAL_TOKENS.get(config.family, SPECIAL_TOKENS["bert"])
    tokens = {f"{name}_token": token for name, token in special.items()}
    kept = {name: said.get(name) or token for name, token in tokens.items()}
    return {**kept, "model_max_length": max_length, "tokenizer_class": "PreTrainedTokenizerFast"}


def _card(source: ResolvedSpec, config: EncoderConfig, max_length: int) -> str:
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# {source.id}

A sentence encoder exported by univar {__version__}.

| | |
|---|---|
| origin | {source.id}, revision {source.revision} |
| family | {config.family}, {config.layers} layers, {config.heads} heads |
| dimensions | {config.dim} |
| longest text | {max_length} tokens |
| pooling | {config.pooling}, then length 1 |

```python
from sentence_transformers import SentenceTransformer

embeddings = SentenceTransformer("path/to/this/folder").encode(["Q: question A: answer"])
```

Licence and training data are those of the origin. Embeddings hold topic and style as well as values; that two
are near each other proves nothing about what an LLM values.
"""
