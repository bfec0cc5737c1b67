"""What is in answer files and what is wrong with it, before anything is embedded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from univar._native import HashIndex
from univar.data.read import read_rows
from univar.data.rows import RefusedRow, RowBatch, is_empty
from univar.data.screen import names_models, refuses
from univar.schema import IDENTITY_COLUMNS, content_hashes, source_label

SHORT_ANSWER = 12
"""Answers of fewer characters say too little to be attributed."""

NAMED_PLACES = 20
UNBALANCED = 2  # the largest source has more than this many times the rows of the smallest


@dataclass
class Finding:
    """How often something was found, and the first places: {"file", "row"} and perhaps {"reason"}."""

    count: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)

    def add(self, file: str, row: int, **more: str) -> None:
        self.count += 1
        if len(self.first) < NAMED_PLACES:
            self.first.append({"file": file, "row": row, **more})

    def add_all(self, batch: RowBatch, found: np.ndarray) -> None:
        for row in batch.rows[found].tolist():
            self.add(batch.file, row)


@dataclass(frozen=True)
class SourceFacts:
    """One (model, language): rows, different questions, median length of its answers in characters."""

    model: str
    language: str
    rows: int
    questions: int
    median_answer_chars: float


@dataclass
class CheckReport:
    """rows: usable rows. The findings are about those, `refused` and `empty_answers` about the others."""

    rows: int = 0
    refused: Finding = field(default_factory=Finding)
    empty_answers: int = 0
    duplicates: Finding = field(default_factory=Finding)
    shared_answers: Finding = field(default_factory=Finding)
    short_answers: Finding = field(default_factory=Finding)
    label_leaks: Finding = field(default_factory=Finding)
    naming_models: Finding = field(default_factory=Finding)
    refusals: Finding = field(default_factory=Finding)
    sources: list[SourceFacts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_rows(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    format: str | None = None,
    rename: Mapping[str, str] | None = None,
) -> CheckReport:
    """Read everything once, as `read_rows` does with the same arguments, and report.

    duplicates: rows that agree with an earlier one in all of `schema.IDENTITY_COLUMNS`.
    shared_answers: rows whose question and answer an earlier row of another model has too.
    short_answers: answers of fewer than SHORT_ANSWER characters.
    label_leaks: answers with their own model's name (what follows its last slash) as a word, in any case.
    naming_models, refusals: answers that name any assistant or its maker, or begin as refusals do
        (`univar.data.screen`); `univar train` can mask the names.

    Raises what `read_rows` raises. Holds about 150 bytes per row, never the texts.
    """
    report = CheckReport()

    def refuse(row: RefusedRow) -> None:
        report.refused.add(row.file, row.row, reason=row.reason)
        report.empty_answers += row.reason == is_empty("answer")

    seen_rows, seen_answers = HashIndex(), HashIndex()
    sources = _Sources()
    for batch in read_rows(inputs, format=format, rename=rename, on_refused=refuse):
        column = {name: batch.table[name].combine_chunks() for name in IDENTITY_COLUMNS}
        n_chars = pc.utf8_length(column["answer"]).to_numpy()
        models = sources.add(column, n_chars)
        report.rows += len(batch.rows)
        repeated = seen_rows.insert(
            content_hashes(list(column.values())), np.zeros(len(models), dtype=np.int64)
        )
        report.duplicates.add_all(batch, repeated >= 0)
        answered = seen_answers.insert(content_hashes([column["question"], column["answer"]]), models)
        report.shared_answers.add_all(batch, (answered >= 0) & (answered != models))
        report.short_answers.add_all(batch, n_chars < SHORT_ANSWER)
        report.label_leaks.add_all(batch, _leaks(column["model"], column["answer"]))
        report.naming_models.add_all(batch, names_models(column["answer"]))
        report.refusals.add_all(batch, refuses(column["answer"]))
    report.sources = sources.facts()
    report.notes = _notes(report)
    return report


class _Sources:
    """Rows, questions and answer lengths of every (model, language)."""

    def __init__(self) -> None:
        self._models: dict[str, int] = {}
        self._codes: dict[tuple[str, str], int] = {}
        self._seen_questions = HashIndex()
        self._rows_of: list[np.ndarray] = []  # source of each row, and of each question of a source
        self._questions_of: list[np.ndarray] = []
        self._chars: list[np.ndarray] = []

    def add(self, column: dict[str, pa.Array], n_chars: np.ndarray) -> np.ndarray:
        """Take a batch in. n_chars: (n,); returns (n,) int64, one number per model."""
        pairs = list(zip(column["model"].to_pylist(), column["language"].to_pylist(), strict=True))
        codes = np.array([self._codes.setdefault(pair, len(self._codes)) for pair in pairs], dtype=np.int32)
        keys = content_hashes([column["model"], column["language"], column["question_id"]])
        known = self._seen_questions.insert(keys, np.zeros(len(pairs), dtype=np.int64))
        self._rows_of.append(codes)
        self._questions_of.append(codes[known < 0])
        self._chars.append(n_chars.astype(np.int32))
        return np.array(
            [self._models.setdefault(model, len(self._models)) for model, _ in pairs], dtype=np.int64
        )

    def facts(self) -> list[SourceFacts]:
        """One entry per source, sorted by model and language."""
        rows_of, chars = np.concatenate(self._rows_of), np.concatenate(self._chars)
        questions = np.bincount(np.concatenate(self._questions_of), minlength=len(self._codes))
        order = np.argsort(rows_of, kind="stable")
        lengths = np.split(chars[order], np.cumsum(np.bincount(rows_of))[:-1])
        return [
            SourceFacts(*pair, len(lengths[code]), int(questions[code]), float(np.median(lengths[code])))
            for pair, code in sorted(self._codes.items())
        ]


def _leaks(models: pa.Array, answers: pa.Array) -> np.ndarray:
    """(n,) bool: the answer names its own model."""
    encoded = models.dictionary_encode()
    names = [model.rpartition("/")[2] or model for model in encoded.dictionary.to_pylist()]
    words = [re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE) for name in names]
    codes = encoded.indices.to_pylist()
    found = (words[code].search(answer) for code, answer in zip(codes, answers.to_pylist(), strict=True))
    return np.fromiter((match is not None for match in found), dtype=bool, count=len(codes))


def _notes(report: CheckReport) -> list[str]:
    notes: list[str] = []
    if len(report.sources) == 1:
        notes.append("there is only one source: attribution needs at least two to tell apart")
    by_rows = sorted(report.sources, key=lambda source: source.rows)
    smallest, largest = by_rows[0], by_rows[-1]
    if largest.rows > UNBALANCED * smallest.rows:
        few, many = (f"{source_label(s.model, s.language)} has {s.rows:,}" for s in (smallest, largest))
        notes.append(f"the sources are unbalanced: {many} rows, {few}; neighbours favour the larger")
    return notes
