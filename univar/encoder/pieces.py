"""Whole answers in pieces of the encoder's length: where they are cut, their packed tokens, their mean.

A piece is `[special] Q: <question> A: <a stretch of the answer> [special]`. The question stands in front of
every piece; beyond its budget its middle is left out, since its end often holds what is asked. The answer is
cut at sentence ends, a sentence longer than a piece wherever it has to be. An answer's vector is the mean of
its pieces' vectors weighted by their answer tokens, brought to length 1. An answer of one piece has exactly
that piece's vector, and its tokens are those of the whole text `Q: ... A: ...`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from univar.encoder.tokenizer import take_texts
from univar.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

QUESTION_TOKENS = 64
MAX_PIECES = 16

_ENDS = (
    b"\xe3\x80\x82",  # ideographic full stop
    b"\xef\xbc\x81",  # fullwidth exclamation mark
    b"\xef\xbc\x9f",  # fullwidth question mark
    b"\xef\xbd\xa1",  # halfwidth ideographic full stop
    b"\xe0\xa5\xa4",  # danda
    b"\xd8\x9f",  # Arabic question mark
    b"\xdb\x94",  # Urdu full stop
    b"\xd6\x89",  # Armenian full stop
    b"\xe1\x8d\xa2",  # Ethiopic full stop
)
"""UTF-8 of characters that end a sentence whatever follows."""


@dataclass(frozen=True)
class Ragged:
    """Token ids of n texts without special tokens: text i is ids[bounds[i]:bounds[i + 1]].

    ids: (T,) int32; bounds: (n + 1,) int64
    """

    ids: np.ndarray
    bounds: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64 tokens of each text."""
        lengths: np.ndarray = np.diff(self.bounds)
        return lengths

    def take(self, rows: np.ndarray) -> Ragged:
        """The texts `rows` (m,) int64, in that order."""
        return Ragged(*take_texts(self.ids, self.bounds, rows))

    def share_of(self, token: int | None) -> np.ndarray:
        """(n,) float32 share of a token among those of each text; 0 for an empty text and for None."""
        if token is None:
            return np.zeros(len(self.bounds) - 1, np.float32)
        found = np.concatenate([[0], np.cumsum(self.ids == token)])
        counts = np.diff(found[self.bounds])
        return (counts / np.maximum(self.lengths, 1)).astype(np.float32)


@dataclass(frozen=True)
class Frame:
    """What stands around question and answer, as token ids: special tokens, `Q:` and `A:`."""

    before: np.ndarray
    question: np.ndarray
    answer: np.ndarray
    after: np.ndarray

    @property
    def length(self) -> int:
        """Tokens of all of them."""
        return len(self.before) + len(self.question) + len(self.answer) + len(self.after)


