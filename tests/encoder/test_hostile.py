"""Folders made to stop a reader: pipes, links, cut weights, settings of every wrong type."""

from __future__ import annotations

import json
import os
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.encoder.conftest import edit_json
from univar import Encoder
from univar.encoder.spec import revision_of
from univar.errors import DataError, UnivarError
from univar.heads.value_probes import ValueProbes

READ = ["config.json", "tokenizer.json", "model.safetensors", "modules.json", "sentence_bert_config.json",
        "tokenizer_config.json", "model.safetensors.index.json", "added_tokens.json"]  # fmt: skip
STRANGE = [None, -1, 0, 1.5, "x", "", [], [1], {"a": 1}, True, 10**30, float("nan"), "\ud800", "\x1b[31m"]


@pytest.fixture(autouse=True)
def ten_seconds() -> Iterator[None]:
    """End a test that waits for ever."""

    def stop(*_: object) -> None:
        raise AssertionError("the reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("make", [pipe, endless, loop, Path.mkdir])
def test_only_regular_files_are_read(editable_bert: Path, name: str, make: Callable[[Path], None]) -> None:
    path = editable_bert / name
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(DataError, match=r"is not a regular file|cannot be read: Too many levels") as told:
        Encoder(editable_bert, threads=1)
    assert str(path) in str(told.value)


def test_a_revision_is_made_of_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "notes.txt")
    with pytest.raises(DataError, match=r"notes\.txt is not a regular file"):
        revision_of(tmp_path)


def test_a_pipe_as_value_probes_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "probes.safetensors")
    with pytest.raises(DataError, match="is not a regular file"):
        ValueProbes.load(tmp_path / "probes.safetensors")


def with_header(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "cut in the length": lambda whole: whole[:4],
    "cut in the header": lambda whole: whole[:100],
    "one byte less": lambda whole: whole[:-1],
    "one byte more": lambda whole: whole + b"x",
    "a header of 100 GB": lambda whole: with_header(b"", whole[8:], 10**11),
    "a header of 2^64 bytes": lambda whole: with_header(b"", whole[8:], 2**64 - 1),
    "a list": lambda _: with_header(b"[]"),
    "not JSON": lambda _: with_header(b"{" * 5000),
    "a tensor of 2^124 numbers": lambda _: with_header(
        json.dumps({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}}).encode(), b"0000"
    ),
    "offsets backwards": lambda _: with_header(
        json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}).encode(), b"0000"
    ),
    "no tensors": lambda _: with_header(b"{}"),
    "a pickle": lambda _: b"\x80\x04cposix\nsystem\n",
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_damaged_weights_end_in_one_sentence(editable_bert: Path, kind: str) -> None:
    path = editable_bert / "model.safetensors"
    path.write_bytes(WEIGHTS[kind](path.read_bytes()))
    with pytest.raises(DataError) as told:
        Encoder(editable_bert, threads=1)
    assert str(editable_bert) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", ["", "{", "[" * 5000 + "]" * 5000, "1e999", "[1]", '{"weight_map": [1]}',
                                     '{"weight_map": {"a": 3}}', '{"a": ' + "9" * 10_000 + "}"])  # fmt: skip
def test_a_list_of_weight_files_is_checked(editable_bert: Path, content: str) -> None:
    (editable_bert / "model.safetensors.index.json").write_text(content)
    with pytest.raises(DataError, match=r"model\.safetensors\.index\.json"):
        Encoder(editable_bert, threads=1)


SETTINGS = {
    "config.json": ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "model_type",
                    "max_position_embeddings", "layer_norm_eps", "hidden_act", "pad_token_id"],
    "tokenizer_config.json": ["tokenizer_class", "do_lower_case", "model_max_length", "truncation_side",
                              "added_tokens_decoder", "cls_token", "extra_special_tokens"],
    "tokenizer.json": ["model", "normalizer", "pre_tokenizer", "post_processor", "added_tokens"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in SETTINGS.items() for key in keys])
def test_settings_of_every_type_load_or_end_in_one_sentence(editable_bert: Path, name: str, key: str) -> None:
    path = editable_bert / name
    before = path.read_bytes() if path.exists() else b'{"tokenizer_class": "BertTokenizer"}'
    told = []
    for value in STRANGE:
        path.write_bytes(before)
        edit_json(path, **{key: value})
        try:
            rows = Encoder(editable_bert, threads=1).encode(["care for the law"])
            told.append("" if np.isfinite(rows).all() else "not finite\n")
        except UnivarError as error:
            told.append(str(error))
    assert not any("\n" in sentence for sentence in told)


@pytest.mark.parametrize("key", ["cls_token", "sep_token", "additional_special_tokens"])
def test_a_token_of_half_a_character_is_refused(editable_bert: Path, key: str) -> None:
    token = "\ud800" if key != "additional_special_tokens" else ["\ud800"]
    edit_json(editable_bert / "tokenizer_config.json", tokenizer_class="BertTokenizer", **{key: token})
    with pytest.raises(DataError, match=r"token"):
        Encoder(editable_bert, threads=1)
