"""Types of the C++ extension; what each function does is said in its docstring (csrc/bindings/)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

class HashIndex:
    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def insert(self, keys: NDArray[np.uint8], values: NDArray[np.int64]) -> NDArray[np.int64]: ...
    def find(self, keys: NDArray[np.uint8]) -> NDArray[np.int64]: ...

class Tokenizer:
    def encode(
        self,
        offsets: NDArray[np.int32] | NDArray[np.int64],
        data: NDArray[np.uint8],
        *,
        max_length: int,
        threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.bool_]]: ...
    def forget_words(self) -> None: ...

class WordPiece(Tokenizer):
    def __init__(
        self,
        vocab: Sequence[str],
        *,
        added_tokens: Sequence[tuple[str, int, bool, bool, bool, bool]] = ...,
        unk: str = ...,
        cls: str = ...,
        sep: str = ...,
        lowercase: bool = ...,
        strip_accents: bool | None = ...,
        handle_chinese_chars: bool = ...,
        clean_text: bool = ...,
        max_input_chars_per_word: int = ...,
        prefix: str = ...,
        isa: str = ...,
    ) -> None: ...

class Unigram(Tokenizer):
    def __init__(
        self,
        vocab: Sequence[str],
        scores: Sequence[float] | NDArray[np.float64],
        *,
        unk: int,
        cls: int,
        sep: int,
        charsmap: bytes = ...,
        added_tokens: Sequence[tuple[str, int, bool, bool, bool, bool]] = ...,
        collapse_spaces: bool = ...,
        strip_left: bool = ...,
        strip_right: bool = ...,
        split_at_whitespace: bool = ...,
        isa: str = ...,
    ) -> None: ...

def exact_search(
    queries: NDArray[Any], rows: NDArray[Any], k: int, *, threads: int, isa: str = ...
) -> tuple[NDArray[np.float32], NDArray[np.int64], str, int]: ...
def search_isa() -> str: ...
def pack(lengths: NDArray[np.int64], max_tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def attention(
    qkv: NDArray[np.uint16], cu_seqlens: NDArray[np.int32], isa: str
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]: ...
def attention_gradient(
    qkv: NDArray[np.uint16],
    cu_seqlens: NDArray[np.int32],
    out: NDArray[np.uint16],
    log_sums: NDArray[np.float32],
    d_out: NDArray[np.uint16],
    isa: str,
) -> NDArray[np.uint16]: ...
def linear_gradient(
    x: NDArray[np.uint16],
    d_out: NDArray[np.uint16],
    d_weight: NDArray[np.float32],
    d_bias: NDArray[np.float32],
    isa: str,
) -> None: ...
def cpu_features() -> dict[str, bool]: ...
def usable_cpus() -> int: ...
def choose_isa(dtype: str, limit: str = ...) -> str: ...

class Forward:
    def __init__(
        self, shape: dict[str, Any], weights: dict[str, Any], dtype: str, isa: str = ...
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    def run(self, ids: NDArray[np.int32], cu_seqlens: NDArray[np.int32]) -> NDArray[np.float32]: ...

class ForwardPool:
    def __init__(self, forward: Forward, threads: int) -> None: ...
    def start(self, ids: NDArray[np.int32], cu_seqlens: NDArray[np.int64]) -> ForwardRun: ...
    def embed(
        self,
        tokenizer: Tokenizer,
        offsets: NDArray[np.int32] | NDArray[np.int64],
        data: NDArray[np.uint8],
        *,
        max_length: int,
    ) -> ForwardRun: ...

class ForwardRun:
    def take(self) -> NDArray[np.int64] | None: ...
    @property
    def embeddings(self) -> NDArray[np.float32]: ...
    @property
    def n_tokens(self) -> NDArray[np.int64]: ...
    @property
    def truncated(self) -> NDArray[np.bool_]: ...
