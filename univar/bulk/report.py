"""What a bulk run did: a count for every row, and the list of rows that could not be embedded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from univar.answers import RejectedRow
from univar.files import remove, reported

if TYPE_CHECKING:
    from univar.encoder.pieces import Pieces


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
    truncated:      embedded rows whose answer was not read to its end
    question_only:  embedded rows of which nothing of the answer was read (read as `paper` only)
    question_cut:   embedded rows whose question lost its middle
    pieces:         pieces in which the embedded rows were read
    answer_tokens, answer_tokens_read: tokens of the embedded answers, and those of them that were read
    unknown_tokens: tokens of the embedded answers that the vocabulary lacks
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
    question_only: int = 0
    question_cut: int = 0
    pieces: int = 0
    answer_tokens: int = 0
    answer_tokens_read: int = 0
    unknown_tokens: int = 0
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

    @property
    def unknown_share(self) -> float:
        """Share of the embedded answers' tokens that the vocabulary lacks."""
        return self.unknown_tokens / self.answer_tokens if self.answer_tokens else 0.0

    def add_read(self, pieces: Pieces) -> None:
        """Count what was read of some rows."""
        self.truncated += int(np.count_nonzero(pieces.read < pieces.answer_tokens))
        self.question_only += int(np.count_nonzero(pieces.read == 0))
        self.question_cut += int(np.count_nonzero(pieces.question_cut))
        self.pieces += len(pieces.rows)
        self.answer_tokens += int(pieces.answer_tokens.sum())
        self.answer_tokens_read += int(pieces.read.sum())
        self.unknown_tokens += round(float(pieces.unknown.astype(np.float64) @ pieces.answer_tokens))

    def facts(self) -> dict[str, Any]:
        """The report as JSON-ready facts with stable names."""
        facts = asdict(self)
        facts["seconds"] = round(self.seconds, 3)
        facts["unknown_share"] = round(self.unknown_share, 6)
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
        read = 100 * self.answer_tokens_read / self.answer_tokens if self.answer_tokens else 100.0
        only = f"; of {self.question_only:,} only the question" if self.question_only else ""
        return (
            f"{'; '.join(parts)}. {self.truncated:,} truncated ({share:.1f} %{only}), "
            f"{read:.1f} % of the answers' tokens read, {self.reused:,} reused. "
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
        """Take a row that every worker reads and one of them reports."""
        index, workers = self._worker
        self._report.rows_read += 1
        if rejected.row % workers != index:
            self._report.other_workers += 1
            return
        self.add(rejected)

    def add(self, rejected: RejectedRow) -> None:
        """Take a row that was read as this worker's own."""
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
