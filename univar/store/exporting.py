"""A store as Parquet, as .npy or as a FAISS index, each written whole or not at all.

Parquet holds everything in one file. The other two hold the matrix; what each row is stands beside them in
NAME.rows.parquet, in the same order.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from univar import files
from univar.errors import UsageError
from univar.store.reader import Store
from univar.store.shard import FLAG_REUSED, FLAG_TRUNCATED, is_text

FORMATS = {"parquet": (".parquet",), "npy": (".npy",), "faiss": (".faiss", ".index")}
_OWN_COLUMNS = ("embedding", "n_tokens", "truncated", "reused")
_GROUP_ROWS = 16_384


def export(
    store: Store, out: str | Path, format: str | None = None, *, force: bool = False
) -> dict[str, Any]:
    """Write `store` to the file `out`; the format follows from its ending unless given.

    Memory stays bounded for parquet and npy; faiss builds an exact index (IndexFlatIP) in memory, 4 bytes a
    number. Returns `format`, `files`, `rows` and `size_bytes`. Raises UsageError for an unknown format and
    for files that exist, unless `force`.
    """
    out = Path(out)
    write = _WRITERS[_format_of(out, format)]
    beside = [] if write is _write_parquet else [out.with_suffix(".rows.parquet")]
    written = [*beside, out]
    for file in written:
        files.refuse_existing(file, force)
    files.make_folder(out.parent)
    sizes = []
    for file in written:
        with files.new_file(file) as target:
            (write if file is out else _write_rows)(store, target)
            sizes.append(target.size_bytes)
    return {
        "format": _format_of(out, format),
        "files": [str(file) for file in written],
        "rows": len(store),
        "size_bytes": sum(sizes),
    }


def _format_of(out: Path, format: str | None) -> str:
    if format in FORMATS:
        return str(format)
    for name, endings in FORMATS.items():
        if format is None and out.suffix in endings:
            return name
    wrong = f"format {format!r}" if format else f"the ending of {out}"
    raise UsageError(f"{wrong} is not known: use {', '.join(FORMATS)}")


def _write_parquet(store: Store, target: files.NewFile) -> None:
    _write_tables(store, target, with_embeddings=True)


def _write_rows(store: Store, target: files.NewFile) -> None:
    _write_tables(store, target, with_embeddings=False)


def _write_tables(store: Store, target: files.NewFile, *, with_embeddings: bool) -> None:
    import pyarrow.parquet as pq

    tables = _tables(store, with_embeddings)
    first = next(tables)
    repeated = [name for name in first.column_names if not is_text(name) and name not in _OWN_COLUMNS]
    with pq.ParquetWriter(
        target,
        first.schema,
        compression="zstd",
        use_dictionary=repeated,
        write_statistics=[name for name in first.column_names if name != "embedding"],
    ) as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table)


def _tables(store: Store, with_embeddings: bool) -> Iterator[pa.Table]:
    """Tables of all columns and the numbers; an empty one first, which has the schema."""
    names = [_input_name(name, store.columns) for name in store.columns]
    empty = pa.schema([(name, pa.large_string()) for name in names]).empty_table()
    nothing = np.empty(0, dtype=np.uint8)
    yield _with_numbers(empty, np.empty((0, store.dim)), nothing, nothing, with_embeddings)
    for shard in store.shards:
        strings = pa.table([shard.strings(name) for name in store.columns], names=names)
        embeddings = shard.array("embeddings")
        n_tokens, flags = shard.array("n_tokens"), shard.array("flags")
        for start in range(0, len(shard), _GROUP_ROWS):
            part = slice(start, start + _GROUP_ROWS)
            table = strings.slice(start, _GROUP_ROWS)
            yield _with_numbers(table, embeddings[part], n_tokens[part], flags[part], with_embeddings)


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


def _write_npy(store: Store, target: files.NewFile) -> None:
    header = io.BytesIO()
    facts = {"descr": store.embeddings.dtype.str, "fortran_order": False, "shape": store.embeddings.shape}
    np.lib.format.write_array_header_1_0(header, facts)
    target.write(header.getbuffer())
    for _, block in store.embeddings.blocks():
        target.write(block)


def _write_faiss(store: Store, target: files.NewFile) -> None:
    import faiss

    index = faiss.IndexFlatIP(store.dim)
    for _, block in store.embeddings.blocks():
        index.add(block.astype(np.float32))
    faiss.write_index(index, faiss.PyCallbackIOWriter(target.write))  # type: ignore[attr-defined]


_WRITERS: dict[str, Callable[[Store, files.NewFile], None]] = {
    "parquet": _write_parquet,
    "npy": _write_npy,
    "faiss": _write_faiss,
}
