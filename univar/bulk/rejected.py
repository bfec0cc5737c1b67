"""The list of rows that could not be embedded: a file beside the shards, so that no reason is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from univar.answers import RefusedRow
from univar.bulk.report import EmbedReport
from univar.files import remove, reported


class RefusalLog:
    """Counts refused rows and writes file, row and reason of each to `refused.jsonl` in the store.

    The file holds the last run's refusals and is made with the first of them. With several workers, worker i
    keeps `refused-i-of-n.jsonl` and counts the refused rows whose number is i modulo n.
    """

    def __init__(
        self,
        store: Path,
        worker: tuple[int, int],
        report: EmbedReport,
        on_refused: Callable[[str], None] | None,
    ) -> None:
        index, workers = worker
        self._path = store / ("refused.jsonl" if workers == 1 else f"refused-{index}-of-{workers}.jsonl")
        self._worker = worker
        self._report = report
        self._on_refused = on_refused
        self._file: IO[str] | None = None

    def __call__(self, refused: RefusedRow) -> None:
        index, workers = self._worker
        self._report.rows_read += 1
        if refused.row % workers != index:
            self._report.other_workers += 1
            return
        self._report.refused += 1
        record = {"file": refused.file, "row": refused.row, "reason": refused.reason}
        with reported("write", self._path):
            if self._file is None:
                self._file = self._path.open("w", encoding="utf-8")
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        if self._on_refused is not None:
            self._on_refused(f"{refused.file}, row {refused.row}: {refused.reason}")

    def __enter__(self) -> RefusalLog:
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
        """Where the refusals are listed, None if there were none."""
        return str(self._path) if self._file is not None else None
