"""The forward of CUDA devices: batches of rounded shapes, and the forward over them, on the CPU too."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="kernels need the package triton")

from tests.encoder.conftest import VOCAB, hugging_face_folder
from univar import Encoder, runtime
from univar.encoder.checkpoint import load_weights
from univar.encoder.config import read_config
from univar.encoder.forward_cuda import CudaForward, pad_batch
from univar.encoder.packing import Layout

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
DEVICE = CUDA if torch.cuda.is_available() else CPU


def attention_by_text(q, k, v, cu_seqlens, max_length):
    """What a varlen kernel does, text by text. q, k, v: (T, heads, head_dim)."""
    out = torch.empty_like(q)
    for start, end in pairwise(cu_seqlens.tolist()):
        assert 0 <= end - start <= max_length
        if start < end:
            parts = (x[start:end].transpose(0, 1)[None] for x in (q, k, v))
            out[start:end] = F.scaled_dot_product_attention(*parts)[0].transpose(0, 1)
    return out


def cuda_forward(config) -> CudaForward:
    """On the device, or step by step on the CPU where there is none."""
    attention = attention_by_text if DEVICE == CPU else None
    return CudaForward(config, load_weights(config), "bf16", DEVICE, attention)


@pytest.mark.parametrize("lengths", [[1], [5, 5, 3], [70, 1], [16] * 40, [100]])
def test_padding_keeps_the_texts_and_fills_the_rest(lengths):
    layout = Layout(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    ids = np.arange(1, layout.tokens + 1, dtype=np.int32)
    batch = pad_batch(ids, layout, budget=1024, longest=100)
    tokens, texts, longest = batch.shape
    assert batch.ids[: layout.tokens].tolist() == ids.tolist()
    assert batch.cu_seqlens[: len(lengths) + 1].tolist() == layout.cu_seqlens.tolist()
    steps = torch.diff(batch.cu_seqlens)
    assert steps.min() >= 0
    assert steps.max() <= longest <= 100
    assert batch.cu_seqlens[-1] == tokens
    assert texts & (texts - 1) == 0
    starts = torch.repeat_interleave(batch.cu_seqlens[:-1], steps)
    assert torch.equal(batch.positions, torch.arange(tokens) - starts)
    assert batch.positions.max() < 100


def test_full_batches_share_a_few_shapes():
    rng = np.random.default_rng(0)
    shapes = set()
    for tokens in range(40, 1025, 7):
        lengths = rng.multinomial(tokens - 8, np.ones(8) / 8) + 1
        layout = Layout(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        shapes.add(pad_batch(np.zeros(layout.tokens, np.int32), layout, 1024, 512).shape[0])
    assert shapes <= {64, 128, 256, 512, 1024}


def test_a_longer_text_than_the_budget_is_a_batch_by_itself():
    layout = Layout(np.array([0, 300], np.int32))
    batch = pad_batch(np.ones(300, np.int32), layout, budget=128, longest=512)
    assert batch.shape == (320, 16, 512)


@pytest.mark.parametrize(("family", "settings"), [("bert", {}), ("xlm-roberta", {}), ("nomic_bert", {})])
def test_embeddings_are_those_of_the_encoder(family, settings, tiny_bert, tmp_path):
    folder = hugging_face_folder(tmp_path / "model", family, tiny_bert, **settings)
    cu_seqlens = np.cumsum([0, 5, 1, 30, 5, 12])
    ids = np.random.default_rng(0).integers(3, VOCAB, cu_seqlens[-1]).astype(np.int32)
    config = read_config(folder)
    forward = cuda_forward(config)
    forward.batch_tokens = 64
    got = np.full((len(cu_seqlens) - 1, config.dim), np.nan, np.float32)
    for rows, embeddings in forward.batches(ids, cu_seqlens):
        got[rows] = embeddings
    expected = Encoder(folder, dtype="fp32", device="cpu").forward_packed(ids, cu_seqlens)
    assert (got * expected).sum(axis=1).min() > 0.998


def test_texts_of_padding_change_nothing(tiny_bert: Path):
    config = read_config(tiny_bert)
    forward = cuda_forward(config)
    ids = np.random.default_rng(1).integers(5, VOCAB, 20).astype(np.int32)
    ((_, alone),) = forward.batches(ids, np.array([0, 20]))
    ((_, beside),) = forward.batches(np.concatenate([ids, ids]), np.array([0, 20, 40]))
    np.testing.assert_allclose(beside[0], alone[0], atol=4e-3)
    np.testing.assert_allclose(beside[1], alone[0], atol=4e-3)


@pytest.mark.parametrize(
    ("varlen", "launch", "dtype", "family", "chosen"),
    [
        (True, True, "bf16", "bert", "cuda"),
        (True, True, "fp32", "bert", "torch"),
        (True, True, "bf16", "mpnet", "torch"),
        (True, False, "bf16", "bert", "torch"),
        (False, True, "bf16", "bert", "torch"),
    ],
)
def test_where_the_cuda_forward_runs(varlen, launch, dtype, family, chosen, monkeypatch, tiny_bert):
    config = read_config(tiny_bert)
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: varlen or None)
    monkeypatch.setattr("univar.kernels.launch.can_launch", lambda device: launch)
    sizes = type("Sizes", (), {"family": family, "dim": config.dim, "head_dim": config.head_dim})()
    assert runtime.choose_forward("cuda", dtype, sizes).chosen == chosen
