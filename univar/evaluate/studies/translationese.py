"""The control with translations: can the source language be told from English translations? It should not.

Europarl-style CSV files: English text and the language it was translated from. An encoder of values should
see less of it than a sentence encoder does.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from univar.errors import DataError
from univar.evaluate.protocol import SIDES, EvalSettings
from univar.evaluate.report import Translationese, TwoClassifiers
from univar.evaluate.studies.style import two_classifiers

Embed = Callable[[list[str]], np.ndarray]

LABEL = "original_language"
TEXTS = ("text", "qa", "para_qa")


def translationese(folder: Path, embed: Mapping[str, Embed], settings: EvalSettings) -> Translationese:
    """Encoder to text column to accuracy@1, @3, @5 of k-NN and probe, with intervals over rows.

    folder: with one CSV file whose name has "train" in it and one with "test"; columns original_language and
            at least one of text, qa (in question-and-answer form) and para_qa (a paraphrase of it)
    Raises DataError for another kind of folder.
    """
    sides = read_sides(folder)
    columns = [name for name in TEXTS if all(name in side for side in sides.values())]
    languages, labels = np.unique(np.array(sides["train"][LABEL], dtype=object), return_inverse=True)
    number_of = {language: number for number, language in enumerate(languages)}
    truth = np.array([number_of.get(language, -1) for language in sides["eval"][LABEL]])
    if len(languages) < 2 or not (truth >= 0).any():
        raise DataError(f"{folder}: two languages are needed in train, and one of them in test")
    found: dict[str, dict[str, TwoClassifiers]] = {}
    for name, function in embed.items():
        found[name] = {}
        for column in columns:
            vectors = {side: function(rows[column]) for side, rows in sides.items()}
            rows = np.arange(len(truth))
            found[name][column] = two_classifiers(vectors, SIDES, labels, truth, rows, settings)
    return Translationese(len(languages), int((truth >= 0).sum()), found)


def read_sides(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Columns of the train file, and as "eval" those of the test file. Raises DataError for other folders."""
    sides = {"train": _read(_one_file(folder, "train")), "eval": _read(_one_file(folder, "test"))}
    if not any(all(name in side for side in sides.values()) for name in TEXTS):
        raise DataError(f"{folder}: the files have none of the columns {', '.join(TEXTS)} in common")
    return sides


def _read(path: Path) -> dict[str, list[str]]:
    """Columns of a CSV file. Raises DataError if it has no original_language."""
    csv.field_size_limit(min(sys.maxsize, 1 << 27))
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from None
    if not rows or LABEL not in rows[0]:
        raise DataError(f"{path} has no rows with the column {LABEL}")
    names = [name for name in rows[0] if name in (LABEL, *TEXTS)]
    return {name: [row[name] or "" for row in rows] for name in names}


def _one_file(folder: Path, part: str) -> Path:
    found = sorted(path for path in folder.glob("*.csv") if part in path.stem.lower())
    if len(found) != 1:
        raise DataError(f"{folder} must hold one CSV file with {part!r} in its name, there are {len(found)}")
    return found[0]
