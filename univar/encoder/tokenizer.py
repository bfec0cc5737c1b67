"""Texts to token ids without padding: one interface over the native tokenizers and Hugging Face's library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from univar.encoder.text_buffers import Texts, text_buffers
from univar.encoder.tokenizer_files import WordPieceFiles, read_native
from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    import tokenizers

    from univar import _native
    from univar.encoder.unigram_files import UnigramFiles

TEXTS_AT_ONCE = 1024  # the library's encodings are large Python objects: only so many are alive


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


class Tokenizer(Protocol):
    """What every tokenizer has. max_length counts the special tokens; vocab_size is the largest id + 1."""

    max_length: int
    threads: int
    vocab_size: int

    def encode(self, texts: Texts) -> Tokens:
        """Tokens of each text, cut on the right to max_length. Raises DataError for a null."""


class NativeTokenizer:
    """A tokenizer in C++: ids equal those of Hugging Face's library; safe to share between threads.

    native: a Tokenizer of univar._native, for C++ that takes texts itself. It remembers the words it has
    seen, in a few MB a thread.
    """

    def __init__(
        self, native: _native.Tokenizer, files: WordPieceFiles | UnigramFiles, max_length: int, threads: int
    ):
        _check(max_length, threads)
        self.max_length = max_length
        self.threads = threads
        self.vocab_size = max(len(files.vocab), 1 + max((row[1] for row in files.added_tokens), default=0))
        self.native = native

    def encode(self, texts: Texts) -> Tokens:
        offsets, data = text_buffers(texts)
        return Tokens(*self.native.encode(offsets, data, max_length=self.max_length, threads=self.threads))


class WordPieceTokenizer(NativeTokenizer):
    """BERT's tokenizer."""

    def __init__(self, files: WordPieceFiles, max_length: int, threads: int = 1):
        from univar._native import WordPiece

        native = WordPiece(files.vocab, added_tokens=files.added_tokens, **files.settings)
        super().__init__(native, files, max_length, threads)


class UnigramTokenizer(NativeTokenizer):
    """The tokenizer of XLM-R and e5."""

    def __init__(self, files: UnigramFiles, max_length: int, threads: int = 1):
        from univar._native import Unigram

        native = Unigram(files.vocab, files.scores, added_tokens=files.added_tokens, **files.settings)
        super().__init__(native, files, max_length, threads)


class LibraryTokenizer:
    """Any tokenizer.json through Hugging Face's library; padding and truncation set in the file are ignored.

    The library has threads of its own, set by its environment variables; `threads` is not passed on.
    """

    def __init__(self, library: tokenizers.Tokenizer, max_length: int, threads: int = 1):
        _check(max_length, threads)
        library.no_padding()
        library.no_truncation()
        self.max_length = max_length
        self.threads = threads
        self.vocab_size = 1 + max(library.get_vocab(with_added_tokens=True).values())
        self._library = library
        self._n_last = self._count_last()
        if max_length <= library.num_special_tokens_to_add(False):
            raise UsageError(f"max_length {max_length} leaves no room for text beside the special tokens.")

    def encode(self, texts: Texts) -> Tokens:
        offsets, data = text_buffers(texts)
        lengths = np.zeros(len(offsets), np.int64)
        truncated = np.zeros(len(offsets) - 1, bool)
        parts = [np.zeros(0, np.int32)]
        for first, chunk in _decoded_chunks(offsets, data):
            for row, encoding in enumerate(self._library.encode_batch_fast(chunk), first):
                ids = np.array(encoding.ids, np.int32)
                truncated[row] = len(ids) > self.max_length
                if truncated[row]:
                    ids = np.concatenate(
                        [ids[: self.max_length - self._n_last], ids[len(ids) - self._n_last :]]
                    )
                parts.append(ids)
                lengths[row + 1] = len(ids)
        return Tokens(np.concatenate(parts), np.cumsum(lengths), truncated)

    def _count_last(self) -> int:
        """How many special tokens stand behind the text: they stay when the text is cut."""
        bare = self._library.encode("a", add_special_tokens=False).ids
        full = self._library.encode("a").ids
        before = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
        return len(full) - before - len(bare)


def load_tokenizer(folder: str | Path, max_length: int, threads: int = 1) -> Tokenizer:
    """The tokenizer of a model folder: tokenizer.json, or the vocab.txt of an old BERT.

    BERT's kind of WordPiece and XLM-R's kind of Unigram run natively, everything else through Hugging Face's
    library. max_length: tokens a text may have, special tokens included. Raises DataError where the files are
    not usable and UsageError for a max_length that leaves no room for text.
    """
    folder = Path(folder)
    files = read_native(folder)
    if files is None:
        return LibraryTokenizer(_open_library(folder / "tokenizer.json"), max_length, threads)
    try:
        if isinstance(files, WordPieceFiles):
            return WordPieceTokenizer(files, max_length, threads)
        return UnigramTokenizer(files, max_length, threads)
    except ValueError as error:  # what only the native class can check
        raise DataError(f"{folder} holds no valid tokenizer: {error}.") from error


def _open_library(path: Path) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Library

    try:
        return Library.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path} is not a tokenizer that the tokenizers library can read: {error}") from error


def _decoded_chunks(offsets: np.ndarray, data: np.ndarray) -> Iterator[tuple[int, list[str]]]:
    """(first row, texts) of TEXTS_AT_ONCE texts at a time."""
    memory = data.data
    bounds = offsets.tolist()
    for first in range(0, len(bounds) - 1, TEXTS_AT_ONCE):
        ends = bounds[first : first + TEXTS_AT_ONCE + 1]
        yield first, [str(memory[a:b], "utf-8", "replace") for a, b in pairwise(ends)]


def _check(max_length: int, threads: int) -> None:
    if max_length < 3:
        raise UsageError(f"max_length must be at least 3, so that a text keeps a token; it is {max_length}.")
    if threads < 1:
        raise UsageError(f"threads must be at least 1; it is {threads}.")
