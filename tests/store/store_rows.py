"""Rows for the tests of the store: made up, with true hashes and unit vectors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from univar import schema
from univar.store import EmbeddedRows, Store, StoreWriter
from univar.store.manifest import BLOCK_BYTES, DIGEST_BYTES, seal

DIM = 4
ENCODER = {"id": "tiny", "revision": "r1", "dim": DIM, "max_length": 16, "pooling": "mean"}


def rows_of(columns: dict[str, list[str]], *, dim: int = DIM, seed: int = 0) -> EmbeddedRows:
    """EmbeddedRows of the given columns; identity columns that are missing are made up."""
    n = len(next(iter(columns.values())))
    made_up = {name: [f"{name} {seed}/{row}" for row in range(n)] for name in schema.IDENTITY_COLUMNS}
    made_up["language"] = [("eng", "zho", "fin")[row % 3] for row in range(n)]
    made_up["model"] = [f"model {row % 5}" for row in range(n)]
    table = pa.table({name: pa.array(v, pa.large_string()) for name, v in {**made_up, **columns}.items()})
    embeddings = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    identity = [table.column(name).combine_chunks() for name in schema.IDENTITY_COLUMNS]
    texts = schema.qa_texts(*(table.column(name).combine_chunks() for name in ("question", "answer")))
    return EmbeddedRows(
        table=table,
        embeddings=embeddings,
        row_hash=schema.content_hashes(identity),
        text_hash=schema.content_hashes([texts]),
        n_tokens=np.arange(n, dtype=np.int32),
        flags=np.arange(n, dtype=np.uint8) % 4,
    )


def rows(n: int, start: int = 0, *, dim: int = DIM, **columns: list[str]) -> EmbeddedRows:
    """n rows that differ from those of any other `start`."""
    return rows_of({"id": [f"{start}-{row}" for row in range(n)], **columns}, dim=dim, seed=start)


def write(path: Path, *batches: EmbeddedRows, **settings) -> Path:
    """A store with one shard for each batch."""
    with StoreWriter(path, encoder=settings.pop("encoder", ENCODER), **settings) as writer:
        for batch in batches:
            writer.append(batch)
            writer.flush()
    return path


def contents(store: Store) -> list[tuple]:
    """Everything in a store, row by row, for comparing."""
    columns = [store.column(name).tolist() for name in store.columns]
    numbers = [store.n_tokens.tolist(), store.flags.tolist(), [h.tobytes() for h in store.row_hash]]
    vectors = [v.tobytes() for v in np.asarray(store.embeddings)]
    return list(zip(*columns, *numbers, vectors, strict=True))


def edit_manifest(store: Path, change, name: str = "manifest.json") -> None:
    """Apply `change` to the manifest's JSON object in place."""
    path = store / name
    facts = json.loads(path.read_text())
    change(facts)
    facts.pop("checksum")
    path.write_bytes(seal(json.dumps(facts)[1:]))


def sign(store: Path) -> None:
    """Make the manifest agree with whatever bytes the shards have now: what a malicious author would do."""

    def change(facts):
        for shard in facts["shards"]:
            data = (store / "shards" / shard["file"]).read_bytes()
            shard["size_bytes"] = len(data)
            parts = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
            shard["blocks"] = [hashlib.blake2b(p, digest_size=DIGEST_BYTES).hexdigest() for p in parts]

    edit_manifest(store, change)


def flip_bit(path: Path, offset: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)
