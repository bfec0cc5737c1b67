"""The list of rows that could not be embedded: a file beside the shards, so that no reason is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from univar.answers import RejectedRow
from univar.bulk.report import EmbedReport
from univar.files import remove, reported


class RejectedLog:
    """Counts rejected rows and writes file, row and reason of each to `rejected.jsonl` in the store.

    The file holds the last run's rejected rows; no file without one. With several workers, worker i keeps
    `rejected-i-of-n.jsonl` and counts the rejected rows whose number is i modulo n.
    """

    def __init__(
        self,
        store: Path,
        worker: tuple[int, int],
        report: EmbedReport,
        on_rejected: Callable[[str], None] | None,
    ) -> None:
        index, workers = worker
        self._path = store / ("rejected.jsonl" if workers == 1 else f"rejected-{index}-of-{workers}.jsonl")
        self._worker = worker
        self._report = report
        self._on_rejected = on_rejected
        self._file: IO[str] | None = None

    def __call__(self, rejected: RejectedRow) -> None:
        index, workers = self._worker
        self._report.rows_read += 1
        if rejected.row % workers != index:
            self._report.other_workers += 1
            return
        self._report.rejected += 1
        record = {"file": rejected.file, "row": rejected.row, "reason": rejected.reason}
        with reported("write", self._path):
            if self._file is None:
                self._file = self._path.open("w", encoding="utf-8")
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        if self._on_rejected is not None:
            self._on_rejected(f"{rejected.file}, row {rejected.row}: {rejected.reason}")

    def __enter__(self) -> RejectedLog:
        remove(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with reported("write", self._path):
                self._file.close()

    @property
    def path_if_any(self) -> str | None:
        """Where the rejected rows are listed, None if there were none."""
        return str(self._path) if self._file is not None else None
