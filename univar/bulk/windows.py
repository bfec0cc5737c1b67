"""From row batches to windows ready for the encoder: deduplicated, tokenised, every row's fate counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar._native import HashIndex
from univar.schema import IDENTITY_COLUMNS, content_hashes, qa_texts

if TYPE_CHECKING:
    import pyarrow as pa

    from univar.answers import RowBatch
    from univar.bulk.report import EmbedReport
    from univar.encoder.tokenizer import Tokenizer, Tokens


@dataclass(frozen=True)
class Window:
    """Rows that go through the encoder together, in the order of the input.

    table:     n rows of the input's columns
    row_hash:  (n, 16) uint8;  text_hash: (n, 16) uint8
    tokens:    ragged tokens of the n texts
    first_row: number that row 0 gets in this worker's part of the store
    origin:    (n,) int64, number of the earlier row with the same text, -1 where the text is new
    """

    table: pa.Table
    row_hash: np.ndarray
    text_hash: np.ndarray
    tokens: Tokens
    first_row: int
    origin: np.ndarray

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def new(self) -> np.ndarray:
        """Rows of the window whose text has to go through the encoder, (m,) int64."""
        return np.flatnonzero(self.origin < 0)


def owner(text_hash: np.ndarray, workers: int) -> np.ndarray:
    """Worker that embeds each text, (n,) uint64 in [0, workers): identical texts meet in one worker."""
    return text_hash[:, 8:16].copy().view("<u8").ravel() % np.uint64(workers)


class RowFilter:
    """Decides for every row whether this run embeds it, and which earlier text it may borrow from."""

    def __init__(
        self, known_rows: HashIndex, known_texts: HashIndex, first_row: int, worker: tuple[int, int]
    ) -> None:
        self._known_rows = known_rows
        self._known_texts = known_texts
        self._stored_rows = first_row
        self._next_row = first_row
        self._worker = worker

    def windows(
        self, batches: Iterable[RowBatch], tokenizer: Tokenizer, report: EmbedReport
    ) -> Iterator[Window]:
        """Windows of new rows; what is left out is counted in `report`."""
        for batch in batches:
            report.rows_read += batch.table.num_rows
            window = self._admit(batch.table, tokenizer, report)
            if window is not None:
                yield window

    def _admit(self, table: pa.Table, tokenizer: Tokenizer, report: EmbedReport) -> Window | None:
        table, texts, text_hash = self._own_rows(table, report)
        row_hash = content_hashes([table[name].combine_chunks() for name in IDENTITY_COLUMNS])
        known = self._known_rows.find(row_hash)
        in_batch = HashIndex().insert(row_hash, np.arange(table.num_rows, dtype=np.int64))
        stored = (known >= 0) & (known < self._stored_rows)
        kept = np.flatnonzero((known < 0) & (in_batch < 0))
        report.already_stored += int(np.count_nonzero(stored))
        report.duplicate += table.num_rows - len(kept) - int(np.count_nonzero(stored))
        if not len(kept):
            return None
        first_row = self._next_row
        rows = first_row + np.arange(len(kept), dtype=np.int64)
        self._known_rows.insert(row_hash[kept], rows)
        self._next_row += len(kept)
        return Window(
            table=table.take(kept),
            row_hash=row_hash[kept],
            text_hash=text_hash[kept],
            tokens=tokenizer.encode(texts.take(kept)),
            first_row=first_row,
            origin=self._known_texts.insert(text_hash[kept], rows),
        )

    def _own_rows(self, table: pa.Table, report: EmbedReport) -> tuple[pa.Table, pa.Array, np.ndarray]:
        texts = qa_texts(table["question"].combine_chunks(), table["answer"].combine_chunks())
        text_hash = content_hashes([texts])
        index, workers = self._worker
        if workers == 1:
            return table, texts, text_hash
        mine = np.flatnonzero(owner(text_hash, workers) == index)
        report.other_workers += table.num_rows - len(mine)
        return table.take(mine), texts.take(mine), text_hash[mine]
