"""The bulk engine: read | tokenise | forward | write, overlapped, resumable, every row counted.

Three threads and two short queues: one thread reads, hashes and tokenises ahead, the caller's runs the
encoder, one writes shards. Memory is bounded by a few windows and one shard, plus 64 to 128 bytes a stored
row for the two hash indexes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from univar import __version__
from univar.answers import read_rows
from univar.answers.inputs import Reading
from univar.answers.memory import as_file, in_memory
from univar.bulk.background import BackgroundWriter, Prefetcher
from univar.bulk.report import EmbedReport, RejectedLog
from univar.bulk.windows import RowFilter, Sink, Window, WindowResult
from univar.encoder.encoder import Encoder
from univar.encoder.reading import WHOLE, ReadOptions, RowReader
from univar.encoder.tokenizer import take_texts
from univar.errors import StoppedReading, UsageError
from univar.files import escaped
from univar.store.reader import Store
from univar.store.writer import SHARD_ROWS, StoreWriter

logger = logging.getLogger("univar")

WINDOW_ROWS, WINDOW_ROWS_ON_CUDA = 1024, 4096
"""Rows that are read, tokenised and embedded together; several windows are in memory at once."""
WINDOW_BYTES = 4 << 20
"""About as many bytes of text that a window has at most."""
FLUSH_S = 30.0


@dataclass(frozen=True)
class EmbedOptions:
    """How answers are embedded.

    encoder:    an Encoder, or the name, folder or hub id of one; None: chosen by the store and the languages
                (`univar.bulk.default_encoder`), and rows that it can't read are rejected
    dtype:      of the stored embeddings, "float16" or "float32"
    worker:     (i, n): embed the i-th of n parts, i in [0, n); identical texts fall into one part
    reading:    how the inputs are read where they do not tell; its `format` and `rename` may be given as
                changes themselves: embed(..., rename={"answer": "reply"})
    read:       what is read of each row (`univar.encoder.reading`): "whole", "paper" or ReadOptions; None: as
                the store was begun, and whole in a new one
    only_readable: reject rows that the encoder can't read
    shard_rows: rows after which a shard is closed; it is also closed after `flush_s` seconds
    """

    encoder: Encoder | str | Path | None = None
    dtype: str = "float16"
    worker: tuple[int, int] = (0, 1)
    reading: Reading = field(default_factory=Reading)
    read: ReadOptions | str | None = None
    only_readable: bool = False
    shard_rows: int = SHARD_ROWS
    flush_s: float = FLUSH_S

    def changed(self, **changes: Any) -> EmbedOptions:
        """These options with some changed, or with another `format` or `rename` of `reading`.

        Raises UsageError for a name that is not an option.
        """
        of_reading = {name: changes.pop(name) for name in ("format", "rename") if name in changes}
        if of_reading:
            changes["reading"] = replace(changes.get("reading", self.reading), **of_reading)
        names = [option.name for option in fields(self)]
        unknown = [name for name in changes if name not in names]
        if unknown:
            raise UsageError(f"there is no option {unknown[0]!r}: choose from {', '.join(names)}")
        return replace(self, **changes)

    def loaded(
        self, inputs: Sequence[str | Path], store: str | Path, on_note: Callable[[str], object] | None = None
    ) -> EmbedOptions:
        """These options with the encoder itself, and with what is read. Raises what `Encoder` raises."""
        read = ReadOptions(self.read) if isinstance(self.read, str) else self.read
        if read is None:
            begun = Store(store).text_format if Store.exists(store) else WHOLE.text_format
            read = ReadOptions.from_text_format(begun)
        if isinstance(self.encoder, Encoder):
            return replace(self, read=read)
        if self.encoder is not None:
            return replace(self, encoder=Encoder(self.encoder), read=read)
        from univar.bulk.default_encoder import choose_encoder

        chosen = choose_encoder(inputs, store, self.reading)
        (on_note or logger.info)(f"encoder {chosen.spec}: {chosen.why}")
        encoder = Encoder(chosen.spec, max_length=chosen.max_length)
        return replace(self, encoder=encoder, read=read, only_readable=True)


def embed(
    inputs: Sequence[str | Path] | Any,
    store: str | Path,
    options: EmbedOptions | None = None,
    *,
    on_rejected: Callable[[str], None] | None = None,
    on_note: Callable[[str], object] | None = None,
    on_progress: Callable[[EmbedReport], None] | None = None,
    stop: threading.Event | None = None,
    **changes: Any,
) -> EmbedReport:
    """Embed every answer row of `inputs` into the store at `store`; the same call again continues.

    inputs:      JSONL, CSV, TSV or Parquet files, plain, .gz or .zst; "-" is stdin; or the rows themselves: a
                 DataFrame, an Arrow table or a list of dicts
    options:     see EmbedOptions; its fields may be given by name instead: embed(..., encoder="minilm")
    on_rejected: called with one sentence for every row that cannot be embedded
    on_note:     called with a sentence on each column left out or read under another name; default: log
    on_progress: called with the running report after every batch
    stop:        when set, the current batch is finished and everything done so far is stored
    Raises DataError for an input or a store that cannot be used, StoreLocked when another process writes.
    """
    if in_memory(inputs):
        with as_file(inputs) as file:
            return embed(
                [file], store, options, on_rejected=on_rejected, on_note=on_note, on_progress=on_progress,
                stop=stop, **changes,
            )  # fmt: skip
    on_rejected = changes.pop("on_refused", on_rejected)  # its name before
    options = (options or EmbedOptions()).changed(**changes)
    options = options.loaded(inputs, store, on_note)
    encoder, read, worker = options.encoder, options.read, options.worker
    assert isinstance(encoder, Encoder)
    assert isinstance(read, ReadOptions)
    index, workers = worker
    if not 0 <= index < workers:
        raise UsageError(
            f"worker {index}/{workers} does not exist: give i/n with 0 <= i < n, e.g. 0/{workers}"
        )
    stop = stop or threading.Event()
    report = EmbedReport(store=str(store))
    started = time.monotonic()
    reader = RowReader(encoder.tokenizer, read)
    settings: dict[str, Any] = {"dtype": options.dtype, "text_format": read.text_format, "worker": worker}
    with StoreWriter(store, encoder=encoder.info, **settings) as writer:
        rejected = RejectedLog(Path(store), worker, report, on_rejected)
        with rejected:
            row_filter = RowFilter(
                writer.known_rows,
                writer.known_texts,
                writer.rows,
                worker,
                rejected.add,
                encoder.info["id"] if options.only_readable else None,
            )
            batches = read_rows(
                inputs,
                reading=options.reading,
                on_note=on_note,
                on_rejected=rejected,
                batch_rows=WINDOW_ROWS_ON_CUDA if encoder.info["device"].startswith("cuda") else WINDOW_ROWS,
                batch_bytes=WINDOW_BYTES,
            )
            windows = row_filter.windows(batches, reader, report)
            sink = Sink(writer, report, options.shard_rows, options.flush_s)

            def progress() -> None:
                report.seconds = time.monotonic() - started
                if on_progress is not None:
                    on_progress(report)

            try:
                _run(windows, encoder, sink, report, progress, stop)
            finally:
                writer.flush()
        _finish(report, writer, inputs, rejected, time.monotonic() - started, interrupted=stop.is_set())
    stored = Store(store)
    report.store_rows, report.shards = len(stored), len(stored.shards)
    return report


def _run(
    windows: Iterator[Window],
    encoder: Encoder,
    sink: Sink,
    report: EmbedReport,
    progress: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Pull windows through the encoder into the sink until they end or `stop` is set."""
    ahead = Prefetcher(windows, depth=2)
    behind: BackgroundWriter[WindowResult] = BackgroundWriter(sink.write, depth=2)
    try:
        for window in ahead:
            behind.put(_forward(window, encoder, report, progress, stop))
            if stop.is_set():
                break
    except StoppedReading:  # while a pipe was waited for: what came before is kept
        stop.set()
    finally:
        ahead.close()
        behind.close()


