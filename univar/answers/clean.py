"""What is written of checked answers: a copy without the faulty rows, and what was found in each row."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from univar.answers.rows import RejectedRow, RowBatch
from univar.errors import UsageError, did_you_mean
from univar.files import new_text_file, refuse_existing

DROPPABLE = (
    "duplicates",
    "short_answers",
    "declined",
    "wrong_language",
    "maker_names",
    "echoes",
    "loops",
    "cut_off",
    "reasoning",
    "shared_answers",
)
DROPPED = DROPPABLE[:7]
"""Dropped by default; an answer cut off is still an answer, so it stays."""


class _Writer:
    """Files that are there whole or not at all when the context ends. _open: what closes them."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


class CleanCopy(_Writer):
    """Writes `path` (.jsonl) and `path`.dropped.jsonl, each whole or not at all; a context manager.

    kinds: findings of `check_rows` for which a row is left out. Raises UsageError for an unknown kind and
    for a file that already exists, unless `force`; ProviderError where it cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], kinds: Collection[str] = DROPPED, force: bool = False
    ) -> None:
        self.path, self.kinds = Path(path), tuple(kinds)
        self.report_path = self.path.with_name(self.path.name + ".dropped.jsonl")
        self.kept, self.dropped = 0, Counter[str]()
        unknown = sorted(set(kinds) - set(DROPPABLE))
        if unknown:
            near = did_you_mean(unknown[0], DROPPABLE)
            raise UsageError(f"unknown finding {unknown[0]!r}{near}: choose from {', '.join(DROPPABLE)}")
        if self.path.suffix != ".jsonl":
            raise UsageError(f"{self.path} does not end in .jsonl: give the copy that ending")
        refuse_existing(self.path, force)
        super().__init__()
        self._files: list[IO[str]] = []

    def __enter__(self) -> CleanCopy:
        self._files = [
            self._open.enter_context(new_text_file(path)) for path in (self.path, self.report_path)
        ]
        return self

    def reject(self, row: RejectedRow) -> None:
        """Report a row that could not be read."""
        self._report(row.file, row.row, [row.reason])
        self.dropped["rejected"] += 1

    def add(self, batch: RowBatch, found: Mapping[str, np.ndarray]) -> None:
        """Take a batch in. found: kind to (n,) bool."""
        clean, _ = self._files
        masks = {kind: found[kind] for kind in self.kinds if kind in found}
        for place, record in enumerate(batch.table.to_pylist()):
            reasons = [kind for kind, mask in masks.items() if mask[place]]
            if reasons:
                self._report(batch.file, int(batch.rows[place]), reasons)
                self.dropped.update(reasons)
            else:
                clean.write(json.dumps(record, ensure_ascii=False) + "\n")
                self.kept += 1

    def _report(self, file: str, row: int, reasons: list[str]) -> None:
        record = {"file": file, "row": row, "reasons": reasons}
        self._files[1].write(json.dumps(record, ensure_ascii=False) + "\n")


class FlagFile(_Writer):
    """Writes `path` (.jsonl or .csv), a line for each row with what was found in it; a context manager.

    Columns: file and row (which name the row), id, model, language, question_id, and `findings`, kinds of
    DROPPABLE or `rejected` (in CSV with ; between them). Raises UsageError for another ending and for a file
    that already exists, unless `force`; ProviderError where it cannot be written.
    """

    COLUMNS = ("file", "row", "id", "model", "language", "question_id", "findings")

    def __init__(self, path: str | os.PathLike[str], force: bool = False) -> None:
        self.path = Path(path)
        if self.path.suffix not in (".jsonl", ".csv"):
            raise UsageError(f"{self.path} ends in neither .jsonl nor .csv: give the findings such a name")
        refuse_existing(self.path, force)
        super().__init__()

    def __enter__(self) -> FlagFile:
        self._file = self._open.enter_context(new_text_file(self.path))
        self._table = csv.writer(self._file, lineterminator="\n")
        if self.path.suffix == ".csv":
            self._table.writerow(self.COLUMNS)
        return self

    def reject(self, row: RejectedRow) -> None:
        """Tell of a row that could not be read."""
        self._write([row.file, row.row, "", "", "", "", ["rejected"]])

    def add(self, batch: RowBatch, found: Mapping[str, np.ndarray]) -> None:
        """Take a batch in. found: kind to (n,) bool."""
        kinds = [kind for kind in DROPPABLE if kind in found]
        columns = [batch.table.column(name).to_pylist() for name in self.COLUMNS[2:-1]]
        for place, (number, *names) in enumerate(zip(batch.rows.tolist(), *columns, strict=True)):
            self._write([batch.file, number, *names, [kind for kind in kinds if found[kind][place]]])

    def _write(self, values: list[Any]) -> None:
        if self.path.suffix == ".csv":
            self._table.writerow([*values[:-1], ";".join(values[-1])])
        else:
            record = dict(zip(self.COLUMNS, values, strict=True))
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
