"""What a bulk run did, row by row accounted for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class EmbedReport:
    """Counts of one run of the bulk engine. Every row read is in exactly one of the next six counts.

    rows_read:      rows of the input, rejected ones included
    embedded:       rows written to the store by this run
    already_stored: rows that the store held before
    duplicate:      rows identical to an earlier one of this run
    other_workers:  rows that belong to another worker of `--shard i/n`
    rejected:        rows that cannot be embedded, each reported with file, row and reason
    unfinished:     rows read but not embedded when the run was interrupted
    truncated:      of the embedded, rows whose text was cut to the encoder's max_length
    reused:         of the embedded, rows whose text an earlier row had; its embedding was computed once
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
        """The last line of a run: every row's fate in one sentence."""
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
            f"({self.store_rows:,} rows, {self.shards} shards)"
        )
