"""Rows on their way into a shard: checked when they come, kept as they are until the shard is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from univar import schema
from univar.errors import DataError
from univar.store import columns
from univar.store.manifest import DTYPES

FLAG_TRUNCATED = 1
"""The text was longer than the encoder's limit; its head was embedded."""

FLAG_REUSED = 2
"""The embedding is that of an identical text embedded before."""

UNIT_TOLERANCE = {"float16": 2e-3, "float32": 1e-3}
"""How far the length of a stored embedding may be from 1."""

DERIVED_COLUMN = "source"


@dataclass
class EmbeddedRows:
    """Rows with their embeddings.

    table:      n rows of string columns without nulls, schema.IDENTITY_COLUMNS among them
    embeddings: (n, D) float32, rows of length 1
    row_hash:   (n, 16) uint8, schema.content_hashes of the identity columns
    text_hash:  (n, 16) uint8, hash of the embedded text
    n_tokens:   (n,) int32, tokens that were embedded
    flags:      (n,) uint8, FLAG_TRUNCATED | FLAG_REUSED
    """

    table: pa.Table
    embeddings: np.ndarray
    row_hash: np.ndarray
    text_hash: np.ndarray
    n_tokens: np.ndarray
    flags: np.ndarray

    def __len__(self) -> int:
        return self.table.num_rows

    def check(self, dim: int) -> None:
        """Raise DataError unless everything has the shape, type and range that the class describes."""
        n = len(self)
        expected = {
            "embeddings": ((n, dim), np.float32),
            "row_hash": ((n, 16), np.uint8),
            "text_hash": ((n, 16), np.uint8),
            "n_tokens": ((n,), np.int32),
            "flags": ((n,), np.uint8),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise DataError(
                    f"{name} is {array.dtype} {array.shape}, but {n} rows of this store need "
                    f"{np.dtype(dtype)} {shape}: embed with the store's encoder"
                )
        _check_table(self.table)
        wrong = not_unit(self.embeddings, UNIT_TOLERANCE["float32"])
        if len(wrong):
            raise DataError(
                f"the embedding of row {wrong[0]} of this batch ({len(wrong)} in all) is not finite or not "
                "of length 1: normalise embeddings before storing them"
            )


def not_unit(embeddings: np.ndarray, tolerance: float) -> np.ndarray:
    """Indices of rows of embeddings (n, D) that are not finite or whose length is not 1."""
    wide = embeddings.astype(np.float32, copy=False)
    squares = np.einsum("nd,nd->n", wide, wide)
    return np.flatnonzero(~(np.abs(np.sqrt(squares) - 1.0) <= tolerance))


def _check_table(table: pa.Table) -> None:
    names = table.column_names
    missing = [name for name in schema.IDENTITY_COLUMNS if name not in names]
    if missing:
        raise DataError(f"rows without {', '.join(missing)}: read them with univar.answers.read_rows")
    if DERIVED_COLUMN in names:
        raise DataError(
            f"a column is called {DERIVED_COLUMN!r}, which here is (model, language): rename it, e.g. to "
            f"{schema.SOURCE_CORPUS!r}"
        )
    if len(set(names)) < len(names):
        raise DataError(f"column {max(names, key=names.count)!r} is there twice: rename one")
    for name in names:
        if not pa.types.is_large_string(table.column(name).type) or table.column(name).null_count:
            raise DataError(f"column {name!r} is not large_string without nulls: cast it and fill the nulls")


class PendingRows:
    """Batches that wait for their shard; embeddings are already in the store's dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.batches: list[EmbeddedRows] = []
        self.starts: list[int] = []
        self.rows = 0
        self.nbytes = 0

    def add(self, rows: EmbeddedRows) -> None:
        """Keep a batch."""
        embeddings = np.ascontiguousarray(rows.embeddings, dtype=DTYPES[self.dtype])
        kept = EmbeddedRows(
            rows.table,
            embeddings,
            np.ascontiguousarray(rows.row_hash),
            np.ascontiguousarray(rows.text_hash),
            np.ascontiguousarray(rows.n_tokens),
            np.ascontiguousarray(rows.flags),
        )
        self.batches.append(kept)
        self.starts.append(self.rows)
        self.rows += len(rows)
        self.nbytes += embeddings.nbytes + rows.table.nbytes + 37 * len(rows)

    def embeddings_of(self, rows: np.ndarray) -> np.ndarray:
        """Embeddings (m, D) in the store's dtype of pending rows, numbered from 0."""
        out = np.empty((len(rows), self.batches[0].embeddings.shape[1]), dtype=DTYPES[self.dtype])
        batch_of = np.searchsorted(self.starts, rows, side="right") - 1
        for batch in np.unique(batch_of):
            here = batch_of == batch
            out[here] = self.batches[batch].embeddings[rows[here] - self.starts[batch]]
        return out

    def column_names(self) -> list[str]:
        """Columns of any batch, in the order in which they came."""
        return list(dict.fromkeys(name for batch in self.batches for name in batch.table.column_names))

    def column(self, name: str) -> list[pa.Array]:
        """A column as Arrow arrays, with empty strings for batches that lack it."""
        chunks: list[pa.Array] = []
        for batch in self.batches:
            if name in batch.table.column_names:
                chunks.extend(batch.table.column(name).chunks)
            else:
                chunks.append(columns.empty_strings(len(batch)))
        return chunks
