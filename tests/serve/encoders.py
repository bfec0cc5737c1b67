"""Encoders that wait, or fail, when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from univar.encoder.encoder import Encoder


class Controlled:
    """An encoder whose batches wait for `go` and may fail.

    texts:    texts of each batch so far
    fault:    None, "nan" (vectors are not finite), "short" (half the length), "raise"
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.texts: list[int] = []
        self.fault: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_qa(self, questions: list[str], answers: list[str]) -> np.ndarray:
        """What the engine calls to test itself."""
        return self._spoilt(self._encoder.encode_qa(questions, answers))

    def forward_batches(
        self, ids: np.ndarray, cu_seqlens: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As the encoder's own."""
        self.texts.append(len(cu_seqlens) - 1)
        self.begun.set()
        assert self.go.wait(30)
        for rows, vectors in self._encoder.forward_batches(ids, cu_seqlens):
            yield rows, self._spoilt(vectors)

    def _spoilt(self, vectors: np.ndarray) -> np.ndarray:
        if self.fault == "raise":
            raise RuntimeError("the encoder's own words")
        return vectors * {None: 1.0, "nan": np.nan, "short": 0.5}[self.fault]
