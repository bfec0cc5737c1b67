"""Folders whose files contradict each other are read as transformers and peft read them, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.encoder.conftest import edit_json
from univar import Encoder
from univar.encoder.adapter import read_adapter
from univar.errors import DataError

TEXTS = ["care obey", "Care for Others!", "should ONE care? " * 30, "cafe"]


def ids_of(folder: Path, text: str, **options: object) -> list[int]:
    ids, _ = Encoder(folder, threads=1, dtype="fp32", **options).tokenize([text])
    return ids.tolist()


def vocabulary(folder: Path) -> dict[str, int]:
    vocab: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return vocab


def as_vocab_txt(folder: Path, added: list[str] = ()) -> dict[str, int]:
    """Turn a folder into one of old: vocab.txt in place of tokenizer.json."""
    vocab = vocabulary(folder)
    (folder / "vocab.txt").write_text("\n".join([*vocab, *added]) + "\n")
    (folder / "tokenizer.json").unlink()
    return vocab


def assert_equals_sentence_transformers(folder: Path, texts: list[str] = TEXTS) -> None:
    peers = pytest.importorskip("sentence_transformers", reason="the oracle: pip install '.[bench]'")
    theirs = peers.SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    ours = Encoder(folder, threads=1, dtype="fp32").encode(texts)
    np.testing.assert_allclose((ours * theirs).sum(axis=1), 1, atol=2e-5)


# What tokenizer_config.json says of BERT's tokenizer counts, whatever tokenizer.json says.


def test_upper_case_is_kept_where_the_config_says_so(editable_bert: Path) -> None:
    vocab = vocabulary(editable_bert)
    assert ids_of(editable_bert, "Care")[1] == vocab["care"]
    config = editable_bert / "tokenizer_config.json"
    edit_json(config, tokenizer_class="BertTokenizer", do_lower_case=False)
    assert ids_of(editable_bert, "Care") == [vocab["[CLS]"], vocab["[UNK]"], vocab["[SEP]"]]
    assert ids_of(editable_bert, "care")[1] == vocab["care"]


def test_accents_go_where_the_config_says_so(editable_bert: Path) -> None:
    vocab = vocabulary(editable_bert)
    config = editable_bert / "tokenizer_config.json"
    edit_json(config, tokenizer_class="BertTokenizer", do_lower_case=True, strip_accents=False)
    assert vocab["[UNK]"] in ids_of(editable_bert, "cáre")
    edit_json(config, do_lower_case=False, strip_accents=True)
    assert ids_of(editable_bert, "cáre")[1] == vocab["care"]


def test_chinese_characters_are_apart_unless_the_config_says_no(editable_bert: Path) -> None:
    vocab = vocabulary(editable_bert)
    assert ids_of(editable_bert, "care好")[1:3] == [vocab["care"], vocab["[UNK]"]]
    config = editable_bert / "tokenizer_config.json"
    edit_json(config, tokenizer_class="BertTokenizer", tokenize_chinese_chars=False)
    assert ids_of(editable_bert, "care好")[1:-1] == [vocab["[UNK]"]]


@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"truncation_side": "left", "model_max_length": 16},
    ],
)
def test_tokenizers_give_what_sentence_transformers_gives(editable_bert: Path, settings: dict) -> None:
    edit_json(editable_bert / "tokenizer_config.json", tokenizer_class="BertTokenizer", **settings)
    assert_equals_sentence_transformers(editable_bert, [*TEXTS, "Cáre 好 others"])


def test_the_end_of_a_text_is_read_where_the_left_is_cut(editable_bert: Path) -> None:
    whole = ids_of(editable_bert, "one should care for others")
    config = editable_bert / "tokenizer_config.json"
    edit_json(config, tokenizer_class="BertTokenizer", truncation_side="left", model_max_length=5)
    assert ids_of(editable_bert, "one should care for others") == [whole[0], *whole[-4:]]
    edit_json(config, truncation_side="right")
    assert ids_of(editable_bert, "one should care for others") == [*whole[:4], whole[-1]]


# Old folders.


def test_added_tokens_of_an_old_folder_come_after_the_vocabulary(editable_bert: Path) -> None:
    transformers = pytest.importorskip("transformers")
    vocab = as_vocab_txt(editable_bert)
    edit_json(editable_bert / "added_tokens.json", **{"careduty": vocab["duty"]})
    theirs = transformers.AutoTokenizer.from_pretrained(editable_bert)
    for text in ("careduty", "care careduty duty", "care"):
        assert ids_of(editable_bert, text) == theirs(text)["input_ids"]
    assert ids_of(editable_bert, "careduty")[1:-1] == [len(vocab)]


def test_an_added_token_beyond_the_embeddings_is_told(editable_bert: Path) -> None:
    vocab = as_vocab_txt(editable_bert)
    edit_json(editable_bert / "added_tokens.json", **{"careduty": len(vocab) + 5})
    with pytest.raises(DataError, match="belongs to another encoder"):
        Encoder(editable_bert, threads=1).encode(["careduty"])


@pytest.mark.parametrize(
    "settings",
    [
        {"word_tokenizer_type": "mecab", "subword_tokenizer_type": "wordpiece"},
        {"word_tokenizer_type": "sudachi"},
        {"word_tokenizer_type": "jumanpp"},
        {"word_tokenizer_type": "mecab", "subword_tokenizer_type": "character"},
    ],
)
def test_japanese_word_finders_are_refused_by_name(editable_bert: Path, settings: dict) -> None:
    as_vocab_txt(editable_bert)
    config = editable_bert / "tokenizer_config.json"
    edit_json(config, tokenizer_class="BertJapaneseTokenizer", **settings)
    with pytest.raises(DataError, match=rf"Japanese words found by {settings['word_tokenizer_type']}"):
        Encoder(editable_bert, threads=1)


def test_lowering_twice_is_lowering_once(editable_bert: Path) -> None:
    before = Encoder(editable_bert, threads=1).encode(TEXTS)
    edit_json(editable_bert / "sentence_bert_config.json", max_seq_length=128, do_lower_case=True)
    np.testing.assert_array_equal(Encoder(editable_bert, threads=1).encode(TEXTS), before)


# Positions, pooling, names.


@pytest.mark.parametrize("pad", [0, 1, 4])
def test_positions_of_roberta_begin_after_its_padding(tmp_path: Path, tiny_bert: Path, pad: int) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    import torch

    vocab = len(vocabulary(tiny_bert))
    settings = {"vocab_size": vocab, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.XLMRobertaConfig(
        **settings, intermediate_size=64, max_position_embeddings=64, type_vocab_size=1, pad_token_id=pad
    )
    torch.manual_seed(1)
    model = transformers.XLMRobertaModel(config).eval()
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_bytes((tiny_bert / "tokenizer.json").read_bytes())
    edit_json(tmp_path / "model" / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    encoder = Encoder(tmp_path / "model", threads=1, dtype="fp32")
    ids, cu_seqlens = encoder.tokenize(["one should care for others"])
    with torch.no_grad():
        states = model(torch.from_numpy(ids.astype(np.int64))[None]).last_hidden_state[0].mean(0)
    expected = torch.nn.functional.normalize(states, dim=0).numpy()
    np.testing.assert_allclose(encoder.forward_packed(ids, cu_seqlens)[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_mean_tokens": True},
        {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True},
    ],
)
@pytest.mark.parametrize("prefix", ["", "bert.", "model.", "0.auto_model."])
def test_prefixes_and_poolings_give_what_they_gave(editable_bert: Path, pooling: dict, prefix: str) -> None:
    from safetensors.numpy import load_file, save_file

    edit_json(editable_bert / "1_Pooling" / "config.json", word_embedding_dimension=32, **pooling)
    types = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {"idx": n, "name": str(n), "path": "1_Pooling" if n == 1 else ("" if n == 0 else "2_Normalize"),
         "type": f"sentence_transformers.models.{name}"}
        for n, name in enumerate(types)
    ]  # fmt: skip
    (editable_bert / "modules.json").write_text(json.dumps(modules))
    before = Encoder(editable_bert, threads=1, dtype="fp32").encode(TEXTS)
    weights = load_file(editable_bert / "model.safetensors")
    save_file({f"{prefix}{name}": x for name, x in weights.items()}, editable_bert / "model.safetensors")
    np.testing.assert_array_equal(Encoder(editable_bert, threads=1, dtype="fp32").encode(TEXTS), before)


@pytest.mark.parametrize("mode", ["max_tokens", "weightedmean_tokens", "lasttoken"])
def test_poolings_that_are_not_here_are_refused_by_name(editable_bert: Path, mode: str) -> None:
    settings = {"pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True}
    edit_json(editable_bert / "1_Pooling" / "config.json", word_embedding_dimension=32, **settings)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (editable_bert / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(DataError, match=r"pool"):
        Encoder(editable_bert, threads=1)


# Adapters, as peft merges them.


def peft_adapter(base: Path, folder: Path, **settings: object) -> tuple[Path, np.ndarray]:
    """An adapter that peft wrote, after changing its numbers, and peft's embeddings with it."""
    peft = pytest.importorskip("peft", reason="needs the extra [train]")
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    import torch

    torch.manual_seed(3)
    targets = settings.pop("target_modules", ["query", "value", "intermediate.dense"])
    model = transformers.AutoModel.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=targets, **settings)
    adapted = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.add_(0.05 * torch.randn(parameter.shape))
    adapted.save_pretrained(folder)
    loaded = peft.PeftModel.from_pretrained(
        transformers.AutoModel.from_pretrained(base, dtype=torch.float32), str(folder)
    ).eval()
    ids, cu_seqlens = Encoder(base, threads=1).tokenize(TEXTS)
    rows = []
    with torch.no_grad():
        for start, end in pairwise(cu_seqlens):
            text = torch.from_numpy(ids[start:end].astype(np.int64))[None]
            rows.append(loaded(text).last_hidden_state[0].mean(0))
    return folder, torch.nn.functional.normalize(torch.stack(rows)).numpy()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
        {"init_lora_weights": "gaussian"},
        {"use_rslora": True},
        {"use_dora": True},
        {"rank_pattern": {"query": 2}, "alpha_pattern": {"value": 9}},
        {"target_modules": "all-linear"},
    ],
    ids=["plain", "pissa", "olora", "gaussian", "rslora", "dora", "patterns", "all-linear"],
)
def test_adapters_give_what_peft_gives(editable_bert: Path, tmp_path: Path, settings: dict) -> None:
    folder, expected = peft_adapter(editable_bert, tmp_path / "adapter", **settings)
    ours = Encoder(f"{editable_bert}+{folder}", threads=1, dtype="fp32").encode(TEXTS)
    np.testing.assert_allclose((ours * expected).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("head", ["BertForMaskedLM", "BertForSequenceClassification"])
def test_adapters_trained_with_a_head_are_those_of_the_encoder_below(
    editable_bert: Path, tmp_path: Path, head: str
) -> None:
    peft = pytest.importorskip("peft", reason="needs the extra [train]")
    transformers = pytest.importorskip("transformers", reason="needs the extra [minilm]")
    import torch

    torch.manual_seed(5)
    below = transformers.AutoModel.from_pretrained(editable_bert, dtype=torch.float32)
    model = getattr(transformers, head)(below.config)
    model.bert.load_state_dict(below.state_dict(), strict=False)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["query", "value"])).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.add_(0.05 * torch.randn(parameter.shape))
    adapted.save_pretrained(tmp_path / "adapter")
    ours = Encoder(f"{editable_bert}+{tmp_path / 'adapter'}", threads=1, dtype="fp32")
    ids, cu_seqlens = ours.tokenize(TEXTS[:1])
    with torch.no_grad():
        states = adapted.base_model.model.bert(torch.from_numpy(ids.astype(np.int64))[None])
    expected = torch.nn.functional.normalize(states.last_hidden_state[0].mean(0), dim=0).numpy()
    np.testing.assert_allclose(ours.forward_packed(ids, cu_seqlens)[0], expected, atol=1e-4)


