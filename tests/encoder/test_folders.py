"""Model folders of every make are read; what is not supported is refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as torch_save_file

from tests.conftest import answer_rows
from tests.encoder.conftest import edit_json
from univar import Encoder
from univar.errors import DataError

TEXTS = [row["answer"] for row in answer_rows(5)]
OLD, NEW = "sentence_transformers.models", "sentence_transformers"
NEW_TYPES = {
    "Transformer": f"{NEW}.base.modules.transformer.Transformer",
    "Pooling": f"{NEW}.sentence_transformer.modules.pooling.Pooling",
    "Normalize": f"{NEW}.base.modules.normalize.Normalize",
}


def write_modules(folder: Path, types: list[str], paths: list[str]) -> None:
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": name}
        for i, (name, path) in enumerate(zip(types, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


def encode(folder: Path) -> np.ndarray:
    return Encoder(folder, dtype="fp32", device="cpu").encode(TEXTS)


def rename_tensors(folder: Path, rename: object) -> None:
    path = folder / "model.safetensors"
    save_file({rename(name): tensor for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize("prefix", ["bert.", "0.auto_model.", "model."])
def test_prefixes_of_tensor_names_do_not_matter(editable_bert: Path, prefix: str) -> None:
    expected = encode(editable_bert)
    rename_tensors(editable_bert, lambda name: prefix + name)
    np.testing.assert_array_equal(encode(editable_bert), expected)


def test_tensorflow_names_of_layer_norm_are_read(editable_bert: Path) -> None:
    expected = encode(editable_bert)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    rename_tensors(
        editable_bert, lambda name: name.replace(*next((i for i in old.items() if i[0] in name), ("", "")))
    )
    np.testing.assert_array_equal(encode(editable_bert), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_other_dtypes_are_read_as_float32(editable_bert: Path, dtype: torch.dtype) -> None:
    path = editable_bert / "model.safetensors"
    rounded = {name: torch.from_numpy(tensor).to(dtype) for name, tensor in load_file(path).items()}
    save_file({name: tensor.float().numpy() for name, tensor in rounded.items()}, path)
    expected = encode(editable_bert)
    torch_save_file(rounded, path)
    np.testing.assert_array_equal(encode(editable_bert), expected)


def test_weights_in_several_files_are_read(editable_bert: Path) -> None:
    expected = encode(editable_bert)
    tensors = load_file(editable_bert / "model.safetensors")
    (editable_bert / "model.safetensors").unlink()
    places = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(tensors)}
    for file in set(places.values()):
        save_file({n: t for n, t in tensors.items() if places[n] == file}, editable_bert / file)
    (editable_bert / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    np.testing.assert_array_equal(encode(editable_bert), expected)


@pytest.mark.parametrize("generation", ["old", "new"])
def test_sentence_transformers_folders_of_both_generations_are_read(
    editable_bert: Path, generation: str
) -> None:
    names = ["Transformer", "Pooling", "Normalize"]
    types = [f"{OLD}.{name}" if generation == "old" else NEW_TYPES[name] for name in names]
    write_modules(editable_bert, types, ["", "1_Pooling", "2_Normalize"])
    old = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    pooling = old if generation == "old" else {"pooling_mode": "cls", "embedding_dimension": 32}
    edit_json(editable_bert / "1_Pooling" / "config.json", **pooling)
    edit_json(editable_bert / "sentence_bert_config.json", max_seq_length=20)
    info = Encoder(editable_bert, dtype="fp32", device="cpu").info
    assert (info["pooling"], info["max_length"]) == ("cls", 20)


def test_plain_folder_is_pooled_by_the_mean_to_the_tokenizers_limit(editable_bert: Path) -> None:
    edit_json(editable_bert / "tokenizer_config.json", model_max_length=40)
    info = Encoder(editable_bert, dtype="fp32", device="cpu").info
    assert (info["pooling"], info["max_length"]) == ("mean", 40)


def test_pickled_weights_are_refused_with_the_remedy(editable_bert: Path) -> None:
    (editable_bert / "model.safetensors").rename(editable_bert / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"only pytorch_model\.bin.*safe_serialization"):
        encode(editable_bert)


def test_missing_weights_are_named(editable_bert: Path) -> None:
    (editable_bert / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"model\.safetensors is missing"):
        encode(editable_bert)


def test_broken_weights_are_named(editable_bert: Path) -> None:
    (editable_bert / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(DataError, match=r"cannot read .*model\.safetensors"):
        encode(editable_bert)


def test_a_missing_tensor_is_named(editable_bert: Path) -> None:
    rename_tensors(editable_bert, lambda name: name.replace("layer.1.output.dense.weight", "x"))
    with pytest.raises(DataError, match=r"tensor encoder\.layer\.1\.output\.dense\.weight not found"):
        encode(editable_bert)


def test_a_tensor_of_another_shape_is_named(editable_bert: Path) -> None:
    edit_json(editable_bert / "config.json", intermediate_size=32)
    with pytest.raises(DataError, match=r"intermediate\.dense.* is \(64.*asks for \(32"):
        encode(editable_bert)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "t5"}, "model_type 't5' is not supported; supported: bert"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"hidden_act": "swish"}, "hidden_act 'swish' is not supported"),
        ({"num_attention_heads": 5}, "cannot be divided among 5 attention heads"),
    ],
)
def test_unsupported_settings_are_refused(
    editable_bert: Path, changes: dict[str, object], message: str
) -> None:
    edit_json(editable_bert / "config.json", **changes)
    with pytest.raises(DataError, match=message):
        encode(editable_bert)


def test_a_setting_that_is_missing_is_named(editable_bert: Path) -> None:
    (editable_bert / "config.json").write_text('{"model_type": "bert", "hidden_size": 32}')
    with pytest.raises(DataError, match="no 'num_hidden_layers'"):
        encode(editable_bert)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_settings_that_are_no_json_object_are_refused(editable_bert: Path, text: str) -> None:
    (editable_bert / "config.json").write_text(text)
    with pytest.raises(DataError, match=r"config\.json"):
        encode(editable_bert)


@pytest.mark.parametrize(
    ("pooling", "message"),
    [
        ({"pooling_mode_max_tokens": True}, "pooling 'max'"),
        ({"pooling_mode": ["cls", "mean"]}, "'cls\\+mean'"),
    ],
)
def test_unsupported_pooling_is_refused(
    editable_bert: Path, pooling: dict[str, object], message: str
) -> None:
    write_modules(editable_bert, [f"{OLD}.Transformer", f"{OLD}.Pooling"], ["", "1_Pooling"])
    edit_json(editable_bert / "1_Pooling" / "config.json", **pooling)
    with pytest.raises(DataError, match=f"{message}.*supported: mean, cls"):
        encode(editable_bert)


def test_unsupported_modules_are_refused(editable_bert: Path) -> None:
    write_modules(editable_bert, [f"{OLD}.Transformer", f"{OLD}.Dense"], ["", "1_Dense"])
    with pytest.raises(DataError, match="module 'Dense' is not supported"):
        encode(editable_bert)


def test_modules_outside_the_folder_are_refused(editable_bert: Path) -> None:
    write_modules(editable_bert, [f"{OLD}.Transformer"], ["../elsewhere"])
    with pytest.raises(DataError, match="leads out of the folder"):
        encode(editable_bert)


def test_a_default_prompt_is_refused(editable_bert: Path) -> None:
    write_modules(editable_bert, [f"{OLD}.Transformer"], [""])
    edit_json(editable_bert / "config_sentence_transformers.json", default_prompt_name="query")
    with pytest.raises(DataError, match="default prompt"):
        encode(editable_bert)
