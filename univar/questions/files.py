"""Question files: those that `univar questions export` writes, and those of users."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from univar.answers.inputs import Reading
from univar.errors import DataError, UsageError, did_you_mean
from univar.files import new_text_file, refuse_existing
from univar.questions.bank import KINDS, Question, load_bank, select

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def check_target(path: str | os.PathLike[str], force: bool = False) -> Path:
    """`path` as a Path. Raises UsageError for another ending, and for an existing file unless forced."""
    path = Path(path)
    if path.suffix not in (".jsonl", *_DELIMITERS):
        raise UsageError(f"{path} must end in .jsonl, .csv or .tsv: choose such a name")
    refuse_existing(path, force)
    return path


def write_table(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], force: bool = False) -> None:
    """Write `rows`, which share their keys, in the format of the file's ending, whole or not at all.

    Raises UsageError as `check_target` does, ProviderError if it cannot be written.
    """
    with new_text_file(check_target(path, force)) as file:
        file.write(as_text(rows, Path(path).suffix))


def as_text(rows: Sequence[Mapping[str, Any]], suffix: str = ".jsonl") -> str:
    """`rows` as one JSON object per line, or as CSV or TSV with a header and JSON booleans."""
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=_DELIMITERS[suffix], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, bool) else v for k, v in row.items()})
    return buffer.getvalue()


SETS = ("bank", "core", "controls", "all")
"""Shipped sets: English value questions, core questions in all languages, English controls, everything."""


def read_questions(path: str | os.PathLike[str], *, reading: Reading | None = None) -> tuple[Question, ...]:
    """The questions of a JSONL, CSV, TSV (each also .gz or .zst) or Parquet file, or of stdin ("-").

    Only `question` is required. Defaults: `language` eng, `wording` 1, `kind` value, `core` false, and a
    `question_id` made from the text. Raises DataError that names the row.
    """
    from univar.answers import RejectedRow, read_rows

    rejected: list[RejectedRow] = []
    batches = list(read_rows(path, on_rejected=rejected.append, reading=reading, required=("question",)))
    if rejected:
        first = rejected[0]
        raise DataError(f"{first.file}:{first.row}: {first.reason}: correct or remove the row")
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
                f"{question.language} occurs twice (questions {seen[key]} and {place}): number its wordings"
            )
    return tuple(questions)


def gather(name: str | os.PathLike[str], *, reading: Reading | None = None) -> tuple[Question, ...]:
    """The questions of one of SETS, or of a file as `read_questions` reads it."""
    if name == "all":
        return load_bank()
    if name == "core":
        return select(load_bank(), core=True)
    if name in ("bank", "controls"):
        kind = "value" if name == "bank" else "control"
        return select(load_bank(), kind=kind, languages=("eng",))
    if name != "-" and not os.path.exists(name) and (near := did_you_mean(os.fspath(name), SETS)):
        raise UsageError(
            f"{os.fspath(name)!r} is neither a set of questions nor a file{near}: {', '.join(SETS)}"
        )
    return read_questions(name, reading=reading)


def write_questions(questions: Iterable[Question], path: str | os.PathLike[str], force: bool = False) -> None:
    """Write `questions` to a .jsonl, .csv or .tsv file. Raises UsageError if it exists, unless forced."""
    write_table([asdict(question) for question in questions], path, force)


def _question(row: dict[str, Any], place: str) -> Question:
    wording = (row.get("wording") or "1").strip()
    if not wording.isascii() or not wording.isdigit() or int(wording) < 1:
        raise DataError(f"{place}: wording {wording!r} must be a whole number from 1")
    kind = (row.get("kind") or "value").strip()
    if kind not in KINDS:
        raise DataError(f"{place}: kind {kind!r} must be value or control")
    core = (row.get("core") or "false").strip().lower()
    if core not in ("true", "false"):
        raise DataError(f"{place}: core {core!r} must be true or false")
    return Question(
        row["question_id"],
        int(wording),
        row["language"] or "eng",
        row["question"].strip(),
        (row.get("value") or "").strip(),
        kind,
        core == "true",
    )
