"""Types of the C++ extension; what each function does is said in its docstring (csrc/bindings.cpp)."""

from collections.abc import Sequence

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
    ) -> None: ...

def pack(lengths: NDArray[np.int64], max_tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def cpu_features() -> dict[str, bool]: ...
def bf16_kernels_usable() -> bool: ...

# Matrices of bfloat16 and float32 are passed as addresses: NumPy has no bfloat16.
def embed_bf16(
    ids: NDArray[np.int32],
    cu_seqlens: NDArray[np.int32],
    word: int,
    position: int,
    weight: int,
    bias: int,
    eps: float,
    dim: int,
    out: int,
) -> None: ...
def add_layer_norm_bf16(
    x: int, residual: int, weight: int, bias: int, eps: float, rows: int, dim: int, out: int
) -> None: ...
def gelu_bf16(x: int, n: int) -> None: ...
def attention_bf16(qkv: int, cu_seqlens: NDArray[np.int32], heads: int, head_dim: int, out: int) -> None: ...
def pool_bf16(x: int, cu_seqlens: NDArray[np.int32], dim: int, first_only: bool, out: int) -> None: ...