@pytest.mark.parametrize("prefix", ["bert.", "roberta.", "model.", "0.auto_model.", "encoder.bert."])
def test_prefixes_of_an_adapter_do_not_matter(editable_bert: Path, tmp_path: Path, prefix: str) -> None:
    plain, other = lora(tmp_path / "plain"), lora(tmp_path / "other", prefix=prefix)
    before = Encoder(editable_bert, threads=1, dtype="fp32").encode(TEXTS)
    wanted, found = (
        Encoder(f"{editable_bert}+{one}", threads=1, dtype="fp32").encode(TEXTS) for one in (plain, other)
    )
    np.testing.assert_array_equal(found, wanted)
    assert np.abs(wanted - before).max() > 0.01


def lora(folder: Path, prefix: str = "", **config: object) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir()
    name = f"base_model.model.{prefix}encoder.layer.0.attention.self.query"
    side = np.ones((2, 32), np.float32)
    tensors = {f"{name}.lora_A.weight": side, f"{name}.lora_B.weight": np.ascontiguousarray(side.T)}
    save_file(tensors, folder / "adapter_model.safetensors")
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query"]}
    (folder / "adapter_config.json").write_text(json.dumps({**plain, **config}))
    return folder


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"init_lora_weights": "loftq"}, "init_lora_weights 'loftq' changed the base"),
        ({"init_lora_weights": "corda"}, "init_lora_weights 'corda' changed the base"),
        ({"bias": "all"}, "bias 'all' is not supported"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"use_dora": True}, "magnitude"),
        ({"r": 3}, "rank 2 in the weights, 3 in adapter_config"),
    ],
)
def test_adapters_that_would_be_merged_wrongly_are_refused(tmp_path: Path, config: dict, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_adapter(lora(tmp_path / "adapter", **config))


def spoil(name: str, content: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    return change


@pytest.mark.parametrize(
    "change",
    [
        spoil("config.json", "[]"),
        spoil("config.json", {"model_type": "bert", "hidden_size": "many"}),
        spoil("config.json", "{" * 10_000),
        spoil("tokenizer.json", {"model": None}),
        spoil("tokenizer.json", "null"),
        spoil("tokenizer_config.json", "[1, 2]"),
        spoil("tokenizer_config.json", {"tokenizer_class": 7, "do_lower_case": "maybe"}),
        spoil("modules.json", {"type": "a"}),
        spoil("modules.json", [{"type": 3}]),
        spoil("model.safetensors", "not weights"),
    ],
)
def test_hostile_files_end_in_one_sentence(editable_bert: Path, change: Callable[[Path], None]) -> None:
    change(editable_bert)
    with pytest.raises(DataError) as told:
        Encoder(editable_bert, threads=1)
    assert "\n" not in str(told.value)
    assert str(editable_bert) in str(told.value)


@pytest.mark.parametrize("content", [{"max_seq_length": -4}, {"max_seq_length": "many"}, "false", "[]", "0"])
def test_settings_of_a_folder_of_sentence_transformers_are_checked(
    editable_bert: Path, content: object
) -> None:
    modules = {"": "Transformer", "1_Pooling": "Pooling"}
    spoil(
        "modules.json",
        [
            {"idx": 0, "path": path, "type": f"sentence_transformers.models.{it}"}
            for path, it in modules.items()
        ],
    )(editable_bert)
    spoil("1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})(
        editable_bert
    )
    spoil("sentence_bert_config.json", content)(editable_bert)
    with pytest.raises(DataError, match=r"sentence_bert_config\.json"):
        Encoder(editable_bert, threads=1)
