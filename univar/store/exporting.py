"""A store as Parquet, CSV, .npy or a FAISS index, each written whole or not at all.

Parquet holds everything in one file, CSV all but the embeddings. The other two hold the matrix; what each row
is stands beside them in NAME.rows.parquet, in the same order.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from univar import files
from univar.errors import DataError, UsageError
from univar.schema import DERIVED_COLUMN, TEXT_COLUMNS
from univar.store.reader import Store
from univar.store.shard import FLAG_REUSED, FLAG_TRUNCATED, is_text

FORMATS = {"parquet": (".parquet",), "csv": (".csv",), "npy": (".npy",), "faiss": (".faiss", ".index")}
_OWN_COLUMNS = ("embedding", "n_tokens", "truncated", "reused")
_GROUP_ROWS = 16_384
_ORIGIN = b"univar-export"


@dataclass(frozen=True)
class Selection:
    """What of a store is written. columns: in this order; mask: (N,) bool, the rows."""

    store: Store
    columns: list[str]
    mask: np.ndarray

    @property
    def rows(self) -> int:
        """Number of the rows."""
        return int(np.count_nonzero(self.mask))

    def blocks(self) -> Iterator[np.ndarray]:
        """The embeddings of the rows, (m, D) at a time."""
        for start, block in self.store.embeddings.blocks():
            kept = self.mask[start : start + len(block)]
            if kept.any():
                yield block[kept]

    @property
    def origin(self) -> bytes:
        """What says that two files of rows hold the same."""
        rows = np.packbits(self.mask).tobytes().hex() if not self.mask.all() else "all"
        facts = {"store": self.store.fingerprint, "columns": self.columns, "rows": rows}
        return files.text_sha256(facts).encode()


def select(
    store: Store,
    columns: Sequence[str] | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
    text: bool = True,
) -> Selection:
    """Columns and rows of a store.

    columns: names, by default all; text: False leaves out questions and answers
    where:   column to the values that are wanted in it
    Raises UsageError for a column that the store lacks, DataError where no row is left.
    """
    texts = [name for name in TEXT_COLUMNS if name != "id"]
    chosen = list(columns) if columns is not None else list(store.columns)
    for name in [*chosen, *(where or {})]:
        if name not in (*store.columns, DERIVED_COLUMN):
            known = ", ".join([DERIVED_COLUMN, *store.columns])
            raise UsageError(f"{store.path} has no column {name!r}: its columns are {known}")
    mask = np.ones(len(store), dtype=bool)
    for name, values in (where or {}).items():
        codes, labels = store.codes(name)
        wanted = [number for number, label in enumerate(labels) if label in values]
        mask &= np.isin(codes, wanted)
    if where and not mask.any():
        told = " and ".join(f"{name} is {' or '.join(values)}" for name, values in where.items())
        raise DataError(f"{store.path} has no row in which {told}")
    kept = [name for name in chosen if text or name not in texts]
    if not kept:
        raise UsageError("no column is left to write: name one that is no question or answer")
    return Selection(store, kept, mask)


def export(
    store: Store,
    out: str | Path,
    format: str | None = None,
    *,
    force: bool = False,
    columns: Sequence[str] | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
    text: bool = True,
) -> dict[str, Any]:
    """Write `store`, or what `select` takes of it, to the file `out`; its ending tells the format by default.

    Memory stays bounded for parquet, csv and npy; faiss builds an exact index (IndexFlatIP) in memory, 4
    bytes a number. Returns `format`, `files`, `rows` and `size_bytes`. Raises UsageError for an unknown
    format, and for files that exist unless `force` or they are the same rows; else what `select` raises.
    """
    out = Path(out)
    chosen = select(store, columns, where, text)
    kind = _format_of(out, format)
    write = _WRITERS[kind]
    beside = [] if kind in ("parquet", "csv") else [out.with_suffix(".rows.parquet")]
    written = [*beside, out]
    for file in written:
        if file is out or not _has_rows_of(file, chosen):
            files.refuse_existing(file, force)
    files.make_folder(out.parent)
    sizes = []
    for file in written:
        with files.new_file(file) as target:
            (write if file is out else _write_rows)(chosen, target)
            sizes.append(target.size_bytes)
    return {
        "format": kind,
        "files": [str(file) for file in written],
        "rows": chosen.rows,
        "size_bytes": sum(sizes),
    }


def _has_rows_of(file: Path, chosen: Selection) -> bool:
    """Whether a file holds the same rows and columns, as another export of them wrote it."""
    import pyarrow.parquet as pq

    try:
        return (pq.read_schema(file).metadata or {}).get(_ORIGIN) == chosen.origin
    except (OSError, pa.ArrowException):
        return False


def _format_of(out: Path, format: str | None) -> str:
    if format in FORMATS:
        return str(format)
    for name, endings in FORMATS.items():
        if format is None and out.suffix in endings:
            return name
    wrong = f"format {format!r}" if format else f"the ending of {out}"
    raise UsageError(f"{wrong} is not known: use {', '.join(FORMATS)}")


def _write_parquet(chosen: Selection, target: files.NewFile) -> None:
    _write_tables(chosen, target, with_embeddings=True)


def _write_rows(chosen: Selection, target: files.NewFile) -> None:
    _write_tables(chosen, target, with_embeddings=False)


def _write_tables(chosen: Selection, target: files.NewFile, *, with_embeddings: bool) -> None:
    import pyarrow.parquet as pq

    parts = tables(chosen, with_embeddings)
    first = next(parts)
    repeated = [name for name in first.column_names if not is_text(name) and name not in _OWN_COLUMNS]
    schema = first.schema if with_embeddings else first.schema.with_metadata({_ORIGIN: chosen.origin})
    with pq.ParquetWriter(
        target,
        schema,
        compression="zstd",
        use_dictionary=repeated,
        write_statistics=[name for name in first.column_names if name != "embedding"],
    ) as writer:
        for table in itertools.chain([first], parts):
            writer.write_table(table.cast(schema))


def _write_csv(chosen: Selection, target: files.NewFile) -> None:
    import pyarrow.csv as pacsv

    parts = tables(chosen, with_embeddings=False)
    first = next(parts)
    with pacsv.CSVWriter(target, first.schema) as writer:
        for table in itertools.chain([first], parts):
            writer.write_table(table)


def tables(chosen: Selection, with_embeddings: bool) -> Iterator[pa.Table]:
    """Tables of the columns and the numbers; an empty one first, which has the schema."""
    store = chosen.store
    names = [_input_name(name, chosen.columns) for name in chosen.columns]
    empty = pa.schema([(name, pa.large_string()) for name in names]).empty_table()
    nothing = np.empty(0, dtype=np.uint8)
    yield _with_numbers(empty, np.empty((0, store.dim)), nothing, nothing, with_embeddings)
    begin = 0
    for shard in store.shards:
        strings = pa.table([store.strings_of(shard, name) for name in chosen.columns], names=names)
        embeddings = shard.array("embeddings")
        n_tokens, flags = shard.array("n_tokens"), shard.array("flags")
        for start in range(0, len(shard), _GROUP_ROWS):
            part = slice(start, start + _GROUP_ROWS)
            kept = chosen.mask[begin:][part][: len(shard) - start]
            if kept.any():
                table = strings.slice(start, _GROUP_ROWS).filter(pa.array(kept))
                numbers = n_tokens[part][kept], flags[part][kept]
                yield _with_numbers(table, embeddings[part][kept], *numbers, with_embeddings)
        begin += len(shard)


def _with_numbers(
    table: pa.Table, embeddings: np.ndarray, n_tokens: np.ndarray, flags: np.ndarray, with_embeddings: bool
) -> pa.Table:
    if with_embeddings:
        flat = pa.array(embeddings.astype(np.float32).reshape(-1))
        vectors = pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])
        table = table.append_column("embedding", vectors)
    table = table.append_column("n_tokens", pa.array(n_tokens.astype(np.int32)))
    table = table.append_column("truncated", pa.array((flags & FLAG_TRUNCATED) > 0))
    return table.append_column("reused", pa.array((flags & FLAG_REUSED) > 0))


def _input_name(column: str, columns: list[str]) -> str:
    """A column's name in the file: one that we need ourselves gets `input_` in front."""
    name = column
    while name in _OWN_COLUMNS or (name != column and name in columns):
        name = f"input_{name}"
    return name


def _write_npy(chosen: Selection, target: files.NewFile) -> None:
    matrix = chosen.store.embeddings
    header = io.BytesIO()
    shape = (chosen.rows, matrix.shape[1])
    facts = {"descr": matrix.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    target.write(header.getbuffer())
    for block in chosen.blocks():
        target.write(np.ascontiguousarray(block))


def _write_faiss(chosen: Selection, target: files.NewFile) -> None:
    try:
        import faiss
    except ModuleNotFoundError:
        raise UsageError(
            "a file for FAISS needs it: pip install 'univar-embed[faiss]'; or export to npy"
        ) from None

    index = faiss.IndexFlatIP(chosen.store.dim)
    for block in chosen.blocks():
        index.add(np.ascontiguousarray(block, dtype=np.float32))
    faiss.write_index(index, faiss.PyCallbackIOWriter(target.write))  # type: ignore[attr-defined]


_WRITERS: dict[str, Callable[[Selection, files.NewFile], None]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "npy": _write_npy,
    "faiss": _write_faiss,
}
