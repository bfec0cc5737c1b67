"""Shared by all tests: a tiny random encoder, rows to embed, and where the real data are."""

from __future__ import annotations

import json
import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: each is to have one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
WORDS = (
    "a the is it not you they we care duty law free risk trust family work rest share keep give brave calm "
    "fair kind yes no maybe should could help speak wait lead follow ##s ##ing ##ly q : ? . , who what why"
).split()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real answers; tests that want it are skipped where it is absent."""
    folder = Path(os.environ.get("UNIVAR_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "answers_eval.parquet").exists():
        pytest.skip(f"no real answers at {folder}; set UNIVAR_DATA to the folder of answers_eval.parquet")
    return folder


def write_tiny_bert(folder: Path, seed: int = 0, hidden: int = 32, heads: int = 4) -> Path:
    """A BERT of two layers with random weights and a few dozen word pieces, as a Hugging Face folder."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder.mkdir(parents=True)
    letters = [
        piece for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for piece in (letter, f"##{letter}")
    ]
    pieces = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *WORDS])
    vocab = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=special
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.save(str(folder / "tokenizer.json"))

    inner, layers, positions = 64, 2, 128
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}

    def linear(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"] = rng.normal(0, 0.2, (rows, columns)).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, rows).astype(np.float32)

    def layer_norm(name: str) -> None:
        weights[f"{name}.weight"] = rng.normal(1, 0.1, hidden).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, hidden).astype(np.float32)

    for name, rows in (("word", len(vocab)), ("position", positions), ("token_type", 2)):
        weights[f"embeddings.{name}_embeddings.weight"] = rng.normal(0, 0.5, (rows, hidden)).astype(
            np.float32
        )
    layer_norm("embeddings.LayerNorm")
    for layer in range(layers):
        prefix = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{prefix}.attention.self.{part}", hidden, hidden)
        linear(f"{prefix}.attention.output.dense", hidden, hidden)
        layer_norm(f"{prefix}.attention.output.LayerNorm")
        linear(f"{prefix}.intermediate.dense", inner, hidden)
        linear(f"{prefix}.output.dense", hidden, inner)
        layer_norm(f"{prefix}.output.LayerNorm")
    save_file(weights, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": len(vocab),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "hidden_act": "gelu",
        "max_position_embeddings": positions,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random BERT encoder."""
    return write_tiny_bert(tmp_path_factory.mktemp("encoders") / "tiny-bert")


@pytest.fixture(scope="session")
def other_tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shape with other weights: another encoder."""
    return write_tiny_bert(tmp_path_factory.mktemp("encoders") / "other-bert", seed=1)


def answer_rows(n: int, seed: int = 0, models: int = 4) -> list[dict[str, str]]:
    """n distinct answer rows of `models` models in two languages."""
    rng = np.random.default_rng(seed)
    words = [word for word in WORDS if word.isalpha()]
    return [
        {
            "id": f"row-{seed}-{number}",
            "model": f"model-{number % models}",
            "language": ("eng", "spa")[number % 2],
            "question_id": f"q{number // models}",
            "question": f"why {words[(number // models) % len(words)]} {number // models} ?",
            "answer": " ".join(rng.choice(words, size=int(rng.integers(1, 40)))) + f" {seed} {number}",
        }
        for number in range(n)
    ]


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as a JSONL file."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
