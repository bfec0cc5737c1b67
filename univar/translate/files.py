"""Translating answer and question files: rows in, rows out, originals kept, outcomes counted."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from univar.answers import RejectedRow, read_rows
from univar.answers.inputs import Reading
from univar.errors import UsageError
from univar.files import new_file
from univar.translate.engines import Translator
from univar.translate.memory import Memory
from univar.translate.quality import PairQuality, Quality

Row = dict[str, str]


@dataclass
class TranslationReport:
    """Outcomes of the rows.

    unchanged: already in the target language; failed: without translation, so left out; rejected: unreadable;
    quality: one entry per pair of languages.
    """

    rows: int = 0
    translated: int = 0
    unchanged: int = 0
    failed: int = 0
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
                rows = batch.table.to_pylist()
                for row in work.rows(rows, targets, round_trip):
                    file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
                report.rows += len(rows)
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

    def rows(self, rows: list[Row], targets: Sequence[str], round_trip: str | None) -> Iterator[Row]:
        """The output rows of one batch."""
        answered = [row for row in rows if row["answer"].strip()]
        if answered and len(targets) != 1:
            raise UsageError(
                f"answers can be translated into one language only, not into {', '.join(targets)}: choose one"
            )
        if answered:
            yield from self._answers(answered, targets[0], round_trip)
        for target in targets:
            asked = [row for row in rows if not row["answer"].strip()]
            yield from self._questions(asked, target)

    def _questions(self, rows: list[Row], target: str) -> Iterator[Row]:
        done = self._texts(rows, ("question",), target, None)
        for row in rows:
            if row["language"] == target:
                self._report.unchanged += 1
                yield _without_blanks(row)
            elif (new := done.get((row["language"], row["question"]))) is None:
                self._report.failed += 1
            else:
                self._report.translated += 1
                originals = {"original_question": row["question"], "original_language": row["language"]}
                note = {"translator": self._translator.name}
                yield _without_blanks({**row, "language": target, "question": new, **originals, **note})

    def _answers(self, rows: list[Row], target: str, round_trip: str | None) -> Iterator[Row]:
        done = self._texts(rows, ("question", "answer"), target, round_trip)
        for row in rows:
            question, answer = (done.get((row["language"], row[name])) for name in ("question", "answer"))
            if row["language"] == target and round_trip is None:
                self._report.unchanged += 1
                yield _without_blanks(row)
            elif question is None or answer is None:
                self._report.failed += 1
            else:
                self._report.translated += 1
                originals = {"original_question": row["question"], "original_answer": row["answer"]}
                way = f"{round_trip},{target}" if row["language"] == target else target
                note = {"translated": way, "translator": self._translator.name}
                yield _without_blanks({**row, "question": question, "answer": answer, **originals, **note})

    def _texts(
        self, rows: list[Row], names: Collection[str], target: str, round_trip: str | None
    ) -> dict[tuple[str, str], str]:
        """(language, text) to its translation, for all texts that need one; each text once."""
        done: dict[tuple[str, str], str] = {}
        for language in dict.fromkeys(row["language"] for row in rows):
            texts = dict.fromkeys(row[name] for row in rows if row["language"] == language for name in names)
            if language != target:
                self._translator.check_pair(language, target)
                new = self._memory.translate(texts, language, target)
            elif round_trip is not None:
                for pair in ((target, round_trip), (round_trip, target)):
                    self._translator.check_pair(*pair)
                there = self._memory.translate(texts, target, round_trip)
                back = self._memory.translate(there.values(), round_trip, target)
                new = {text: back[middle] for text, middle in there.items() if middle in back}
            else:
                continue
            for text, translation in new.items():
                self._quality.add(language, target, text, translation)
            done.update({(language, text): translation for text, translation in new.items()})
        return done


def _without_blanks(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row` without empty columns, which the reader added."""
    return {name: value for name, value in row.items() if value != ""}
