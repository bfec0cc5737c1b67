"""Texts without labels for a student: sentences of answers, and the bank's questions beside their English."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from univar.answers.rows import RejectedRow
from univar.encoder.pieces import sentence_bounds
from univar.errors import DataError

SENTENCE_CHARACTERS = (40, 300)
"""Shortest and longest sentence that is taken: shorter ones say little, longer ones are lists and code."""


@dataclass(frozen=True)
class Texts:
    """n texts for a student, and what its teacher reads instead: the same, or the English of a translation.

    rejected: rows of the answer files that could not be read; sentences: how many were there to choose from
    """

    student: list[str]
    teacher: list[str]
    rejected: int = 0
    sentences: int = 0

    def __len__(self) -> int:
        return len(self.student)

    def __add__(self, other: Texts) -> Texts:
        return Texts(
            self.student + other.student,
            self.teacher + other.teacher,
            self.rejected + other.rejected,
            self.sentences + other.sentences,
        )


def sentences_of(inputs: Sequence[str | Path], most: int, language: str = "eng") -> Texts:
    """At most `most` different sentences of the answers in one language, drawn by the hash of their text.

    Raises DataError where the files have no such sentence.
    """
    from univar.answers.read import read_rows

    rejected: list[RejectedRow] = []
    kept: dict[int, str] = {}
    found = 0
    for batch in read_rows(inputs, on_rejected=rejected.append):
        wanted = pc.equal(batch.table["language"], language)
        for text in batch.table["answer"].filter(wanted).to_pylist():
            for sentence in sentences(text):
                found += 1
                digest = hashlib.blake2b(sentence.encode(), digest_size=8).digest()
                kept[int.from_bytes(digest, "big")] = sentence
        if len(kept) > 4 * most:
            kept = _lowest(kept, most)
    if not kept:
        raise DataError(
            f"no sentence of {SENTENCE_CHARACTERS[0]} to {SENTENCE_CHARACTERS[1]} characters in {language} "
            "was found in the answers"
        )
    chosen = [text for _, text in sorted(_lowest(kept, most).items())]
    return Texts(chosen, chosen, len(rejected), found)


def _lowest(kept: dict[int, str], most: int) -> dict[int, str]:
    return {key: kept[key] for key in heapq.nsmallest(most, kept)}


def sentences(text: str) -> list[str]:
    """The sentences of a text that are neither too short nor too long."""
    data = np.frombuffer(text.encode(), np.uint8)
    bounds, _ = sentence_bounds(np.array([0, len(data)]), data)
    low, high = SENTENCE_CHARACTERS
    cut = (bytes(data[a:b]).decode().strip() for a, b in pairwise(bounds.tolist()))
    return [sentence for sentence in cut if low <= len(sentence) <= high]


def bank_pairs() -> Texts:
    """Every question of the bank that stands in another language, beside its English."""
    from univar.questions.bank import load_bank

    bank = load_bank()
    english = {(q.question_id, q.wording): q.question for q in bank if q.language == "eng"}
    pairs = [
        (q.question, english[q.question_id, q.wording])
        for q in bank
        if q.language != "eng" and (q.question_id, q.wording) in english
    ]
    return Texts([there for there, _ in pairs], [english for _, english in pairs])
