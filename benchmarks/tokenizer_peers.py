"""What tokenises texts in the benchmarks: univar and its peers, in one thread each.

"Warm" has tokenised the same texts before and remembers their words, "cold" has forgotten them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The library's threads are many and spin; it reads this at its first batch.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa

from univar.encoder.spec import resolve
from univar.encoder.tokenizer import load_tokenizer

Flat = tuple[np.ndarray, np.ndarray]
"""ids (T,) of all texts and the number of tokens (N,) of each."""

LIBRARY = "tokenizers encode_batch_fast"
ENCODERS = {"WordPiece": "minilm", "Unigram": "e5-multilingual"}
"""Kind of tokenizer to an encoder that has one."""

UNLIMITED = 1 << 30


@dataclass(frozen=True)
class Contender:
    """encode: texts to whatever it makes; flat: ids and lengths of that; reset: called before every call.

    wants_arrow: texts come as an Arrow array, else as a list of str
    ends:        special tokens that it puts before and behind a text
    """

    encode: Callable[[Any], Any]
    flat: Callable[[Any], Flat]
    wants_arrow: bool = False
    reset: Callable[[], object] | None = None
    ends: tuple[int, int] = (1, 1)

    def input(self, texts: list[str]) -> list[str] | pa.Array:
        """The texts as it wants them."""
        return pa.array(texts, pa.large_string()) if self.wants_arrow else texts


def folder_of(kind: str) -> Path:
    """The encoder folder whose tokenizer is measured; UsageError where its package is not installed."""
    return resolve(ENCODERS[kind]).folder


def univar_tokenizer(folder: Path, cold: bool = False, wants_arrow: bool = True) -> Contender:
    """Ours."""
    tokenizer = load_tokenizer(folder, UNLIMITED, 1)
    reset = tokenizer.native.forget_words if cold else None
    return Contender(
        tokenizer.encode, lambda tokens: (tokens.ids, np.diff(tokens.cu_seqlens)), wants_arrow, reset
    )


def library(folder: Path) -> Contender:
    """Hugging Face's tokenizers."""
    import tokenizers

    made = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    return Contender(made.encode_batch_fast, lambda encodings: joined(encoding.ids for encoding in encodings))


def tokie(folder: Path) -> Contender:
    """tokie."""
    import tokie

    made = tokie.Tokenizer.from_json(str(folder / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    ends = (1, 1) if made.encode_batch_flat([""])[1][0] == 2 else (1, 0)
    return Contender(made.encode_batch_flat, lambda result: result, ends=ends)


def nanotoken(folder: Path, cold: bool = False) -> Contender:
    """nanotoken, which has no Unigram."""
    import nanotoken

    made = nanotoken.Tokenizer(str(folder / "tokenizer.json"))
    return Contender(
        lambda texts: made.encode_batch(texts, parallel=False),
        lambda result: (result.ids, np.diff(result.offsets)),
        reset=made.clear_cache if cold else None,
    )


def kitoken(folder: Path) -> Contender:
    """kitoken, whose WordPiece gives other ids."""
    import kitoken

    made = kitoken.Kitoken.from_file(str(folder / "tokenizer.json"))
    return Contender(lambda texts: made.encode_all(texts, True), joined, ends=(0, 0))


@dataclass(frozen=True)
class Peer:
    """make: from an encoder folder; package: what has to be installed."""

    make: Callable[[Path], Contender]
    package: str = "univar"


EVERYWHERE = {
    "univar cold": Peer(lambda folder: univar_tokenizer(folder, cold=True)),
    "univar warm": Peer(univar_tokenizer),
    "univar warm, from list of str": Peer(lambda folder: univar_tokenizer(folder, wants_arrow=False)),
    LIBRARY: Peer(library, "tokenizers"),
    "tokie encode_batch_flat": Peer(tokie, "tokie"),
}
PEERS: dict[str, dict[str, Peer]] = {
    "WordPiece": {
        **EVERYWHERE,
        "nanotoken cold": Peer(lambda folder: nanotoken(folder, cold=True), "nanotoken"),
        "nanotoken warm": Peer(nanotoken, "nanotoken"),
    },
    "Unigram": {**EVERYWHERE, "kitoken encode_all": Peer(kitoken, "kitoken")},
}


def joined(rows: Iterable[list[int]]) -> Flat:
    """Rows of ids as one."""
    kept = list(rows)
    return np.concatenate(kept), np.array([len(row) for row in kept])


def without_ends(output: Flat, kept: tuple[int, int]) -> Flat:
    """The library's ids and lengths without those special tokens that a contender doesn't put there."""
    ids, lengths = output
    last = np.cumsum(lengths) - 1
    first = last + 1 - lengths
    keeps = np.ones(len(ids), bool)
    keeps[first] = kept[0] == 1
    keeps[last] = kept[1] == 1
    return ids[keeps], lengths - 2 + sum(kept)


def same_ids(got: Flat, expected: Flat, ends: tuple[int, int]) -> bool:
    """Whether a contender gives the library's ids, apart from special tokens that it leaves out."""
    wanted = without_ends(expected, ends)
    return all(np.array_equal(own, other) for own, other in zip(got, wanted, strict=True))
