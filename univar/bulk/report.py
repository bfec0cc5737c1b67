"""What a bulk run did: a count for every row, and the list of rows that could not be embedded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from univar.answers import RejectedRow
from univar.files import remove, reported


@dataclass
class EmbedReport:
    """Counts of one run of the bulk engine. Every row read is in exactly one of the six counts after it.

    rows_read:      rows of the input, rejected ones included
    embedded:       rows written to the store by this run
    already_stored: rows that the store held before
    duplicate:      rows identical to an earlier one of this run
    other_workers:  rows that belong to another worker of `--worker i/n`
    rejected:       rows that cannot be embedded, each reported with file, row and reason
    unfinished:     rows read but not embedded when the run was interrupted
    truncated:      embedded rows whose text was cut to the encoder's max_length
    reused:         embedded rows whose text equals an earlier one, whose embedding they take
    encoded:        texts that went through the encoder so far
    tokens:         tokens that went through the encoder
    seconds:        wall time of the run
    """

    rows_read: int = 0
    embedded: int = 0
    already_stored: int = 0
    duplicate: int = 0
    other_workers: int = 0
    rejected: int = 0
    unfinished: int = 0
    truncated: int = 0
    reused: int = 0
    encoded: int = 0
    tokens: int = 0
    seconds: float = 0.0
    store: str = ""
    store_rows: int = 0
    shards: int = 0
    interrupted: bool = False
    rejected_log: str | None = field(default=None)

    @property
    def accounted(self) -> int:
        """Rows whose fate is known; equals `rows_read` at the end of a run."""
        return (
            self.embedded
            + self.already_stored
            + self.duplicate
            + self.other_workers
            + self.rejected
            + self.unfinished
        )

    def facts(self) -> dict[str, Any]:
        """The report as JSON-ready facts with stable names."""
        facts = asdict(self)
        facts["seconds"] = round(self.seconds, 3)
        facts["rows_per_s"] = round(self.embedded / self.seconds, 1) if self.seconds else 0.0
        facts["tokens_per_s"] = round(self.tokens / self.seconds, 1) if self.seconds else 0.0
        return facts

    def summary(self) -> str:
        """The last line of a run: every count in one sentence."""
        parts = [
            f"{self.rows_read:,} rows read",
            f"{self.embedded:,} embedded",
            f"{self.already_stored:,} already stored",
            f"{self.duplicate:,} duplicate",
            f"{self.rejected:,} rejected",
        ]
        if self.other_workers:
            parts.append(f"{self.other_workers:,} of other workers")
        if self.unfinished:
            parts.append(f"{self.unfinished:,} unfinished")
        share = 100 * self.truncated / self.embedded if self.embedded else 0.0
        return (
            f"{'; '.join(parts)}. {self.truncated:,} truncated ({share:.1f} %), {self.reused:,} reused. "
            f"{self.seconds:.1f} s, {self.embedded / self.seconds if self.seconds else 0:.0f} rows/s, "
            f"{self.tokens / self.seconds if self.seconds else 0:,.0f} tokens/s -> {self.store} "
            f"({self.store_rows:,} rows in {self.shards} shard{'s' * (self.shards != 1)})"
        )


class RejectedLog:
    """Counts rejected rows and writes file, row and reason of each to `rejected.jsonl` in the store.

    The file holds the last run's rejected rows; there is no file if there were none. With several workers,
    worker i keeps `rejected-i-of-n.jsonl` and counts the rejected rows whose number is i modulo n.
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
