"""Texts to token ids without padding: in C++ for the usual tokenizers, else by Hugging Face's library.

BERT's kind of WordPiece is read here, XLM-R's kind of Unigram in `univar.encoder.unigram`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from univar.encoder.config import tokenizer_settings, transformer_settings
from univar.errors import DataError, UsageError
from univar.files import read_json

if TYPE_CHECKING:
    from univar import _native
    from univar.encoder.unigram import UnigramFiles

Texts: TypeAlias = "pa.Array | pa.ChunkedArray | Sequence[str]"
AddedToken: TypeAlias = tuple[str, int, bool, bool, bool, bool]
"""content, id, single_word, lstrip, rstrip, normalized"""
_BERT_TOKENS = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_BERT_KEYS = (
    *("tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "model_max_length"),
    *("name_or_path", "do_basic_tokenize", "never_split", "special_tokens_map_file"),
)
"""What the tokenizer_config.json of a usual BERT says."""
NO_LIMIT = 1 << 30
"""A max_length beyond every text."""
MAX_VOCAB = 1 << 24
"""Ids from here on mean that a file is broken."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of N texts: text i is ids[cu_seqlens[i]:cu_seqlens[i + 1]].

    ids:        (T,) int32, special tokens included
    cu_seqlens: (N + 1,) int64
    truncated:  (N,) bool, the text had more than max_length tokens
    """

    ids: np.ndarray
    cu_seqlens: np.ndarray
    truncated: np.ndarray

    def __len__(self) -> int:
        return len(self.truncated)


def take_texts(ids: np.ndarray, cu_seqlens: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The packed texts `rows` (m,) int64, in that order: ids (t,) int32 and cu_seqlens (m + 1,) int64."""
    lengths = np.diff(cu_seqlens)[rows]
    taken = np.concatenate(([0], np.cumsum(lengths)))
    return ids[np.repeat(cu_seqlens[rows] - taken[:-1], lengths) + np.arange(taken[-1])], taken


