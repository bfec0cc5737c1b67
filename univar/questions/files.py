"""Question files: what `univar questions export` writes and what users bring along."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from univar.errors import DataError
from univar.questions.bank import KINDS, Question, load_bank, select
from univar.questions.tables import write_table

SETS = ("bank", "core", "controls", "all")
"""Names of question sets that ship with univar: English value questions, the core set in all its languages,
English controls, everything."""


def read_questions(
    path: str | os.PathLike[str], *, format: str | None = None, rename: Mapping[str, str] | None = None
) -> tuple[Question, ...]:
    """The questions of a JSONL, CSV, TSV (each also .gz or .zst) or Parquet file, or of stdin ("-").

    Only `question` has to be there. `language` defaults to eng, `wording` to 1, `kind` to value, `core` to
    false; a row without `question_id` gets one made from its text. Raises DataError that names the row.
    """
    from univar.answers import RejectedRow, read_rows

    rejected: list[RejectedRow] = []
    batches = list(
        read_rows(path, on_rejected=rejected.append, format=format, rename=rename, required=("question",))
    )
    if rejected:
        first = rejected[0]
        raise DataError(f"{first.file}:{first.row}: {first.reason}: mend or remove the row")
    questions = [
        _question(row, f"{batch.file}:{number}")
        for batch in batches
        for row, number in zip(batch.table.to_pylist(), batch.rows.tolist(), strict=True)
    ]
    seen: dict[tuple[str, int, str], int] = {}
    for place, question in enumerate(questions, start=1):
        key = (question.question_id, question.wording, question.language)
        if seen.setdefault(key, place) != place:
            raise DataError(
                f"{os.fspath(path)}: {question.question_id!r}, wording {question.wording}, in "
                f"{question.language} is there twice (questions {seen[key]} and {place}): number its wordings"
            )
    return tuple(questions)


def gather(
    source: str | os.PathLike[str], *, format: str | None = None, rename: Mapping[str, str] | None = None
) -> tuple[Question, ...]:
    """The questions of one of SETS, or of a file as `read_questions` reads it."""
    if source == "all":
        return load_bank()
    if source == "core":
        return select(load_bank(), core=True)
    if source in ("bank", "controls"):
        kind = "value" if source == "bank" else "control"
        return select(load_bank(), kind=kind, languages=("eng",))
    return read_questions(source, format=format, rename=rename)


def write_questions(questions: Iterable[Question], path: str | os.PathLike[str], force: bool = False) -> None:
    """Write `questions` to a .jsonl, .csv or .tsv file. Raises UsageError if it is there, unless forced."""
    write_table([asdict(question) for question in questions], path, force)


def _question(row: dict[str, Any], place: str) -> Question:
    wording = (row.get("wording") or "1").strip()
    if not wording.isascii() or not wording.isdigit() or int(wording) < 1:
        raise DataError(f"{place}: wording {wording!r} is no number from 1 on")
    kind = (row.get("kind") or "value").strip()
    if kind not in KINDS:
        raise DataError(f"{place}: kind {kind!r} is neither value nor control")
    core = (row.get("core") or "false").strip().lower()
    if core not in ("true", "false"):
        raise DataError(f"{place}: core {core!r} is neither true nor false")
    return Question(
        row["question_id"],
        int(wording),
        row["language"] or "eng",
        row["question"].strip(),
        (row.get("value") or "").strip(),
        kind,
        core == "true",
    )
