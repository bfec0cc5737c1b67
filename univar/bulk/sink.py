"""The writing end of the engine: results of a window become rows of the store."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from univar import runtime
from univar.bulk.report import EmbedReport
from univar.bulk.windows import Window
from univar.store import FLAG_REUSED, FLAG_TRUNCATED, EmbeddedRows, StoreWriter


@dataclass(frozen=True)
class WindowResult:
    """A window and what the encoder made of it.

    vectors: (n, D) float32, rows of length 1, filled where `done`
    done:    (n,) bool, rows whose new text went through the encoder; all of the new ones unless interrupted
    """

    window: Window
    vectors: np.ndarray
    done: np.ndarray


class Sink:
    """Appends windows to a store and cuts shards by rows and by age, so that a crash costs little."""

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
            runtime.release_freed_memory()
            self._last_flush = time.monotonic()

    def _borrow(self, result: WindowResult) -> None:
        """Fill in the embeddings of texts seen before, in an earlier window or in this one."""
        window, vectors, done = result.window, result.vectors, result.done
        earlier = np.flatnonzero((window.origin >= 0) & (window.origin < window.first_row))
        if len(earlier):
            vectors[earlier] = self._writer.embeddings_of(window.origin[earlier])
            done[earlier] = True
        within = np.flatnonzero(window.origin >= window.first_row)
        source = window.origin[within] - window.first_row
        vectors[within] = vectors[source]
        done[within] = done[source]

    def _append(self, result: WindowResult) -> None:
        window, report = result.window, self._report
        done = np.flatnonzero(result.done)
        truncated = window.tokens.truncated[done]
        reused = window.origin[done] >= 0
        if not len(done):
            return
        self._writer.append(
            EmbeddedRows(
                table=window.table.take(done),
                embeddings=result.vectors[done],
                row_hash=window.row_hash[done],
                text_hash=window.text_hash[done],
                n_tokens=np.diff(window.tokens.cu_seqlens)[done].astype(np.int32),
                flags=(truncated * FLAG_TRUNCATED + reused * FLAG_REUSED).astype(np.uint8),
            )
        )
        report.embedded += len(done)
        report.truncated += int(np.count_nonzero(truncated))
        report.reused += int(np.count_nonzero(reused))