class Tokenizer(Protocol):
    """What every tokenizer has. max_length counts the special tokens; vocab_size is the largest id + 1."""

    max_length: int
    threads: int
    vocab_size: int
    keeps_end: bool
    """Whether a text that is too long loses its beginning (truncation_side "left")."""

    def encode(self, texts: Texts) -> Tokens:
        """Tokens of each text, truncated to max_length. Raises DataError for a null."""

    def bare(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        """ids (T,) int32 and bounds (n + 1,) int64: whole texts without special tokens.

        They are those that a text has inside a longer one, after a space.
        """

    def special_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """ids (b,) and (a,) int32 of the special tokens before and after a text."""


class NativeTokenizer:
    """A tokenizer in C++: ids equal those of Hugging Face's library; safe to share between threads.

    native: a Tokenizer of univar._native, for C++ that takes texts itself. It remembers the words it has
    seen, in a few MB a thread.
    """

    keeps_end = False

    def __init__(
        self, native: _native.Tokenizer, files: WordPieceFiles | UnigramFiles, max_length: int, threads: int
    ):
        check_limits(max_length, threads)
        self.max_length = max_length
        self.threads = threads
        self.vocab_size = max(len(files.vocab), 1 + max((row[1] for row in files.added_tokens), default=0))
        self.native = native

    def encode(self, texts: Texts) -> Tokens:
        offsets, data = text_buffers(texts)
        return Tokens(*self.native.encode(offsets, data, max_length=self.max_length, threads=self.threads))

    def bare(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        offsets, data = text_buffers(texts)
        ids, cu_seqlens, _ = self.native.encode(offsets, data, max_length=NO_LIMIT, threads=self.threads)
        is_text = np.ones(len(ids), bool)
        is_text[cu_seqlens[:-1]] = is_text[cu_seqlens[1:] - 1] = False  # [CLS] and [SEP]
        return ids[is_text], cu_seqlens - 2 * np.arange(len(cu_seqlens))

    def special_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        ids = self.encode([""]).ids
        return ids[:1], ids[1:]


class WordPieceTokenizer(NativeTokenizer):
    """BERT's tokenizer."""

    def __init__(self, files: WordPieceFiles, max_length: int, threads: int = 1):
        from univar._native import WordPiece

        native = WordPiece(files.vocab, added_tokens=files.added_tokens, **files.settings)
        super().__init__(native, files, max_length, threads)


def load_tokenizer(folder: str | Path, max_length: int, threads: int = 1) -> Tokenizer:
    """The tokenizer of an encoder's folder, as `univar.encoder.tokenizer_files` reads its files together.

    BERT's kind of WordPiece and XLM-R's kind of Unigram run natively, everything else through Hugging Face's
    library. max_length: tokens a text may have, special tokens included. Raises DataError where the files are
    not usable and UsageError for a max_length that leaves no room for text.
    """
    folder = Path(folder)
    files = agreeing_files(folder)
    if files is None:
        from univar.encoder.tokenizer_files import read_tokenizer_files

        files = read_tokenizer_files(folder)
    native = read_native(files)
    if native is None:
        from univar.encoder.tokenizer_library import LibraryTokenizer, open_library

        return LibraryTokenizer(open_library(files), max_length, threads, files.keeps_end)
    try:
        tokenizer = _open_native(native, max_length, threads)
    except ValueError as error:  # what only the native class can check
        raise DataError(f"the tokenizer in {folder} is not valid: {error}") from error
    except TypeError:  # a lone surrogate, which no UTF-8 text holds
        raise DataError(f"the tokenizer in {folder} has a token that is not Unicode text") from None
    if files.keeps_end:
        from univar.encoder.tokenizer_library import EndTokenizer

        return EndTokenizer(tokenizer)
    return tokenizer


def _open_native(files: WordPieceFiles | UnigramFiles, max_length: int, threads: int) -> NativeTokenizer:
    if isinstance(files, WordPieceFiles):
        return WordPieceTokenizer(files, max_length, threads)
    from univar.encoder.unigram import UnigramTokenizer

    return UnigramTokenizer(files, max_length, threads)


def check_limits(max_length: int, threads: int) -> None:
    """Raise UsageError for numbers that no tokenizer can have."""
    if max_length < 3:
        raise UsageError(f"max_length must be at least 3, so that a text keeps a token; got {max_length}")
    if threads < 1:
        raise UsageError(f"threads must be at least 1; got {threads}")


def text_buffers(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (n + 1,) int32 or int64, data (bytes,) uint8: text i is data[offsets[i]:offsets[i + 1]].

    texts: a string or binary array of Arrow (large, view, sliced, chunked), or a list of str; lone surrogates
    in a str become bytes that are not UTF-8. Raises DataError for a null and for anything that isn't text.
    """
    array = _one_array(texts)
    if array.null_count:
        row = array.is_null().index(True).as_py()
        raise DataError(f"text {row} (counted from 0) is null: give it a text or remove its row")
    _, offsets, data = array.buffers()
    dtype = np.int64 if pat.is_large_string(array.type) or pat.is_large_binary(array.type) else np.int32
    if not len(array):
        return np.zeros(1, dtype), np.zeros(0, np.uint8)
    bounds = np.frombuffer(offsets, dtype)[array.offset : array.offset + len(array) + 1]
    return bounds, np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


def _one_array(texts: Texts) -> pa.Array:
    if isinstance(texts, str):
        raise DataError("texts is one str: give a list of str, or an Arrow array")
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        return _from_list(texts)
    kind = texts.type
    if pat.is_null(kind) or pat.is_string_view(kind) or pat.is_dictionary(kind):
        texts = texts.cast(pa.large_string())
    elif pat.is_binary_view(kind):
        texts = texts.cast(pa.large_binary())
    elif not (_is_plain_text(kind)):
        raise DataError(f"texts are an Arrow array of {kind}: give strings")
    if isinstance(texts, pa.ChunkedArray):
        large = pa.large_string() if pat.is_string(texts.type) else texts.type  # chunks of 2 GiB fit together
        texts = pa.concat_arrays(texts.cast(large).chunks) if texts.num_chunks else pa.array([], large)
    return texts


def _is_plain_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind) for is_kind in (pat.is_string, pat.is_large_string, pat.is_binary, pat.is_large_binary)
    )


def _from_list(texts: Sequence[str]) -> pa.Array:
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        encoded = [None if text is None else text.encode("utf-8", "surrogatepass") for text in texts]
        return pa.array(encoded, pa.large_binary())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"texts must all be str: {error}") from error


@dataclass(frozen=True)
class TokenizerFiles:
    """One tokenizer: `content` as in a tokenizer.json, and what such a file cannot say.

    path:          the file that the vocabulary comes from
    keeps_end:     a text that is too long loses its beginning, not its end
    splits_special: special tokens written in a text are ordinary text
    """

    path: Path
    content: dict[str, Any]
    keeps_end: bool = False
    splits_special: bool = False


@dataclass(frozen=True)
class WordPieceFiles:
    """What the native WordPiece needs.

    vocab: piece of each id, "" where there is none; settings: further arguments of the native class
    """

    vocab: list[str]
    added_tokens: list[AddedToken]
    settings: dict[str, Any]


def read_native(files: TokenizerFiles) -> WordPieceFiles | UnigramFiles | None:
    """What the native tokenizer needs, or None for neither BERT's WordPiece nor XLM-R's Unigram.

    Raises DataError where the content can't be understood.
    """
    content = files.content
    if files.splits_special:
        content = {**content, "added_tokens": [row for row in content["added_tokens"] if not row["special"]]}
    try:
        if (found := _wordpiece_of(content)) is not None:
            return found
        from univar.encoder.unigram import unigram_of

        return unigram_of(content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{files.path} is not a valid tokenizer file: {error!r}") from error


def _wordpiece_of(file: dict[str, Any]) -> WordPieceFiles | None:
    model, normalizer = file["model"], file.get("normalizer") or {}
    parts = (model.get("type"), normalizer.get("type"), (file.get("pre_tokenizer") or {}).get("type"))
    if parts != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        return None
    vocab = _vocab_list(model["vocab"])
    added = [
        added_token(entry, model["vocab"].get(entry["content"])) for entry in file.get("added_tokens") or []
    ]
    ids = {**model["vocab"], **{row[0]: row[1] for row in added}}
    template = cls_and_sep(file.get("post_processor") or {})
    if template is None or model["unk_token"] not in model["vocab"]:
        return None
    (cls, cls_id), (sep, sep_id) = template
    if (ids.get(cls), ids.get(sep)) != (cls_id, sep_id):
        return None
    settings = {
        "unk": model["unk_token"],
        "cls": cls,
        "sep": sep,
        "prefix": model["continuing_subword_prefix"],
        "max_input_chars_per_word": model["max_input_chars_per_word"],
        "clean_text": normalizer["clean_text"],
        "handle_chinese_chars": normalizer["handle_chinese_chars"],
        "strip_accents": normalizer["strip_accents"],
        "lowercase": normalizer["lowercase"],
    }
    return WordPieceFiles(vocab, added, settings)


def _vocab_list(ids: dict[str, int]) -> list[str]:
    size = 1 + max(ids.values())
    if min(ids.values()) < 0 or size > MAX_VOCAB:
        raise ValueError(f"ids must be 0 to {MAX_VOCAB - 1}")
    vocab = [""] * size
    for piece, piece_id in ids.items():
        vocab[piece_id] = piece
    return vocab


def added_token(entry: dict[str, Any], vocab_id: int | None) -> AddedToken:
    """An entry of tokenizer.json; the vocabulary's id has precedence over the entry's, as in the library."""
    token_id = entry["id"] if vocab_id is None else vocab_id
    flags = (entry[name] for name in ("single_word", "lstrip", "rstrip", "normalized"))
    return (entry["content"], token_id, *flags)


def cls_and_sep(processor: dict[str, Any]) -> list[tuple[str, int]] | None:
    """Name and id of the special tokens before and after a text; None for any other template."""
    if processor.get("type") in ("BertProcessing", "RobertaProcessing"):
        return [tuple(processor[name]) for name in ("cls", "sep")]
    if processor.get("type") != "TemplateProcessing":
        return None
    single = processor["single"]
    if [next(iter(step)) for step in single] != ["SpecialToken", "Sequence", "SpecialToken"]:
        return None
    specials = [processor["special_tokens"][single[i]["SpecialToken"]["id"]] for i in (0, 2)]
    if any(len(special["ids"]) != 1 for special in specials):
        return None
    return [(special["tokens"][0], special["ids"][0]) for special in specials]


def agreeing_files(folder: Path) -> TokenizerFiles | None:
    """A BERT's tokenizer.json as it is, where all other files say the same; None where they must be merged.

    That is the usual folder; what the others mean is told by `univar.encoder.tokenizer_files`.
    """
    path = folder / "tokenizer.json"
    if not path.exists() or (folder / "added_tokens.json").exists():
        return None
    said = tokenizer_settings(folder)
    if not {"tokenizer_class", *_BERT_TOKENS} <= said.keys() <= {*_BERT_KEYS, *_BERT_TOKENS}:
        return None
    names = folder / "special_tokens_map.json"
    named = {name: said[name] for name in _BERT_TOKENS}
    if not names.exists() or read_json(names) != named or not all(isinstance(n, str) for n in named.values()):
        return None
    content = read_json(path)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = content.get("added_tokens") or []
    agrees = (
        said["tokenizer_class"] in ("BertTokenizer", "BertTokenizerFast")
        and transformer_settings(folder).get("do_lower_case", False) is False
        and content.get("normalizer")
        == {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": said.get("tokenize_chinese_chars", True),
            "strip_accents": said.get("strip_accents"),
            "lowercase": said.get("do_lower_case", True),
        }
        and {tuple(sorted(entry)) for entry in added} == {tuple(sorted((*plain, "id", "content")))}
        and all({**entry, **plain} == entry for entry in added)
        and {entry["content"] for entry in added} == set(named.values())
        and _is_usual_model(content, named)
    )
    return TokenizerFiles(path, content) if agrees else None


def _is_usual_model(content: dict[str, Any], named: dict[str, str]) -> bool:
    model, processor = content.get("model") or {}, content.get("post_processor") or {}
    usual = {
        "type": "WordPiece",
        "unk_token": named["unk_token"],
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    around = [{"SpecialToken": {"id": named[name], "type_id": 0}} for name in ("cls_token", "sep_token")]
    return (
        {**model, **usual} == model
        and (content.get("pre_tokenizer") or {}) == {"type": "BertPreTokenizer"}
        and processor.get("single") == [around[0], {"Sequence": {"id": "A", "type_id": 0}}, around[1]]
        and (content.get("truncation") or {}).get("direction", "Right") == "Right"
    )