@dataclass(frozen=True)
class Pieces:
    """Packed pieces of n answers, those of one answer one after the other.

    ids:          (T,) int32, special tokens included
    cu_seqlens:   (P + 1,) int64, piece i is ids[cu_seqlens[i]:cu_seqlens[i + 1]]
    rows:         (P,) int64, ascending: the answer that a piece belongs to
    tokens:       (P,) int64, answer tokens of each piece, > 0
    answer_tokens: (n,) int64, tokens that each answer has
    question_cut: (n,) bool, the question was longer than its budget
    unknown:      (n,) float32, share of each answer's tokens that the vocabulary lacks
    """

    ids: np.ndarray
    cu_seqlens: np.ndarray
    rows: np.ndarray
    tokens: np.ndarray
    answer_tokens: np.ndarray
    question_cut: np.ndarray
    unknown: np.ndarray

    @property
    def per_answer(self) -> np.ndarray:
        """(n,) int64 pieces of each answer; 0 where an answer has no token."""
        return np.bincount(self.rows, minlength=len(self.answer_tokens))

    @property
    def read(self) -> np.ndarray:
        """(n,) int64 answer tokens that the pieces of each answer hold."""
        return np.bincount(self.rows, self.tokens, len(self.answer_tokens)).astype(np.int64)

    @property
    def piece_tokens(self) -> np.ndarray:
        """(P,) int64 tokens of each piece, its question and special tokens included."""
        lengths: np.ndarray = np.diff(self.cu_seqlens)
        return lengths

    def take(self, rows: np.ndarray) -> Pieces:
        """The answers `rows` (m,) int64, in that order."""
        counts = self.per_answer
        wanted = counts[rows]
        firsts = (np.cumsum(counts) - counts)[rows]
        taken = np.cumsum(wanted) - wanted
        pieces = np.repeat(firsts - taken, wanted) + np.arange(wanted.sum())
        ids, cu_seqlens = take_texts(self.ids, self.cu_seqlens, pieces)
        return Pieces(
            ids=ids,
            cu_seqlens=cu_seqlens,
            rows=np.repeat(np.arange(len(rows)), wanted),
            tokens=self.tokens[pieces],
            answer_tokens=self.answer_tokens[rows],
            question_cut=self.question_cut[rows],
            unknown=self.unknown[rows],
        )

    def pool(self, vectors: np.ndarray) -> np.ndarray:
        """(n, D) float32 vectors of the answers, of length 1; 0 for an answer without a piece.

        vectors: (P, D) float32, those of the pieces
        """
        counts = self.per_answer
        out = np.zeros((len(counts), vectors.shape[1]), np.float32)
        starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
        one, many = counts == 1, counts > 1
        out[one] = vectors[starts[one]]
        if many.any():
            held = many[self.rows]
            weighted = vectors[held] * self.tokens[held, None].astype(np.float32)
            firsts = np.flatnonzero(np.diff(self.rows[held], prepend=-1))
            sums = np.add.reduceat(weighted, firsts, axis=0)
            out[many] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        return out

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The first of every set of identical pieces, (m,) int64, and each piece's place among them, (P,)."""
        seen: dict[bytes, int] = {}
        firsts: list[int] = []
        twin = np.empty(len(self.rows), np.int64)
        for piece, (a, b) in enumerate(pairwise(self.cu_seqlens.tolist())):
            key = self.ids[a:b].tobytes()
            place = seen.setdefault(key, len(firsts))
            if place == len(firsts):
                firsts.append(piece)
            twin[piece] = place
        return np.array(firsts, np.int64), twin


