"""Windows of rows: admitted and tokenised before the encoder, written to the store after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar._native import HashIndex
from univar.answers.rows import RejectedRow
from univar.bulk.report import EmbedReport
from univar.runtime import release_freed_memory
from univar.schema import IDENTITY_COLUMNS, base_language, content_hashes, qa_texts
from univar.store import FLAG_QUESTION_CUT, FLAG_QUESTION_ONLY, FLAG_REUSED, FLAG_TRUNCATED
from univar.store.shard_writer import EmbeddedRows
from univar.store.writer import StoreWriter

if TYPE_CHECKING:
    import pyarrow as pa

    from univar.answers import RowBatch
    from univar.encoder.pieces import Pieces
    from univar.encoder.reading import RowReader


@dataclass(frozen=True)
class Window:
    """Rows that go through the encoder together, in the order of the input.

    table:     n rows of the input's columns
    row_hash:  (n, 16) uint8;  text_hash: (n, 16) uint8
    pieces:    packed tokens of the n rows
    first_row: number that row 0 gets in this worker's part of the store
    origin:    (n,) int64, number of the earlier row with the same text, -1 where the text is new
    """

    table: pa.Table
    row_hash: np.ndarray
    text_hash: np.ndarray
    pieces: Pieces
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
    """Decides for every row whether this run embeds it, and which earlier text it may borrow from.

    reject:    gets every row whose answer has no token, or can't be read
    default_encoder: the id of an encoder that nobody named, for which unreadable rows are rejected; else None
    """

    def __init__(
        self,
        known_rows: HashIndex,
        known_texts: HashIndex,
        first_row: int,
        worker: tuple[int, int],
        reject: Callable[[RejectedRow], None],
        default_encoder: str | None = None,
    ) -> None:
        self._reject = reject
        self._default_encoder = default_encoder
        self._known_rows = known_rows
        self._known_texts = known_texts
        self._stored_rows = first_row
        self._next_row = first_row
        self._worker = worker

    def windows(
        self, batches: Iterable[RowBatch], reader: RowReader, report: EmbedReport
    ) -> Iterator[Window]:
        """Windows of new rows; what is left out is counted in `report`."""
        for batch in batches:
            report.rows_read += batch.table.num_rows
            window = self._admit(batch, reader, report)
            if window is not None:
                yield window

    def _admit(self, batch: RowBatch, reader: RowReader, report: EmbedReport) -> Window | None:
        own, text_hash = self._own_rows(batch.table, report)
        table = batch.table.take(own)
        row_hash = content_hashes([table[name].combine_chunks() for name in IDENTITY_COLUMNS])
        known = self._without_script(table, self._known_rows.find(row_hash))
        in_batch = HashIndex().insert(row_hash, np.arange(table.num_rows, dtype=np.int64))
        stored = (known >= 0) & (known < self._stored_rows)
        kept = np.flatnonzero((known < 0) & (in_batch < 0))
        report.already_stored += int(np.count_nonzero(stored))
        report.duplicate += table.num_rows - len(kept) - int(np.count_nonzero(stored))
        if not len(kept):
            return None
        table, numbers = table.take(kept), batch.rows[own[kept]]
        pieces = reader.read(table["question"].combine_chunks(), table["answer"].combine_chunks())
        unread = self._unread(table, pieces)
        for row, reason in sorted(unread.items()):
            self._reject(RejectedRow(batch.file, int(numbers[row]), reason))
        read = np.flatnonzero(~np.isin(np.arange(len(kept)), list(unread)))
        kept = kept[read]
        if not len(kept):
            return None
        first_row = self._next_row
        rows = first_row + np.arange(len(kept), dtype=np.int64)
        self._known_rows.insert(row_hash[kept], rows)
        self._next_row += len(kept)
        return Window(
            table=table.take(read),
            row_hash=row_hash[kept],
            text_hash=text_hash[kept],
            pieces=pieces.take(read) if unread else pieces,
            first_row=first_row,
            origin=self._known_texts.insert(text_hash[kept], rows),
        )

    def _unread(self, table: pa.Table, pieces: Pieces) -> dict[int, str]:
        """Row -> why nothing of its answer is read."""
        none = np.flatnonzero((pieces.per_answer == 0) | (pieces.answer_tokens == 0)).tolist()
        unread = dict.fromkeys(none, "its answer has nothing that the encoder can read: remove the row")
        if self._default_encoder is not None:
            from univar.bulk.default_encoder import unreadable

            answers = table["answer"].combine_chunks()
            unread = {**unreadable(self._default_encoder, answers, pieces.unknown), **unread}
        return unread

    def _without_script(self, table: pa.Table, known: np.ndarray) -> np.ndarray:
        """`known` (n,) with the rows of stores that kept no scripts: `zho` for `zho_Hant`."""
        import pyarrow as pa

        labels = table["language"].to_pylist()
        rows = [row for row, label in enumerate(labels) if known[row] < 0 and base_language(label) != label]
        if not rows or not self._stored_rows:
            return known
        asked = {name: table[name].take(rows).combine_chunks() for name in IDENTITY_COLUMNS}
        asked["language"] = pa.array([base_language(labels[row]) for row in rows], pa.large_string())
        found = self._known_rows.find(content_hashes(list(asked.values())))
        known = known.copy()
        known[rows] = np.where(found < self._stored_rows, found, -1)
        return known

    def _own_rows(self, table: pa.Table, report: EmbedReport) -> tuple[np.ndarray, np.ndarray]:
        """This worker's rows (m,) int64 and the hashes of their texts (m, 16)."""
        texts = qa_texts(table["question"].combine_chunks(), table["answer"].combine_chunks())
        text_hash = content_hashes([texts])
        index, workers = self._worker
        if workers == 1:
            return np.arange(table.num_rows), text_hash
        mine = np.flatnonzero(owner(text_hash, workers) == index)
        report.other_workers += table.num_rows - len(mine)
        return mine, text_hash[mine]


