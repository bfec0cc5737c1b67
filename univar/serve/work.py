"""What the engine works on: the texts of one request, their pieces, and the vectors that come out."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import UnivarError

if TYPE_CHECKING:
    from univar.encoder.pieces import Pieces
    from univar.encoder.reading import ReadOptions

NORM_TOLERANCE = 1e-3
"""How far the length of a vector may be from 1; float32 sums are off by some 1e-6."""


CHARACTERS_OF_TOKEN = 4
"""About as many characters has a token of a text that is not yet tokenised."""


class EngineFault(UnivarError):
    """The encoder failed, or takes no more: not the request's fault."""


@dataclass(frozen=True)
class Embedded:
    """Embeddings of n answers, and what was read of them.

    vectors:       (n, dim) float32, finite, rows of length 1
    tokens:        tokens that the encoder read, special tokens and questions included
    answer_tokens: (n,) int64 tokens of each answer; read: (n,) int64, how many of them were read
    """

    vectors: np.ndarray
    tokens: int
    answer_tokens: np.ndarray
    read: np.ndarray

    @property
    def cut(self) -> list[int]:
        """Numbers of the answers that were not read to their end."""
        rows: list[int] = np.flatnonzero(self.read < self.answer_tokens).tolist()
        return rows


def checked(vectors: np.ndarray) -> np.ndarray:
    """The same vectors (n, dim). Raises EngineFault where one is not finite or not of length 1."""
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < NORM_TOLERANCE))  # ~: a NaN is wrong as well
    if len(wrong):
        row = int(wrong[0])
        raise EngineFault(f"the encoder gave a vector of length {lengths[row]:.6g} instead of 1")
    return vectors


class Job:
    """The texts of one request.

    counted: its tokens, a guess until they are known; in_turn: those that were embedded in its turn
    future: gets an `Embedded` or an exception; whoever cancels it wants neither
    """

    def __init__(self, questions: list[str], answers: list[str], read: ReadOptions) -> None:
        self.questions, self.answers, self.read = questions, answers, read
        self.size = sum(map(len, questions)) + sum(map(len, answers))
        self.counted = self.size // CHARACTERS_OF_TOKEN + 2 * len(answers)
        self.future: Future[Embedded] = Future()
        self.is_first = False
        self.has_pieces = False
        self.missing = 0
        self.in_turn = 0
        self._next = 0
        self.ids = np.zeros(0, np.int32)
        self.cu_seqlens = np.zeros(1, np.int64)

    def start(self) -> bool:
        """False where the caller has left."""
        return not self.future.cancelled()

    def take_pieces(self, pieces: Pieces, dim: int) -> None:
        """Keep the tokens of the texts; the texts themselves are not needed any more."""
        self.pieces = pieces
        self.ids, self.cu_seqlens = pieces.ids, pieces.cu_seqlens
        self.counted = len(self.ids)
        self.missing = len(pieces.rows)
        self.vectors = np.empty((self.missing, dim), np.float32)
        self.has_pieces = True
        self.questions, self.answers = [], []

    @property
    def is_done(self) -> bool:
        """All pieces have been embedded, or the request has failed."""
        return self.missing == 0 or self.future.done()

    def next_pieces(self, room: int) -> np.ndarray:
        """(m,) int64, the next pieces, which have at most `room` tokens together; m may be 0."""
        end = int(np.searchsorted(self.cu_seqlens, self.cu_seqlens[self._next] + room, "right")) - 1
        taken = np.arange(self._next, max(end, self._next))
        self._next += len(taken)
        return taken

    def finish(self, embedded: Embedded) -> None:
        """Answer, unless the caller has left."""
        with suppress(InvalidStateError):
            self.future.set_result(embedded)

    def fail(self, error: Exception) -> None:
        """Answer with an exception, unless the caller has left."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)