def sentence_bounds(offsets: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the sentences of n texts begin and end, in bytes of UTF-8.

    offsets: (n + 1,) int; data: (bytes,) uint8, text i is data[offsets[i]:offsets[i + 1]]
    returns: bounds (S + 1,) int64 of all sentences, and (n + 1,) int64, the sentences of text i being
             first[i]:first[i + 1]; an empty text has one empty sentence
    """
    start, end = int(offsets[0]), int(offsets[-1])
    text = data[start:end]
    after = np.zeros(len(text) + 1, bool)
    if len(text):
        after[1:] = text == 0x0A
        is_space = (text == 0x20) | (text == 0x09) | (text == 0x0D) | (text == 0x0A)
        stops = (text == 0x2E) | (text == 0x21) | (text == 0x3F)
        after[1:-1] |= stops[:-1] & is_space[1:]
        for mark in _ENDS:
            found = text[len(mark) - 1 :] == mark[-1]
            for place in range(len(mark) - 1):
                found &= text[place : len(text) - len(mark) + 1 + place] == mark[place]
            after[len(mark) :] |= found
    after[offsets.astype(np.int64) - start] = False
    inner = np.flatnonzero(after) + start
    first = np.searchsorted(inner, offsets) + np.arange(len(offsets))
    bounds = np.sort(np.concatenate([inner, offsets.astype(np.int64)]), kind="stable")
    return bounds, first


def lay_out(
    frame: Frame,
    questions: Ragged,
    sentences: Ragged,
    first_sentence: np.ndarray,
    *,
    max_length: int,
    question_tokens: int = QUESTION_TOKENS,
    max_pieces: int = MAX_PIECES,
    unknown_id: int | None = None,
) -> Pieces:
    """Cut n answers into pieces of at most `max_length` tokens.

    questions:      n texts; an empty one means the answer alone, without `Q:` and `A:`
    sentences:      S texts; first_sentence: (n + 1,), those of answer i are first_sentence[i]:[i + 1]
    unknown_id:     the token that stands for what the vocabulary lacks, if there is one
    Raises UsageError where `max_length` leaves fewer than eight answer tokens beside the question's budget.
    """
    around = len(frame.before) + len(frame.after)
    labels = len(frame.question) + len(frame.answer)
    if max_length - around - labels - question_tokens < 8:
        raise UsageError(
            f"{max_length} tokens leave no room for an answer beside {question_tokens} tokens "
            f"of its question: raise --max-length, or lower --question-tokens"
        )
    if max_pieces < 1 or question_tokens < 2:
        raise UsageError("pieces must be at least 1, and the question's tokens at least 2")
    asked = questions.lengths
    has_question = asked > 0
    kept = np.minimum(asked, question_tokens)
    room = max_length - around - np.where(has_question, labels + kept, 0)
    bounds = sentences.bounds[first_sentence]  # of the answers, in tokens
    rows, starts, ends = _stretches(sentences, first_sentence, room, max_pieces)
    head = -(-kept // 2)
    q_first = questions.bounds[:-1]
    n_q, n_a = len(frame.before), len(frame.before) + len(frame.question)
    n_after = n_a + len(frame.answer)
    pool = np.concatenate(
        [frame.before, frame.question, frame.answer, frame.after, questions.ids, sentences.ids]
    )
    q_at = n_after + len(frame.after)
    a_at = q_at + len(questions.ids)
    with_label = has_question[rows]
    columns = [  # of each piece: where its seven segments start in `pool`, and how many tokens they have
        (np.zeros(len(rows), np.int64), np.full(len(rows), len(frame.before))),
        (np.full(len(rows), n_q), with_label * len(frame.question)),
        (q_at + q_first[rows], head[rows]),
        (q_at + (q_first + asked - (kept - head))[rows], (kept - head)[rows]),
        (np.full(len(rows), n_a), with_label * len(frame.answer)),
        (a_at + starts, ends - starts),
        (np.full(len(rows), n_after), np.full(len(rows), len(frame.after))),
    ]
    begin = np.stack([start for start, _ in columns], axis=1).ravel()
    count = np.stack([length for _, length in columns], axis=1).ravel()
    placed = np.cumsum(count) - count
    total = int(count.sum())
    ids = pool[np.repeat(begin - placed, count) + np.arange(total)].astype(np.int32)
    cu_seqlens = np.concatenate([[0], np.cumsum(count.reshape(-1, len(columns)).sum(axis=1))])
    return Pieces(
        ids=ids,
        cu_seqlens=cu_seqlens.astype(np.int64),
        rows=rows,
        tokens=ends - starts,
        answer_tokens=np.diff(bounds),
        question_cut=asked > question_tokens,
        unknown=Ragged(sentences.ids, bounds).share_of(unknown_id),
    )


def _stretches(
    sentences: Ragged, first_sentence: np.ndarray, room: np.ndarray, max_pieces: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P,) rows, first and last token of each piece, in tokens of all sentences."""
    bounds = sentences.bounds[first_sentence]
    total = np.diff(bounds)
    short = np.flatnonzero((total > 0) & (total <= room))
    rows, starts, ends = [short], [bounds[short]], [bounds[short + 1]]
    for row in np.flatnonzero(total > room).tolist():
        inner = sentences.bounds[first_sentence[row] : first_sentence[row + 1] + 1].tolist()
        cuts = cut(inner, int(room[row]))[: max_pieces + 1]
        rows.append(np.full(len(cuts) - 1, row))
        starts.append(np.array(cuts[:-1], np.int64))
        ends.append(np.array(cuts[1:], np.int64))
    of_row, first, last = (np.concatenate(parts) for parts in (rows, starts, ends))
    order = np.argsort(of_row, kind="stable")
    return of_row[order].astype(np.int64), first[order], last[order]


def cut(bounds: Sequence[int], room: int) -> list[int]:
    """Where to cut a text so that no piece has more than `room` tokens, at sentence ends where that can be.

    bounds: ascending, where sentences begin and end, in tokens; returns the pieces' bounds, from the first to
    the last of `bounds`
    """
    cuts = [bounds[0]]
    last_end = bounds[0]
    for end in bounds[1:]:
        if end - cuts[-1] > room and last_end > cuts[-1]:
            cuts.append(last_end)
        while end - cuts[-1] > room:
            cuts.append(cuts[-1] + room)
        last_end = end
    if bounds[-1] > cuts[-1]:
        cuts.append(bounds[-1])
    return cuts
