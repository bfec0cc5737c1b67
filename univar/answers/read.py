"""The one way into answer files: any format, several files one after the other, bounded memory."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping

import pyarrow as pa

from univar.answers.delimited import read_delimited
from univar.answers.inputs import Input, find_input
from univar.answers.jsonl import read_jsonl
from univar.answers.names import ColumnNames
from univar.answers.normalize import normalize
from univar.answers.paper_folder import COLUMNS, answer_files, of_corpus
from univar.answers.parquet import read_parquet
from univar.answers.rows import BATCH_BYTES, BATCH_ROWS, OnRejected, RawBatch, RejectedRow, RowBatch
from univar.errors import DataError, UsageError
from univar.schema import REQUIRED_COLUMNS

Path = str | os.PathLike[str]


def read_rows(
    inputs: Path | Iterable[Path],
    *,
    on_rejected: OnRejected,
    format: str | None = None,
    rename: Mapping[str, str] | None = None,
    required: Collection[str] = REQUIRED_COLUMNS,
    batch_rows: int = BATCH_ROWS,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[RowBatch]:
    """Batches of the rows in `inputs`, in order; none is empty and none spans two files.

    inputs: .jsonl, .ndjson, .csv, .tsv (each also .gz or .zst) and .parquet files; "-" is stdin (JSONL);
        a folder of UniVaR's layout (`univar.answers.paper_folder`), which gives `source_corpus` too.
    on_rejected: called with every RejectedRow, in the order of the rows; reading goes on.
    format: "jsonl", "csv", "tsv" or "parquet" whatever the endings say.
    rename: our column to the input's, {"answer": "response"} if the input calls the answers `response`.
    required: columns that must be there and not blank; others of `schema.IDENTITY_COLUMNS` may be "".
    batch_rows, batch_bytes: most rows of a batch, and about how many bytes of text.

    Numbers, booleans and nested values of other columns become JSON text, null and missing become "". A row
    without `question_id` gets one made from its question. `source` is called `source_corpus`.

    Raises UsageError, at once, for a call that makes no sense; DataError for a file that cannot be used: it
    is missing, empty or cut short, lacks a required column, or all of its rows were rejected.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not given:
        raise UsageError("no input: name a file, or - for stdin")
    if sum(os.fspath(path) == "-" for path in given) > 1:
        raise UsageError("stdin (-) can be read only once: name it once")
    if batch_rows < 1 or batch_bytes < 1:
        raise UsageError(f"batch_rows ({batch_rows}) and batch_bytes ({batch_bytes}) must be at least 1")
    ColumnNames(rename)  # so that a wrong mapping is told before anything is read
    found = [(find_input(path, format), corpus) for one in given for path, corpus in answer_files(one)]

    def all_files() -> Iterator[RowBatch]:
        for source, corpus in found:
            names = ColumnNames(rename if corpus is None else {**COLUMNS, **(rename or {})})
            raw = _raw_batches(source, names, tuple(required), batch_rows, batch_bytes)
            for batch in _usable(raw, source.label, required, on_rejected):
                yield batch if corpus is None else of_corpus(batch, corpus)

    return all_files()


def _usable(
    raw_batches: Iterable[RawBatch], file: str, required: Collection[str], on_rejected: OnRejected
) -> Iterator[RowBatch]:
    """One file's batches; DataError if it turns out that none of its rows can be used."""
    usable = rejected = 0
    first: RejectedRow | None = None

    def reject(row: RejectedRow) -> None:
        nonlocal rejected, first
        rejected += 1
        first = first or row
        on_rejected(row)

    for raw in raw_batches:
        batch = normalize(raw, file, required, reject)
        if batch is not None:
            usable += len(batch.rows)
            yield batch
    if not usable and first is None:
        raise DataError(f"{file} is empty, there are no rows in it: give a file with answers")
    if not usable and first is not None:
        raise DataError(
            f"{file}: all {rejected} rows were rejected; the first, row {first.row}: {first.reason}. "
            "If the columns have other names, say so with --map answer=COLUMN"
        )


def _raw_batches(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    """The format's own batches; whatever goes wrong in the file becomes a DataError that names it."""
    last = 0
    try:
        for raw in _format_batches(source, names, required, batch_rows, batch_bytes):
            yield raw
            last = max([last, *raw.rows[-1:], *(row for row, _ in raw.rejected[-1:])])
    except DataError as error:
        raise DataError(f"{source.label}: {error}") from None
    except (OSError, EOFError, UnicodeDecodeError, pa.ArrowException) as error:
        where = f"after row {last}" if last else "at all"
        reason = " ".join(str(error).split())
        raise DataError(
            f"{source.label}: cannot be read {where} ({reason}). It is damaged, cut short "
            f"or no {source.format}: get it again or name its format with --format"
        ) from error


def _format_batches(
    source: Input, names: ColumnNames, required: Collection[str], batch_rows: int, batch_bytes: int
) -> Iterator[RawBatch]:
    if source.format == "parquet":
        assert source.path is not None
        yield from read_parquet(source.path, names, required, batch_rows, batch_bytes)
        return
    with source.open() as stream:
        if source.format == "jsonl":
            yield from read_jsonl(stream, names, batch_rows, batch_bytes)
        else:
            delimiter = "," if source.format == "csv" else "\t"
            yield from read_delimited(stream, names, required, batch_rows, batch_bytes, delimiter)