@dataclass(frozen=True)
class WindowResult:
    """A window and its embeddings.

    vectors: (n, D) float32, rows of length 1, filled where `done`
    done:    (n,) bool, rows whose new text went through the encoder; all of the new ones unless interrupted
    """

    window: Window
    vectors: np.ndarray
    done: np.ndarray


class Sink:
    """Appends windows to a store and closes shards by size and age, so that a crash loses little."""

    def __init__(self, writer: StoreWriter, report: EmbedReport, shard_rows: int, flush_s: float) -> None:
        self._writer = writer
        self._report = report
        self._shard_rows = shard_rows
        self._flush_s = flush_s
        self._last_flush = time.monotonic()

    def write(self, result: WindowResult) -> None:
        """Append a window's finished rows; flush a shard when it is full or old."""
        self._borrow(result)
        self._append(result)
        age_s = time.monotonic() - self._last_flush
        if self._writer.pending_rows >= self._shard_rows or age_s >= self._flush_s:
            self._writer.flush()
            release_freed_memory()
            self._last_flush = time.monotonic()

    def _borrow(self, result: WindowResult) -> None:
        """Fill in the embeddings of texts seen before, in an earlier window or in this one."""
        window, vectors, done = result.window, result.vectors, result.done
        earlier = np.flatnonzero((window.origin >= 0) & (window.origin < window.first_row))
        if len(earlier):
            vectors[earlier] = self._writer.embeddings_of(window.origin[earlier])
            done[earlier] = True
        within = np.flatnonzero(window.origin >= window.first_row)
        first = window.origin[within] - window.first_row
        vectors[within] = vectors[first]
        done[within] = done[first]

    def _append(self, result: WindowResult) -> None:
        window, report = result.window, self._report
        done = np.flatnonzero(result.done)
        if not len(done):
            return
        pieces = window.pieces.take(done)
        flags = {
            FLAG_TRUNCATED: pieces.read < pieces.answer_tokens,
            FLAG_REUSED: window.origin[done] >= 0,
            FLAG_QUESTION_ONLY: pieces.read == 0,
            FLAG_QUESTION_CUT: pieces.question_cut,
        }
        n_tokens = np.bincount(pieces.rows, pieces.piece_tokens, len(done))
        self._writer.append(
            EmbeddedRows(
                table=window.table.take(done),
                embeddings=result.vectors[done],
                row_hash=window.row_hash[done],
                text_hash=window.text_hash[done],
                n_tokens=n_tokens.astype(np.int32),
                flags=sum(bits * np.uint8(flag) for flag, bits in flags.items()).astype(np.uint8),
                pieces=pieces.per_answer.astype(np.int32),
                answer_tokens=pieces.answer_tokens.astype(np.int32),
                answer_tokens_read=pieces.read.astype(np.int32),
                unknown=pieces.unknown,
            )
        )
        report.embedded += len(done)
        report.add_read(pieces)
        report.reused += int(np.count_nonzero(flags[FLAG_REUSED]))
