"""Each family gives what transformers, or plain PyTorch written here, gives."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

from tests.encoder.conftest import (
    DIM,
    HEADS,
    INNER,
    LAYERS,
    VOCAB,
    hugging_face_folder,
    hugging_face_means,
)
from univar import Encoder, runtime

Packed = tuple[np.ndarray, np.ndarray]

FAMILIES = [
    ("bert", {}),
    ("bert", {"hidden_act": "gelu_new"}),
    ("bert", {"hidden_act": "relu"}),
    ("xlm-roberta", {}),
    ("mpnet", {}),
    ("nomic_bert", {}),
]


@pytest.mark.parametrize(("family", "settings"), FAMILIES, ids=lambda value: str(value))
def test_embeddings_equal_those_of_transformers(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed, family: str, settings: dict[str, object]
) -> None:
    folder = hugging_face_folder(tmp_path / "model", family, tiny_bert, **settings)
    got = Encoder(folder, dtype="fp32", device="cpu").forward_packed(*texts_ids)
    np.testing.assert_allclose(got, hugging_face_means(folder, *texts_ids), atol=3e-6)


@pytest.mark.parametrize(("family", "settings"), FAMILIES, ids=lambda value: str(value))
def test_bf16_stays_near_fp32(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed, family: str, settings: dict[str, object]
) -> None:
    folder = hugging_face_folder(tmp_path / "model", family, tiny_bert, **settings)
    exact = Encoder(folder, dtype="fp32", device="cpu").forward_packed(*texts_ids)
    got = Encoder(folder, dtype="bf16", device="cpu").forward_packed(*texts_ids)
    assert (got * exact).sum(axis=1).min() > 0.999


@pytest.fixture
def nomic(tmp_path: Path, tiny_bert: Path) -> Path:
    """A random model under the names of nomic-embed-text-v1's own checkpoint and config.json."""
    folder = tmp_path / "nomic"
    folder.mkdir()
    rng = np.random.default_rng(3)
    shapes = {"embeddings.word_embeddings": (VOCAB, DIM), "embeddings.token_type_embeddings": (2, DIM)}
    for layer in range(LAYERS):
        prefix = f"encoder.layers.{layer}."
        shapes |= {f"{prefix}attn.Wqkv": (3 * DIM, DIM), f"{prefix}attn.out_proj": (DIM, DIM)}
        shapes |= {f"{prefix}mlp.fc11": (INNER, DIM), f"{prefix}mlp.fc12": (INNER, DIM)}
        shapes |= {f"{prefix}mlp.fc2": (DIM, INNER)}
    tensors = {f"{name}.weight": rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    norms = ["emb_ln", *(f"encoder.layers.{layer}.norm{i}" for layer in range(LAYERS) for i in (1, 2))]
    for norm in norms:
        tensors |= {f"{norm}.weight": rng.normal(1, 0.2, DIM), f"{norm}.bias": rng.normal(0, 0.2, DIM)}
    save_file({k: v.astype(np.float32) for k, v in tensors.items()}, folder / "model.safetensors")
    config = {
        "model_type": "nomic_bert",
        "n_embd": DIM,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_inner": INNER,
        "n_positions": 128,
        "vocab_size": VOCAB,
        "activation_function": "swiglu",
        "layer_norm_epsilon": 1e-12,
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "rotary_scaling_factor": None,
        "prenorm": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(tiny_bert / "tokenizer.json", folder)
    return folder


def nomic_means(folder: Path, ids: np.ndarray, cu_seqlens: np.ndarray) -> np.ndarray:
    """The same model over one padded batch with a mask, in float64."""
    w = {k: torch.from_numpy(v).double() for k, v in load_file(folder / "model.safetensors").items()}
    lengths = np.diff(cu_seqlens)
    padded = torch.zeros(len(lengths), int(lengths.max()), dtype=torch.long)
    for row, (first, last) in enumerate(pairwise(cu_seqlens)):
        padded[row, : last - first] = torch.from_numpy(ids[first:last].astype(np.int64))
    mask = torch.arange(padded.shape[1])[None] < torch.from_numpy(lengths)[:, None]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (DIM,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)

    def turned(x: torch.Tensor) -> torch.Tensor:
        """Rotary embedding as a complex product: dims i and i + half are real and imaginary part."""
        half = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2]).double()[:, None] * 1000.0 ** (-torch.arange(half).double() / half)
        product = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([product.real, product.imag], dim=-1)

    x = w["embeddings.word_embeddings.weight"][padded] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "emb_ln")
    for layer in range(LAYERS):
        prefix = f"encoder.layers.{layer}."
        qkv = (x @ w[f"{prefix}attn.Wqkv.weight"].T).view(*padded.shape, 3, HEADS, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = turned(q) @ turned(k).transpose(-1, -2) / (DIM // HEADS) ** 0.5
        weights = scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)
        attended = (weights @ v).transpose(1, 2).reshape(*padded.shape, DIM)
        x = norm(x + attended @ w[f"{prefix}attn.out_proj.weight"].T, f"{prefix}norm1")
        gate = F.silu(x @ w[f"{prefix}mlp.fc12.weight"].T)
        hidden = (x @ w[f"{prefix}mlp.fc11.weight"].T) * gate
        x = norm(x + hidden @ w[f"{prefix}mlp.fc2.weight"].T, f"{prefix}norm2")
    means = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return F.normalize(means).numpy()


@pytest.mark.parametrize(("dtype", "cosine"), [("fp32", 0.9999999), ("bf16", 0.999)])
def test_nomic_checkpoint_equals_padded_pytorch(
    nomic: Path, texts_ids: Packed, dtype: str, cosine: float
) -> None:
    got = Encoder(nomic, dtype=dtype, device="cpu").forward_packed(*texts_ids)
    assert (got * nomic_means(nomic, *texts_ids)).sum(axis=1).min() > cosine


def test_nomic_with_a_scaled_rotary_base_reads_only_the_trained_positions(nomic: Path) -> None:
    config = json.loads((nomic / "config.json").read_text())
    scaled = {**config, "rotary_scaling_factor": 2, "max_trained_positions": 50}
    (nomic / "config.json").write_text(json.dumps(scaled))
    assert Encoder(nomic, dtype="fp32", device="cpu").max_length == 50


def test_plain_linears_give_the_same_as_packed_ones(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, cu_seqlens = np.arange(5, 25, dtype=np.int32), np.array([0, 7, 20])
    monkeypatch.setattr(runtime, "choose_forward", lambda *_: runtime.Choice("torch", "asked for"))
    packed = Encoder(tiny_bert, dtype="fp32", device="cpu").forward_packed(ids, cu_seqlens)
    monkeypatch.setattr(runtime, "mkldnn_linear_works", lambda: False)
    plain = Encoder(tiny_bert, dtype="fp32", device="cpu").forward_packed(ids, cu_seqlens)
    np.testing.assert_allclose(plain, packed, atol=1e-6)


def test_bf16_in_torch_stays_near_fp32(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hugging_face_folder(tmp_path / "model", "bert", tiny_bert)
    exact = Encoder(folder, dtype="fp32", device="cpu").forward_packed(*texts_ids)
    monkeypatch.setenv("UNIVAR_ISA", "avx2")  # the native bf16 forward needs AMX
    got = Encoder(folder, dtype="bf16", device="cpu").forward_packed(*texts_ids)
    assert (got * exact).sum(axis=1).min() > 0.999
