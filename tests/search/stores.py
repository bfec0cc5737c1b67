"""Small real stores with chosen embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from univar import schema
from univar.store import EmbeddedRows, Store, StoreWriter


def write_store(
    path: Path, rows: list[dict[str, str]], embeddings: np.ndarray, shards: int = 1, **encoder: object
) -> Store:
    """A store of the rows with these embeddings (n, D), made unit length, in so many shards."""
    unit = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    columns = dict.fromkeys([*schema.IDENTITY_COLUMNS, *(name for row in rows for name in row)])
    table = pa.table({c: pa.array([row.get(c, "") for row in rows], pa.large_string()) for c in columns})
    identity = [table.column(name).combine_chunks() for name in schema.IDENTITY_COLUMNS]
    row_hash = schema.content_hashes(identity)
    facts = {
        "id": "tiny",
        "revision": "r1",
        "dim": unit.shape[1],
        "max_length": 64,
        "pooling": "mean",
        **encoder,
    }
    with StoreWriter(path, encoder=facts) as writer:
        for part in np.array_split(np.arange(len(rows)), shards):
            n_tokens, flags = np.full(len(part), 9, np.int32), np.zeros(len(part), np.uint8)
            hashes = row_hash[part]
            writer.append(EmbeddedRows(table.take(part), unit[part], hashes, hashes, n_tokens, flags))
            writer.flush()
    return Store(path)
