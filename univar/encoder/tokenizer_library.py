"""Tokenizers that the native ones cannot stand in for: Hugging Face's library, or the end of long texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from univar.encoder.tokenizer import (
    NO_LIMIT,
    NativeTokenizer,
    Texts,
    TokenizerFiles,
    Tokens,
    check_limits,
    text_buffers,
)
from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    import tokenizers

TEXTS_AT_ONCE = 1024
"""The library's encodings are large Python objects: only so many are alive."""


class LibraryTokenizer:
    """Any tokenizer.json through Hugging Face's library; padding and truncation set in the file are ignored.

    The library has threads of its own, set by its environment variables; `threads` is not passed on.
    """

    def __init__(
        self, library: tokenizers.Tokenizer, max_length: int, threads: int = 1, keeps_end: bool = False
    ):
        check_limits(max_length, threads)
        library.no_padding()
        library.no_truncation()
        self.max_length = max_length
        self.threads = threads
        self.vocab_size = 1 + max(library.get_vocab(with_added_tokens=True).values())
        self._library = library
        self.keeps_end = keeps_end
        self._first, self._last = self._special_tokens()
        if max_length <= library.num_special_tokens_to_add(False):
            raise UsageError(f"max_length {max_length} leaves no room for text beside the special tokens")

    def encode(self, texts: Texts) -> Tokens:
        offsets, data = text_buffers(texts)
        lengths = np.zeros(len(offsets), np.int64)
        truncated = np.zeros(len(offsets) - 1, bool)
        parts = [np.zeros(0, np.int32)]
        for first, chunk in _decoded_chunks(offsets, data):
            for row, encoding in enumerate(self._library.encode_batch_fast(chunk), first):
                truncated[row] = len(encoding.ids) > self.max_length
                parts.append(self._cut(np.array(encoding.ids, np.int32)))
                lengths[row + 1] = len(parts[-1])
        return Tokens(np.concatenate(parts), np.cumsum(lengths), truncated)

    def bare(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        offsets, data = text_buffers(texts)
        lengths = np.zeros(len(offsets), np.int64)
        parts = [np.zeros(0, np.int32)]
        for first, chunk in _decoded_chunks(offsets, data):
            inside = [text if text[:1].isspace() or not text else f" {text}" for text in chunk]
            found = self._library.encode_batch_fast(inside, add_special_tokens=False)
            for row, encoding in enumerate(found, first):
                parts.append(np.array(encoding.ids, np.int32))
                lengths[row + 1] = len(encoding.ids)
        return np.concatenate(parts), np.cumsum(lengths)

    def special_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        return self._first, self._last

    def _special_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Those before a text, and those that follow it, which stay when it is truncated."""
        for text in ("a", ".", "\u4e00"):
            bare = self._library.encode(text, add_special_tokens=False).ids
            full = self._library.encode(text).ids
            if bare:
                break
        before = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
        return np.array(full[:before], np.int32), np.array(full[before + len(bare) :], np.int32)

    def _cut(self, ids: np.ndarray) -> np.ndarray:
        """The tokens of one text without the inner ones that are too many."""
        too_many = len(ids) - self.max_length
        if too_many <= 0:
            return ids
        start = len(self._first) if self.keeps_end else len(ids) - len(self._last) - too_many
        return np.delete(ids, slice(start, start + too_many))


class EndTokenizer:
    """A native tokenizer that keeps the end of a text that is too long (truncation_side "left")."""

    keeps_end = True

    def __init__(self, tokenizer: NativeTokenizer):
        self.max_length = tokenizer.max_length
        self.threads = tokenizer.threads
        self.vocab_size = tokenizer.vocab_size
        self._tokenizer = tokenizer

    def encode(self, texts: Texts) -> Tokens:
        """Tokens of each text: the first, special one, and the last `max_length` - 1."""
        offsets, data = text_buffers(texts)
        ids, cu_seqlens, _ = self._tokenizer.native.encode(
            offsets, data, max_length=NO_LIMIT, threads=self.threads
        )
        lengths = np.diff(cu_seqlens)
        truncated = lengths > self.max_length
        place = np.arange(len(ids)) - np.repeat(cu_seqlens[:-1], lengths)
        dropped = np.repeat(np.maximum(lengths - self.max_length, 0), lengths)
        kept = (place == 0) | (place > dropped)
        lengths = np.minimum(lengths, self.max_length)
        return Tokens(ids[kept], np.concatenate(([0], np.cumsum(lengths))), truncated)

    def bare(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        return self._tokenizer.bare(texts)

    def special_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        return self._tokenizer.special_tokens()


def open_library(files: TokenizerFiles) -> tokenizers.Tokenizer:
    """The library's own tokenizer of a folder's files; DataError where the library cannot read them."""
    from tokenizers import Tokenizer as Library

    try:
        library = Library.from_str(json.dumps(files.content))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(
            f"{files.path} is not a tokenizer that the tokenizers library can read: {error}"
        ) from error
    library.encode_special_tokens = files.splits_special
    return library


def files_of_transformers(folder: Path, path: Path, kind: str) -> TokenizerFiles:
    """A tokenizer of a class that univar does not know, as transformers makes it of `folder`.

    path: the file of its vocabulary; kind: the class. DataError where transformers is not installed, or gives
    no tokenizer of the tokenizers library.
    """
    remedy = "save it with PreTrainedTokenizerFast as its tokenizer_class"
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise DataError(
            f"{path}: tokenizer_class {kind!r} is not one that univar reads: {remedy}, "
            f"or pip install transformers"
        ) from None
    try:
        made = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        content = json.loads(made.backend_tokenizer.to_str())
    except Exception as error:  # what a broken folder makes the library raise has no common class
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(
            f"{path}: tokenizer_class {kind!r} is not one that univar reads: {remedy} ({reason})"
        ) from None
    return TokenizerFiles(path, content, made.truncation_side == "left", bool(made.split_special_tokens))


def _decoded_chunks(offsets: np.ndarray, data: np.ndarray) -> Iterator[tuple[int, list[str]]]:
    """(first row, texts) of TEXTS_AT_ONCE texts at a time."""
    memory = data.data
    bounds = offsets.tolist()
    for first in range(0, len(bounds) - 1, TEXTS_AT_ONCE):
        ends = bounds[first : first + TEXTS_AT_ONCE + 1]
        yield first, [str(memory[a:b], "utf-8", "replace") for a, b in pairwise(ends)]
