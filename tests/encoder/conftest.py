"""Tiny random encoders of every family, with heads of 32 dims so that the bf16 kernels take them too."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

VOCAB, DIM, LAYERS, HEADS, INNER, POSITIONS = 60, 64, 2, 2, 96, 80


@pytest.fixture
def texts_ids() -> tuple[np.ndarray, np.ndarray]:
    """Packed ids of texts of 1 to 70 tokens, many of them of one length, none of them padding."""
    lengths = [5, 1, 70, 5, 33, 32, 5, 31, 64, 2, 17, 16]
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.random.default_rng(0).integers(3, VOCAB, cu_seqlens[-1]).astype(np.int32)
    return ids, cu_seqlens


def hugging_face_folder(folder: Path, family: str, tokenizer: Path, **settings: object) -> Path:
    """A random model of transformers' own class, saved by transformers."""
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    config_class, model_class = {
        "bert": ("BertConfig", "BertModel"),
        "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel"),
        "mpnet": ("MPNetConfig", "MPNetModel"),
        "nomic_bert": ("NomicBertConfig", "NomicBertModel"),
    }[family]
    if not hasattr(transformers, model_class):
        pytest.skip(f"this transformers has no {model_class}")
    offset = 0 if family in ("bert", "nomic_bert") else 2
    config = getattr(transformers, config_class)(
        vocab_size=VOCAB,
        hidden_size=DIM,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=POSITIONS + offset,
        type_vocab_size=2 if offset == 0 else 1,
        initializer_range=0.3,
        pad_token_id=0 if offset == 0 else 1,
        **settings,
    )
    torch.manual_seed(0)
    model = getattr(transformers, model_class)(config)
    model.save_pretrained(folder)
    shutil.copy(tokenizer / "tokenizer.json", folder)
    return folder


def hugging_face_means(folder: Path, ids: np.ndarray, cu_seqlens: np.ndarray) -> np.ndarray:
    """Mean of the last hidden states of each text, rows of length 1, by transformers, one text at a time."""
    import transformers

    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for first, last in pairwise(cu_seqlens):
        text = torch.from_numpy(ids[first:last].astype(np.int64))[None]
        with torch.no_grad():
            rows.append(model(text, attention_mask=torch.ones_like(text)).last_hidden_state[0].mean(0))
    return torch.nn.functional.normalize(torch.stack(rows)).numpy()


def edit_json(path: Path, **changes: object) -> None:
    """Change some keys of a JSON file."""
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**content, **changes}))


@pytest.fixture
def editable_bert(tmp_path: Path, tiny_bert: Path) -> Path:
    """A copy of the tiny BERT that a test may spoil."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
