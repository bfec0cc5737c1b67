"""Translating answer and question files: rows in, rows out, originals kept, outcomes counted."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from univar.answers import RejectedRow, read_rows
from univar.answers.inputs import Reading
from univar.answers.rows import RowBatch
from univar.errors import UsageError
from univar.files import new_file
from univar.schema import normalize_language
from univar.translate.engines import Translator
from univar.translate.memory import Memory, Outcomes
from univar.translate.outcome import Untranslated
from univar.translate.quality import PairQuality, Quality

NAMED_PLACES = 20

Row = dict[str, str]
Placed = tuple[Row, RejectedRow]
"""A row, and where it is."""


@dataclass
class TranslationReport:
    """Outcomes of the rows.

    unchanged: already in the target language; failed: without translation, so left out; reasons: how many of
    them failed why; first_failed: the first of them; rejected: unreadable; quality: one entry per pair of
    languages.
    """

    rows: int = 0
    translated: int = 0
    unchanged: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first_failed: list[RejectedRow] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    quality: list[PairQuality] = field(default_factory=list)


def translate_file(
    inputs: str | os.PathLike[str] | Sequence[str],
    out: str | os.PathLike[str],
    targets: Sequence[str],
    translator: Translator,
    *,
    round_trip: str | None = None,
    reading: Reading | None = None,
) -> TranslationReport:
    """Translate answers into the one of `targets`, or questions into all of them; writes `out` (.jsonl).

    Rows with an answer keep their language, which is part of their source. Question and answer are translated
    separately; `original_question` and `original_answer` hold the old texts, `translated` the target. Rows
    without an answer are questions: each target gets its own row, in that language. round_trip: translate
    answers that are already in the target to this language and back, so that all rows are translations.

    Translations are kept in `out`.memory, so that the same call continues an interrupted one. Raises
    UsageError for a pair that the translator does not know, and what `read_rows` raises.
    """
    targets = [normalize_language(target) for target in targets]
    round_trip = None if round_trip is None else normalize_language(round_trip)
    path = Path(out)
    if path.suffix != ".jsonl":
        raise UsageError(f"{path} does not end in .jsonl: choose such a name for the output")
    kept = path.with_name(path.name + ".memory")
    if path.exists() and not kept.exists():
        raise UsageError(
            f"{path} already exists and was not made by `univar translate`: choose another --out"
        )
    report, quality = TranslationReport(), Quality()
    memory = Memory(kept, translator)
    work = _Work(memory, translator, quality, report)
    batches = read_rows(
        inputs,
        on_rejected=report.rejected.append,
        reading=reading,
        required=("question", "language"),
    )
    try:
        with new_file(path) as file:
            for batch in batches:
                for row in work.rows(batch, targets, round_trip):
                    file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
                report.rows += len(batch.rows)
            report.quality = quality.pairs()
    finally:
        memory.close()
    return report


class _Work:
    def __init__(
        self, memory: Memory, translator: Translator, quality: Quality, report: TranslationReport
    ) -> None:
        self._memory, self._translator = memory, translator
        self._quality, self._report = quality, report

    def rows(self, batch: RowBatch, targets: Sequence[str], round_trip: str | None) -> Iterator[Row]:
        """The output rows of one batch."""
        places = [RejectedRow(batch.file, row, "") for row in batch.rows.tolist()]
        rows = list(zip(batch.table.to_pylist(), places, strict=True))
        answered = [(row, place) for row, place in rows if row["answer"].strip()]
        asked = [(row, place) for row, place in rows if not row["answer"].strip()]
        if answered and len(targets) != 1:
            raise UsageError(
                f"answers can be translated into one language only, not into {', '.join(targets)}: choose one"
            )
        if answered:
            yield from self._answers(answered, targets[0], round_trip)
        for target in targets:
            yield from self._questions(asked, target)

    def _questions(self, rows: list[Placed], target: str) -> Iterator[Row]:
        done = self._texts(rows, ("question",), target, None)
        for row, place in rows:
            if row["language"] == target:
                self._report.unchanged += 1
                yield _without_blanks(row)
                continue
            new = self._done(row, ("question",), done, place)
            if new is not None:
                originals = {"original_question": row["question"], "original_language": row["language"]}
                note = {"translator": self._translator.name}
                yield _without_blanks({**row, "language": target, **new, **originals, **note})

    def _answers(self, rows: list[Placed], target: str, round_trip: str | None) -> Iterator[Row]:
        done = self._texts(rows, ("question", "answer"), target, round_trip)
        for row, place in rows:
            if row["language"] == target and round_trip is None:
                self._report.unchanged += 1
                yield _without_blanks(row)
                continue
            new = self._done(row, ("question", "answer"), done, place)
            if new is not None:
                originals = {"original_question": row["question"], "original_answer": row["answer"]}
                way = f"{round_trip},{target}" if row["language"] == target else target
                note = {"translated": way, "translator": self._translator.name}
                yield _without_blanks({**row, **new, **originals, **note})

    def _done(
        self,
        row: Row,
        names: Sequence[str],
        done: dict[tuple[str, str], str | Untranslated],
        place: RejectedRow,
    ) -> Row | None:
        """The row's translated texts; None, counted with its reason, where one of them has none."""
        outcomes = [done[row["language"], row[name]] for name in names]
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, Untranslated):
                self._fail(replace(place, reason=f"{name}: {outcome.reason}"), outcome.reason)
                return None
        self._report.translated += 1
        return {name: str(outcome) for name, outcome in zip(names, outcomes, strict=True)}

    def _fail(self, failed: RejectedRow, reason: str) -> None:
        report = self._report
        report.failed += 1
        report.reasons[reason] = report.reasons.get(reason, 0) + 1
        if len(report.first_failed) < NAMED_PLACES:
            report.first_failed.append(failed)

    def _texts(
        self, rows: list[Placed], names: Collection[str], target: str, round_trip: str | None
    ) -> dict[tuple[str, str], str | Untranslated]:
        """(language, text) to what became of it, for all texts that need a translation; each text once."""
        done: dict[tuple[str, str], str | Untranslated] = {}
        for language in dict.fromkeys(row["language"] for row, _ in rows):
            texts = dict.fromkeys(
                row[name] for row, _ in rows if row["language"] == language for name in names
            )
            if language != target:
                self._translator.check_pair(language, target)
                new = self._memory.translate(texts, language, target)
            elif round_trip is not None:
                new = self._there_and_back(texts, target, round_trip)
            else:
                continue
            for text, outcome in new.items():
                done[language, text] = outcome
                if isinstance(outcome, str):
                    self._quality.add(language, target, text, outcome)
        return done

    def _there_and_back(self, texts: Collection[str], target: str, through: str) -> Outcomes:
        for pair in ((target, through), (through, target)):
            self._translator.check_pair(*pair)
        there = self._memory.translate(texts, target, through)
        middle = [outcome for outcome in there.values() if isinstance(outcome, str)]
        back = self._memory.translate(middle, through, target)
        return {text: back[new] if isinstance(new, str) else new for text, new in there.items()}


def _without_blanks(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row` without empty columns, which the reader added."""
    return {name: value for name, value in row.items() if value != ""}
