"""What a bulk run would do, without the encoder's forward and without writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from univar._native import HashIndex
from univar.answers import read_rows
from univar.bulk.engine import EmbedOptions
from univar.bulk.report import EmbedReport
from univar.bulk.windows import RowFilter
from univar.encoder.encoder import Encoder
from univar.encoder.reading import ReadOptions, RowReader
from univar.store import Store


@dataclass
class EmbedPlan:
    """Rows a run would embed and tokens it would compute, besides the counts of an EmbedReport."""

    report: EmbedReport
    to_embed: int = 0
    tokens: int = 0

    def facts(self) -> dict[str, Any]:
        """The plan as JSON-ready facts."""
        names = (
            "rows_read",
            "already_stored",
            "duplicate",
            "other_workers",
            "rejected",
            "truncated",
            "reused",
        )
        counts = {name: getattr(self.report, name) for name in names}
        return {"to_embed": self.to_embed, "tokens": self.tokens, **counts}

    def summary(self) -> str:
        """The plan in a line."""
        report = self.report
        return (
            f"would embed {self.to_embed:,} of {report.rows_read:,} rows ({self.tokens:,} tokens; "
            f"{report.already_stored:,} already stored, {report.duplicate:,} duplicate, "
            f"{report.rejected:,} rejected, {report.truncated:,} truncated, {report.reused:,} reused)"
        )


def plan(
    inputs: Sequence[str | Path], store: str | Path, options: EmbedOptions | None = None, **changes: Any
) -> EmbedPlan:
    """Read and tokenise everything and count what `embed` with the same arguments would do."""
    options = (options or EmbedOptions()).changed(**changes)
    options = options.loaded(inputs, store)
    encoder, read, worker = options.encoder, options.read, options.worker
    assert isinstance(encoder, Encoder)
    assert isinstance(read, ReadOptions)
    known_rows, known_texts, n_stored = HashIndex(), HashIndex(), 0
    if Store.exists(store):
        stored = Store(store)
        n_stored = len(stored)
        rows = np.arange(n_stored, dtype=np.int64)
        known_rows.insert(stored.row_hash, rows)
        known_texts.insert(stored.text_hash, rows)
    result = EmbedPlan(EmbedReport(store=str(store)))

    def count_own(rejected: object) -> None:
        result.report.rejected += 1

    def count_rejected(rejected: object) -> None:
        result.report.rows_read += 1
        result.report.rejected += 1

    default = encoder.info["id"] if options.only_readable else None
    row_filter = RowFilter(known_rows, known_texts, n_stored, worker, count_own, default)
    reader = RowReader(encoder.tokenizer, read)
    batches = read_rows(inputs, reading=options.reading, on_rejected=count_rejected)
    for window in row_filter.windows(batches, reader, result.report):
        result.to_embed += len(window)
        result.tokens += int(window.pieces.take(window.new).piece_tokens.sum())
        result.report.add_read(window.pieces)
        result.report.reused += int(np.count_nonzero(window.origin >= 0))
    return result
