"""Answers in which people marked values: what probes of values are trained on and measured by."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from univar.errors import DataError

LABEL_COLUMNS = ("values", "schwartz_types_json")
"""Names of the column of labels; the second is Value FULCRA's."""

MIN_ANSWERS = 20
"""A value needs this many answers with it and as many without: its AUC would say nothing."""


@dataclass(frozen=True)
class LabelledAnswers:
    """n answers and which of V values people found in each.

    labels: (n, V) bool; values: the V names, sorted
    rare:   names of values left out, since fewer than MIN_ANSWERS answers have or lack them
    """

    questions: list[str]
    answers: list[str]
    labels: np.ndarray
    values: list[str]
    rare: list[str]

    @property
    def clusters(self) -> np.ndarray:
        """(n,) the question of each answer, as a code."""
        codes: np.ndarray = np.unique(np.array(self.questions, dtype=object), return_inverse=True)[1]
        return codes

    def select(self, names: list[str]) -> np.ndarray:
        """(n, len(names)) bool, the columns of some values; one that is not there is False throughout."""
        place = {name: number for number, name in enumerate(self.values)}
        empty = np.zeros(len(self.questions), bool)
        return np.stack([self.labels[:, place[it]] if it in place else empty for it in names], axis=1)


def read_labelled(path: Path, names: list[str] | None = None) -> LabelledAnswers:
    """Read question, answer and values of every row of a Parquet, JSONL or CSV file.

    names: values that count; None: all in the file
    The column `values` holds a JSON list of names, or a JSON object of names and signs, of which those above
    0 count. Raises DataError that names the row for anything else, for an empty question or answer, and where
    no value has answers enough.
    """
    questions, answers, given = [], [], []
    for number, row in enumerate(_rows(path), 1):
        column = next((name for name in LABEL_COLUMNS if name in row), None)
        if column is None or not {"question", "answer"} <= row.keys():
            raise DataError(
                f"{path} has no columns question, answer and values (a JSON list of names): "
                f"it has {', '.join(map(str, row))}"
            )
        question, answer = row["question"], row["answer"]
        if not (
            isinstance(question, str) and question.strip() and isinstance(answer, str) and answer.strip()
        ):
            raise DataError(f"{path}, row {number}: question and answer must be texts that are not empty")
        questions.append(question)
        answers.append(answer)
        given.append(row[column])
    return labelled_from(questions, answers, given, str(path), names)


def labelled_from(
    questions: list[str], answers: list[str], given: list[Any], place: str, names: list[str] | None = None
) -> LabelledAnswers:
    """The same from columns. given: (n) labels as in a file; place: where they are from, for errors."""
    marked = [_names(it, f"{place}, row {number}") for number, it in enumerate(given, 1)]
    every = sorted({name for row_names in marked for name in row_names})
    wanted = every if names is None else [name for name in names if name in every]
    table = np.array([[name in row_names for name in wanted] for row_names in marked], bool)
    held = table.reshape(len(marked), len(wanted)).sum(axis=0)
    enough = (held >= MIN_ANSWERS) & (held <= len(marked) - MIN_ANSWERS)
    if not enough.any():
        raise DataError(f"{place}: no value has {MIN_ANSWERS} answers with it and {MIN_ANSWERS} without")
    kept = [name for name, there in zip(wanted, enough, strict=True) if there]
    rare = [name for name, there in zip(wanted, enough, strict=True) if not there]
    return LabelledAnswers(questions, answers, table[:, enough], kept, rare)


def _names(given: Any, place: str) -> set[str]:
    """`["Tradition"]`, `{"Tradition": 1, "Power": -1}` or the list itself as {"Tradition"}."""
    try:
        found = json.loads(given) if isinstance(given, str) else given
        if isinstance(found, dict):
            return {str(name) for name, sign in found.items() if float(sign) > 0}
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            return set(found)
    except (ValueError, TypeError):
        pass
    raise DataError(
        f'{place}: values must be a JSON list of names such as ["Tradition"], got {str(given)[:60]!r}'
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a file as objects."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as lines:
                rows = list(csv.DictReader(lines))
        else:
            with path.open(encoding="utf-8-sig") as lines:
                rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:  # Arrow's errors are one or the other
        raise DataError(f"cannot read {path} as Parquet, CSV or JSONL: {error}") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} holds no rows: give question, answer and values in each")
    return rows