def _forward(
    window: Window, encoder: Encoder, report: EmbedReport, progress: Callable[[], None], stop: threading.Event
) -> WindowResult:
    """Run the pieces of the window's new rows through the encoder, batch by batch, each piece once.

    A row is done when all of its pieces are.
    """
    new = window.new
    pieces = window.pieces.take(new)
    firsts, twin = pieces.distinct()
    ids, cu_seqlens = take_texts(pieces.ids, pieces.cu_seqlens, firsts)
    lengths = np.diff(cu_seqlens)
    embedded = np.zeros((len(firsts), encoder.dim), dtype=np.float32)
    finished = np.zeros(len(firsts), dtype=bool)
    encoded = report.encoded
    for batch, embeddings in encoder.forward_batches(ids, cu_seqlens):
        embedded[batch] = embeddings
        finished[batch] = True
        report.tokens += int(lengths[batch].sum())
        report.encoded = encoded + len(new) * int(np.count_nonzero(finished)) // len(firsts)
        progress()
        if stop.is_set():
            break
    missing = np.bincount(pieces.rows, ~finished[twin], len(new))
    vectors = np.zeros((len(window), encoder.dim), dtype=np.float32)
    done = np.zeros(len(window), dtype=bool)
    vectors[new] = encoder.pool(pieces, embedded[twin])
    done[new] = missing == 0
    report.encoded = encoded + int(np.count_nonzero(done))
    return WindowResult(window, vectors, done)


def _finish(
    report: EmbedReport,
    writer: StoreWriter,
    inputs: Sequence[str | Path],
    rejected: RejectedLog,
    seconds: float,
    interrupted: bool,
) -> None:
    """Complete the report, check its sums, and record the run in the manifest."""
    report.seconds = seconds
    report.interrupted = interrupted
    report.rejected_log = rejected.path_if_any
    if interrupted:
        report.unfinished = report.rows_read - report.accounted
    else:
        assert report.accounted == report.rows_read, f"rows unaccounted for: {report}"
    if report.embedded:
        counts = {name: value for name, value in report.facts().items() if isinstance(value, int | float)}
        finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
        writer.flush(
            run={
                "inputs": [escaped(str(path)) for path in inputs],
                "finished": finished,
                "univar": __version__,
                "counts": counts,
            }
        )
