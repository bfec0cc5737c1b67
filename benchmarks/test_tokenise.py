"""Tokenisation in one thread: univar beside Hugging Face's tokenizers, tokie, nanotoken and kitoken."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from benchmarks.conftest import Measure
from benchmarks.tokenizer_peers import LIBRARY, PEERS, Flat, folder_of, same_ids
from univar.errors import UnivarError


@functools.cache
def library_ids(kind: str, texts: tuple[str, ...]) -> Flat:
    """What Hugging Face's library makes of the texts."""
    library = PEERS[kind][LIBRARY].make(folder_of(kind))
    return library.flat(library.encode(list(texts)))


@pytest.mark.parametrize(("kind", "impl"), [(kind, impl) for kind, peers in PEERS.items() for impl in peers])
def test_tokenise(kind: str, impl: str, texts: list[str], measure: Measure) -> None:
    peer = PEERS[kind][impl]
    pytest.importorskip(peer.package, reason=f"{peer.package} is in the extra [bench]")
    try:
        contender = peer.make(folder_of(kind))
    except UnivarError as error:
        pytest.skip(f"the {kind} tokenizer is not here: {error}")
    given = contender.input(texts)
    ids, lengths = contender.flat(contender.encode(given))
    assert same_ids((ids, lengths), library_ids(kind, tuple(texts)), contender.ends)
    measure(
        f"tokenise {kind}",
        lambda: contender.encode(given),
        setup=contender.reset,
        threads=1,
        tokens=int(np.sum(lengths)),
        bytes=sum(len(text.encode()) for text in texts),
    )
