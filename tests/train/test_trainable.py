"""The forward that is trained is the forward that is used, and its gradients are those of transformers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.encoder.conftest import hugging_face_folder
from univar import Encoder
from univar.encoder.checkpoint import load_weights, lowest_layers
from univar.encoder.config import read_config
from univar.encoder.export import export_encoder
from univar.encoder.forward_torch import sdpa_groups
from univar.encoder.packing import Layout, micro_batches
from univar.encoder.spec import resolve
from univar.train.autograd import packed_attention
from univar.train.trainable import TrainableEncoder

Packed = tuple[np.ndarray, np.ndarray]
FAMILIES = ["bert", "xlm-roberta", "mpnet", "nomic_bert"]


def trainable(folder: Path, dtype: torch.dtype = torch.float32, **options: bool) -> TrainableEncoder:
    config = read_config(folder)
    return TrainableEncoder(config, load_weights(config), dtype, **options)


def embed(model: TrainableEncoder, packed: Packed) -> torch.Tensor:
    ((rows, ids, layout),) = micro_batches(*packed, max_tokens=10**9)
    out = model(ids, layout)
    return out[torch.from_numpy(np.argsort(rows))]


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_is_that_of_the_encoder(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed, family: str
) -> None:
    folder = hugging_face_folder(tmp_path / "model", family, tiny_bert)
    expected = Encoder(folder, dtype="fp32", device="cpu").forward_packed(*texts_ids)
    got = embed(trainable(folder), texts_ids)
    np.testing.assert_allclose(got.detach().numpy(), expected, atol=3e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_transformers(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed, family: str
) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    folder = hugging_face_folder(tmp_path / "model", family, tiny_bert)
    weighing = torch.randn(len(texts_ids[1]) - 1, 64, generator=torch.Generator().manual_seed(0))
    model = trainable(folder)
    (embed(model, texts_ids) * weighing).sum().backward()
    theirs = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    ids, cu_seqlens = texts_ids
    rows = []
    for first, last in pairwise(cu_seqlens):
        text = torch.from_numpy(ids[first:last].astype(np.int64))[None]
        rows.append(theirs(text, attention_mask=torch.ones_like(text)).last_hidden_state[0].mean(0))
    (torch.nn.functional.normalize(torch.stack(rows)) * weighing).sum().backward()
    expected = theirs.get_input_embeddings().weight.grad
    torch.testing.assert_close(model.word.grad.to_dense(), expected, atol=2e-5, rtol=1e-4)
    last = model.layers[-1]
    names = {"mpnet": "output.dense", "nomic_bert": "mlp.down_proj"}.get(family, "output.dense")
    found = [p for name, p in theirs.named_parameters() if name.endswith(f"1.{names}.weight")]
    torch.testing.assert_close(last.down.weight.grad, found[-1].grad, atol=2e-5, rtol=1e-4)


def test_packed_attention_has_the_gradient_of_plain_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    layout = Layout(np.array([0, 3, 6, 9, 20, 52], np.int32))
    qkv = torch.randn(layout.rows, 3, 2, 8, generator=generator, dtype=torch.float64)
    weighing = torch.randn(layout.rows, 16, generator=generator, dtype=torch.float64)
    weighing[layout.tokens :] = 0
    first, second = qkv.clone().requires_grad_(), qkv.clone().requires_grad_()
    (packed_attention(first, layout) * weighing).sum().backward()
    (sdpa_groups(second, layout) * weighing).sum().backward()
    torch.testing.assert_close(first.grad[: layout.tokens], second.grad[: layout.tokens])


@pytest.mark.parametrize("family", FAMILIES)
def test_changed_weights_come_back_from_the_exported_folder(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed, family: str
) -> None:
    folder = hugging_face_folder(tmp_path / "model", family, tiny_bert)
    model = trainable(folder)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.mul_(1 + 0.01 * (number % 5)).add_(0.01)
    export_encoder(resolve(folder), tmp_path / "out", weights=model.weights())
    got = Encoder(tmp_path / "out", dtype="fp32", device="cpu").forward_packed(*texts_ids)
    np.testing.assert_allclose(got, embed(model, texts_ids).detach().numpy(), atol=3e-6)
    assert not np.allclose(got, Encoder(folder, dtype="fp32").forward_packed(*texts_ids), atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_without_its_upper_layers_comes_back_from_the_exported_folder(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed, family: str
) -> None:
    folder = hugging_face_folder(tmp_path / "model", family, tiny_bert)
    config = read_config(folder)
    model = TrainableEncoder(config, lowest_layers(load_weights(config), 1), torch.float32)
    export_encoder(resolve(folder), tmp_path / "out", weights=model.weights())
    assert read_config(tmp_path / "out").layers == 1
    got = Encoder(tmp_path / "out", dtype="fp32", device="cpu").forward_packed(*texts_ids)
    np.testing.assert_allclose(got, embed(model, texts_ids).detach().numpy(), atol=3e-6)


def test_bf16_training_stays_near_fp32(tmp_path: Path, tiny_bert: Path, texts_ids: Packed) -> None:
    folder = hugging_face_folder(tmp_path / "model", "bert", tiny_bert)
    exact, rough = embed(trainable(folder), texts_ids), embed(trainable(folder, torch.bfloat16), texts_ids)
    assert (exact * rough).sum(1).min().item() > 0.999


def test_unnormalised_rows_point_where_the_normalised_do(
    tmp_path: Path, tiny_bert: Path, texts_ids: Packed
) -> None:
    folder = hugging_face_folder(tmp_path / "model", "bert", tiny_bert)
    pooled = embed(trainable(folder, normalize=False), texts_ids)
    torch.testing.assert_close(torch.nn.functional.normalize(pooled), embed(trainable(folder), texts_ids))
