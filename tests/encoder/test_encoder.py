"""The Encoder: same embeddings whatever the batch, nothing cut in silence, errors that say what to do."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import answer_rows
from tests.encoder.conftest import edit_json
from univar import Encoder, runtime
from univar.encoder.forward_torch import TorchSteps
from univar.errors import DataError, UsageError

TEXTS = [row["answer"] for row in answer_rows(30)]
TOLERANCE = {"fp32": 1e-6, "bf16": 4e-3}  # what univar.encoder.forward_torch promises


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def encoder(request: pytest.FixtureRequest, tiny_bert: Path) -> Encoder:
    return Encoder(tiny_bert, dtype=request.param, device="cpu", threads=2)


@given(rows=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=40))
@settings(max_examples=25, deadline=None)
def test_embeddings_do_not_depend_on_the_batch(encoder: Encoder, rows: list[int]) -> None:
    alone = np.concatenate([encoder.encode(text) for text in TEXTS])
    together = encoder.encode([TEXTS[row] for row in rows])
    np.testing.assert_allclose(together, alone[rows], atol=TOLERANCE[encoder.info["dtype"]])


def test_rows_have_length_one(encoder: Encoder) -> None:
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1, atol=1e-6)


def test_a_string_is_a_list_of_one(encoder: Encoder) -> None:
    assert encoder.encode(TEXTS[0]).shape == (1, 32)


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 32)


def test_arrow_and_python_strings_embed_alike(encoder: Encoder) -> None:
    np.testing.assert_array_equal(encoder.encode(pa.array(TEXTS)), encoder.encode(TEXTS))


def test_tokens_and_forward_are_what_encode_does(encoder: Encoder) -> None:
    ids, cu_seqlens = encoder.tokenize(TEXTS)
    assert (ids.dtype, cu_seqlens.dtype, len(cu_seqlens)) == (np.int32, np.int64, len(TEXTS) + 1)
    np.testing.assert_allclose(
        encoder.forward_packed(ids, cu_seqlens), encoder.encode(TEXTS), atol=TOLERANCE[encoder.info["dtype"]]
    )


def test_cut_texts_are_counted_in_the_log(tiny_bert: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = Encoder(tiny_bert, dtype="fp32", device="cpu", max_length=8)
    with caplog.at_level(logging.WARNING, logger="univar"):
        encoder.encode(["a b c d e f", "a b c d e f g", "a " * 50])
    assert [record.getMessage() for record in caplog.records] == ["2 of 3 texts were truncated to 8 tokens"]


def test_texts_are_cut_on_the_right(tiny_bert: Path) -> None:
    encoder = Encoder(tiny_bert, dtype="fp32", device="cpu", max_length=8)
    cut, short = encoder.encode(["a b c d e f g h", "a b c d e f"])
    np.testing.assert_allclose(cut, short, atol=1e-6)


def test_truncate_dim_keeps_the_first_dims_at_length_one(tiny_bert: Path) -> None:
    whole = Encoder(tiny_bert, dtype="fp32", device="cpu").encode(TEXTS)[:, :8]
    short = Encoder(tiny_bert, dtype="fp32", device="cpu", truncate_dim=8)
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(short.encode(TEXTS), expected, atol=1e-6)
    assert short.info["dim"] == short.dim == 8


def test_cls_pooling_takes_the_first_token(editable_bert: Path) -> None:
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (editable_bert / "modules.json").write_text(json.dumps(modules))
    edit_json(editable_bert / "1_Pooling" / "config.json", pooling_mode_cls_token=True)
    encoder = Encoder(editable_bert, dtype="fp32", device="cpu")
    assert encoder.info["pooling"] == "cls"
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    ids, _ = encoder.tokenize([TEXTS[0]])
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(editable_bert)(torch.from_numpy(ids).long()[None])
    first = torch.nn.functional.normalize(states.last_hidden_state[:, 0])
    np.testing.assert_allclose(encoder.encode(TEXTS[0]), first.numpy(), atol=3e-6)


def test_each_worker_runs_torch_in_one_thread(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "choose_forward", lambda *_: runtime.Choice("torch", "asked for"))
    encoder = Encoder(tiny_bert, dtype="fp32", device="cpu", threads=2)
    seen = set()
    embed = TorchSteps.embed
    monkeypatch.setattr(TorchSteps, "embed", lambda *args: seen.add(torch.get_num_threads()) or embed(*args))
    encoder.encode(TEXTS)
    assert seen == {1}


def test_threads_of_the_caller_keep_their_torch_setting(tiny_bert: Path) -> None:
    before = torch.get_num_threads()
    Encoder(tiny_bert, dtype="fp32", device="cpu", threads=3).encode(TEXTS)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "int4"}, "unknown dtype 'int4'"),
        ({"dtype": "fp16", "device": "cpu"}, "fp16 is no faster"),
        ({"device": "tpu"}, "tpu"),
        ({"device": "cuda:99"}, "give --device cpu"),
        ({"max_length": 1000}, r"max_length must be in 3\.\.128"),
        ({"truncate_dim": 33}, r"truncate_dim must be in 1\.\.32"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(tiny_bert: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Encoder(tiny_bert, **arguments)


def test_unnormalised_embeddings_are_refused(encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="always have length 1"):
        encoder.encode(TEXTS, normalize_embeddings=False)


def test_texts_that_are_none_are_refused(encoder: Encoder) -> None:
    with pytest.raises(DataError, match="1 of 2 texts are None"):
        encoder.encode(["a", None])


def test_texts_that_are_no_strings_are_refused(encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="sentences must be strings"):
        encoder.encode([1, 2])


@pytest.mark.parametrize(
    ("ids", "cu_seqlens", "message"),
    [
        ([1, 2], [0, 3], "rise from 0"),
        ([1, 2], [0, 0, 2], "no text empty"),
        ([1] * 200, [0, 200], "200 tokens, but the encoder reads at most 128"),
        ([1, 99_999], [0, 2], "own tokenizer"),
    ],
)
def test_ids_that_do_not_fit_are_refused(
    encoder: Encoder, ids: list[int], cu_seqlens: list[int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        encoder.forward_packed(np.array(ids, np.int32), np.array(cu_seqlens, np.int64))
