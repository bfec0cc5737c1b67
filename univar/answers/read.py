"""The one way into answer files: any format, several files one after the other, bounded memory."""

from __future__ import annotations

import csv
import functools
import importlib
import logging
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from univar.answers.inputs import FORMATS, Input, Reader, Reading, find_input
from univar.answers.rows import (
    BATCH_BYTES,
    BATCH_ROWS,
    ColumnNames,
    OnRejected,
    RawBatch,
    RejectedRow,
    RowBatch,
    normalize,
)
from univar.errors import DataError, UsageError
from univar.files import escaped
from univar.schema import REQUIRED_COLUMNS, SOURCE_CORPUS, normalize_language

logger = logging.getLogger("univar")

AnyPath = str | os.PathLike[str]


def read_rows(
    inputs: AnyPath | Iterable[AnyPath],
    *,
    on_rejected: OnRejected,
    reading: Reading | None = None,
    format: str | None = None,
    rename: Mapping[str, str] | None = None,
    on_note: Callable[[str], object] | None = None,
    required: Collection[str] = REQUIRED_COLUMNS,
    batch_rows: int = BATCH_ROWS,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[RowBatch]:
    """Batches of the rows in `inputs`, in order; none is empty and none spans two files.

    inputs: .jsonl, .ndjson, .json, .csv, .tsv (each also .gz or .zst), .parquet and .xlsx files; "-" is
        stdin (JSONL unless `reading` says otherwise);
        a folder of UniVaR's layout (`univar.answers.read`), which gives `source_corpus` too.
    on_rejected: called with every RejectedRow, in the order of the rows; reading goes on.
    reading: how files are read where they do not tell (`univar.answers.inputs.Reading`); its `format` and
        `rename` may be given by themselves instead.
    on_note: called with a sentence on each column that is left out or read under another name; default: log.
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
    reading = reading or Reading()
    if format is not None:
        reading = replace(reading, format=format)
    if rename is not None:
        reading = replace(reading, rename=rename)
    reading = reading.checked()
    ColumnNames(reading.rename)  # so that a wrong mapping is told before anything is read
    found = [(find_input(path, reading), corpus) for one in given for path, corpus in answer_files(one)]

    def all_files() -> Iterator[RowBatch]:
        for source, corpus in found:
            rename = {**({} if corpus is None else COLUMNS), **(reading.rename or {})}
            tell = functools.partial(_tell, on_note or logger.warning, source.label)
            names = ColumnNames(rename, _constants(reading.constant, source), tell)
            raw = _with_constants(
                _raw_batches(source, names, tuple(required), batch_rows, batch_bytes), names.constant
            )
            for batch in _usable(raw, source.label, required, on_rejected):
                yield batch if corpus is None else of_corpus(batch, corpus)

    return all_files()


def _with_constants(batches: Iterator[RawBatch], constant: Mapping[str, str]) -> Iterator[RawBatch]:
    for raw in batches:
        raw.columns.update({column: [value] * len(raw.rows) for column, value in constant.items()})
        yield raw


def _usable(
    raw_batches: Iterable[RawBatch], file: str, required: Collection[str], on_rejected: OnRejected
) -> Iterator[RowBatch]:
    """One file's batches; DataError if it turns out that none of its rows can be used."""
    usable = rejected = 0
    first: RejectedRow | None = None

    def reject(row: RejectedRow) -> None:
        nonlocal rejected, first
        rejected += 1
        row = RejectedRow(row.file, row.row, escaped(row.reason))
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
        remedy = ""
        if first.reason.endswith("is missing or null"):
            column = first.reason.split()[0]
            remedy = f". If the column has another name, say so with --map {column}=COLUMN"
        raise DataError(
            f"{file}: all {rejected} rows were rejected; the first, row {first.row}: {first.reason}{remedy}"
        )


def _tell(on_note: Callable[[str], object], file: str, note: str) -> None:
    on_note(escaped(f"{file}: {note}"))


def _constants(constant: Mapping[str, str], source: Input) -> dict[str, str]:
    """The constants of a file; "@name" is the last part of its name that is a language code."""
    values = dict(constant)
    for column, value in constant.items():
        if value != "@name":
            continue
        codes = _languages_of_name(os.path.basename(source.label).split(".")[0])
        if not codes:
            raise DataError(f"{source.label}: no part of the file's name is a language code")
        values[column] = codes[-1]
    return values


_TAG = re.compile(r"(?<![^\W_])[A-Za-z]{2,3}(?:[-_][A-Z][a-z]{3})?(?:[-_][A-Z]{2})?(?![^\W_])")


def _languages_of_name(stem: str) -> list[str]:
    """The language codes in a file's name, with their scripts and regions: `zh-TW` of `answers_zh-TW`."""
    import langcodes

    found = []
    for tag in _TAG.findall(stem):
        whole = langcodes.tag_is_valid(tag.replace("_", "-"))
        found += [code for code in ([tag] if whole else re.split("[-_]", tag)) if _is_language(code)]
    return found


def _is_language(code: str) -> bool:
    try:
        normalize_language(code)
    except DataError:
        return False
    return True


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
    module, function = FORMATS[source.format].reader.split(":")
    reader: Reader = getattr(importlib.import_module(module), function)
    return reader(source, names, required, batch_rows, batch_bytes)


COLUMNS = {"question_id": "qid", "language": "lang"}
ANSWER_FOLDERS = ("qa_translated", "qa")
"""Answers translated back to English come first: the paper embeds those."""


def answer_files(given: str | os.PathLike[str]) -> list[tuple[str, str | None]]:
    """(file, corpus) of every answer file in a folder of this layout; what was given, None for all else."""
    folder = Path(given)
    if os.fspath(given) == "-" or not folder.is_dir():
        return [(os.fspath(given), None)]
    found: list[tuple[str, str | None]] = []
    for corpus in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        for name in ANSWER_FOLDERS:
            files = sorted((corpus / name).glob("*.csv"))
            if files:
                found += [(str(file), escaped(corpus.resolve().name)) for file in files]
                break
    return found or [(os.fspath(given), None)]


def of_corpus(batch: RowBatch, corpus: str) -> RowBatch:
    """The batch with its corpus as a column, and question ids that are unlike those of other corpora."""
    table = batch.table
    ids = [f"{corpus}:{question_id}" for question_id in table.column("question_id").to_pylist()]
    place = table.column_names.index("question_id")
    table = table.set_column(place, "question_id", pa.array(ids, pa.large_string()))
    if SOURCE_CORPUS in table.column_names:
        table = table.drop_columns([SOURCE_CORPUS])
    names = pa.array([corpus] * table.num_rows, pa.large_string())
    return RowBatch(table.append_column(SOURCE_CORPUS, names), batch.file, batch.rows)


SAMPLE_BYTES = 1 << 20


def estimate_rows(inputs: Iterable[str | os.PathLike[str]], reading: Reading | None = None) -> int | None:
    """About how many rows `inputs` hold; None where only reading would tell (a pipe, .gz, .zst, a sheet).

    Parquet files know it; for others it follows from the size and the rows in the first megabyte.
    """
    files = [path for given in inputs for path, _ in answer_files(given)]
    counts = [_estimate(find_input(path, reading or Reading())) for path in files]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _estimate(source: Input) -> int | None:
    if source.path is None or source.codec or not stat.S_ISREG(os.stat(source.path).st_mode):
        return None  # looking into a pipe would take away what is to be read
    if source.format == "parquet":
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(source.path).num_rows
        except (OSError, pa.ArrowException):
            return None  # the reader will say what is wrong with the file
    if source.format in ("excel", "json"):
        return None
    with open(source.path, "rb") as file:
        sample = file.read(SAMPLE_BYTES)
    rows = sample.count(b"\n") if source.format == "jsonl" else _csv_rows(sample.decode(errors="replace"))
    return round(rows * os.path.getsize(source.path) / len(sample)) if sample else 0


def _csv_rows(sample: str) -> int:
    """Rows below the header; an answer may have several lines."""
    try:
        return max(sum(1 for fields in csv.reader(sample.splitlines(keepends=True)) if fields) - 1, 0)
    except csv.Error:
        return sample.count("\n")
