"""How an answer row becomes packed token sequences: whole, in pieces, or as the paper's one cut text.

`whole`: every piece begins with the question, and the answer is read to its end (`univar.encoder.pieces`).
`paper`: the text `Q: <question> A: <answer>`, cut to the encoder's length (UniVaR, arXiv 2404.07900): of a
long question's answer little or nothing is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from univar.encoder.pieces import MAX_PIECES, QUESTION_TOKENS, Frame, Pieces, Ragged, lay_out, sentence_bounds
from univar.encoder.tokenizer import text_buffers
from univar.errors import DataError, UsageError
from univar.schema import TEXT_FORMAT, qa_texts

if TYPE_CHECKING:
    from univar.encoder.tokenizer import Texts, Tokenizer

_WHOLE_FORMAT = re.compile(r"whole/1 question=(\d{1,6}) pieces=(\d{1,6})")
_UNREADABLE = ("\U00013000", "\U00012000")
"""A hieroglyph and a cuneiform sign: no vocabulary of a text encoder has them."""
_NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class ReadOptions:
    """What is read of a row.

    mode:            "whole" or "paper"
    question_tokens: tokens of the question before every piece; of a longer one the middle is left out
    max_pieces:      pieces read of an answer
    Only `whole` has the last two.
    """

    mode: str = "whole"
    question_tokens: int = QUESTION_TOKENS
    max_pieces: int = MAX_PIECES

    def __post_init__(self) -> None:
        if self.mode not in ("whole", "paper"):
            raise UsageError(f"answers are read as whole or paper, not as {self.mode!r}")

    @property
    def text_format(self) -> str:
        """How stores name it: `qa/1`, or `whole/1 question=64 pieces=16`."""
        if self.mode == "paper":
            return TEXT_FORMAT
        return f"whole/1 question={self.question_tokens} pieces={self.max_pieces}"

    @classmethod
    def from_text_format(cls, text_format: str) -> ReadOptions:
        """The options of a store's `text_format`. Raises DataError for one that is unknown here."""
        if text_format == TEXT_FORMAT:
            return cls("paper")
        found = _WHOLE_FORMAT.fullmatch(text_format)
        if found is None:
            raise DataError(
                f"texts of the format {text_format!r} are unknown to this version: update univar, "
                "or embed the answers again"
            )
        return cls("whole", int(found[1]), int(found[2]))


WHOLE, PAPER = ReadOptions(), ReadOptions("paper")


class RowReader:
    """Lays out questions and answers for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, options: ReadOptions = WHOLE) -> None:
        self.options = options
        self._tokenizer = tokenizer
        before, after = tokenizer.special_tokens()
        labels = self._bare(["Q:", "A:"])
        question, answer = np.split(labels.ids, labels.bounds[1:-1])
        self._frame = Frame(before, question, answer, after)
        self._unknown_id = unknown_id(tokenizer)

    def read(self, questions: pa.Array, answers: pa.Array) -> Pieces:
        """The packed pieces of n rows. questions, answers: (n,) string arrays without nulls."""
        questions, answers = (
            pc.utf8_trim_whitespace(texts.cast(pa.large_string())) for texts in (questions, answers)
        )
        distinct = pc.dictionary_encode(questions)
        asked = self._bare(distinct.dictionary).take(distinct.indices.to_numpy(zero_copy_only=False))
        said = self._bare(answers)
        if self.options.mode == "paper":
            return self._paper(questions, answers, asked, said)
        sentences, first = self._sentences(answers, said, asked)
        return lay_out(
            self._frame,
            asked,
            sentences,
            first,
            max_length=self._tokenizer.max_length,
            question_tokens=self.options.question_tokens,
            max_pieces=self.options.max_pieces,
            unknown_id=self._unknown_id,
        )

    def _sentences(self, answers: pa.Array, said: Ragged, asked: Ragged) -> tuple[Ragged, np.ndarray]:
        """Answers cut at their sentences where they need more than one piece, else uncut.

        Some tokenizers give a sentence other tokens alone than within its text, so an answer of one piece
        keeps the tokens of the whole text.
        """
        frame = self._frame
        labels = np.where(asked.lengths > 0, len(frame.question) + len(frame.answer), 0)
        budget = labels + np.minimum(asked.lengths, self.options.question_tokens)
        room = self._tokenizer.max_length - len(frame.before) - len(frame.after) - budget
        long = np.flatnonzero(said.lengths > room)
        if not len(long):
            return said, np.arange(len(said.bounds))
        offsets, data = text_buffers(answers.take(pa.array(long)))
        bounds, first = sentence_bounds(offsets, data)
        buffers = [None, pa.py_buffer(np.ascontiguousarray(bounds, np.int64)), pa.py_buffer(data)]
        cut = self._bare(pa.Array.from_buffers(pa.large_string(), len(bounds) - 1, buffers))
        count = np.ones(len(said.lengths), np.int64)
        count[long] = np.diff(first)
        starts = np.concatenate([[0], np.cumsum(count)])
        place = np.empty(starts[-1], np.int64)  # of each sentence among whole answers and cut sentences
        whole = np.flatnonzero(np.isin(np.arange(len(count)), long, invert=True))
        place[starts[whole]] = whole
        is_cut = np.ones(len(place), bool)
        is_cut[starts[whole]] = False
        place[is_cut] = len(count) + np.arange(len(bounds) - 1)
        both = Ragged(
            np.concatenate([said.ids, cut.ids]),
            np.concatenate([said.bounds, said.bounds[-1] + cut.bounds[1:]]),
        )
        return both.take(place), starts

    def _paper(self, questions: pa.Array, answers: pa.Array, asked: Ragged, said: Ragged) -> Pieces:
        """One piece a row, cut at the encoder's length; `tokens` may be 0, where the question fills it."""
        tokens = self._tokenizer.encode(qa_texts(questions, answers))
        room = self._tokenizer.max_length - self._frame.length - asked.lengths
        question_cut = room < 0
        if self._tokenizer.keeps_end:  # the answer is at the end, and the question loses what is too much
            specials = len(self._frame.before) + len(self._frame.after)
            room = np.full(len(room), self._tokenizer.max_length - specials)
            question_cut = tokens.truncated
        return Pieces(
            ids=tokens.ids,
            cu_seqlens=tokens.cu_seqlens.astype(np.int64),
            rows=np.arange(len(tokens)),
            tokens=np.where(tokens.truncated, np.clip(room, 0, said.lengths), said.lengths),
            answer_tokens=said.lengths,
            question_cut=question_cut,
            unknown=said.share_of(self._unknown_id),
        )

    def _bare(self, texts: Texts) -> Ragged:
        return Ragged(*self._tokenizer.bare(texts))


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The token that a vocabulary gives to what it lacks; None where it can spell everything."""
    ids, bounds = tokenizer.bare(list(_UNREADABLE))
    lasts = {int(ids[end - 1]) for start, end in pairwise(bounds.tolist()) if 1 <= end - start <= 2}
    return lasts.pop() if len(lasts) == 1 and np.diff(bounds).min() else None
