"""Several stores, or the workers of one, into one new store: each row once, in the order of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from univar._native import HashIndex
from univar.errors import DataError, UsageError
from univar.store.manifest import READ_DATASETS, encoder_differences
from univar.store.reader import Store
from univar.store.shard import ShardFile, current_languages
from univar.store.shard_writer import EmbeddedRows
from univar.store.writer import SHARD_ROWS, StoreWriter

SHARD_BYTES = 256 << 20
_BATCH_ROWS = 8192


def merge(stores: Sequence[str | Path], out: str | Path) -> dict[str, Any]:
    """Write the rows of `stores` into the store `out`; of rows with the same hash the first stays.

    All must have the same encoder, dtype and text format. An interrupted merge goes on when called again.
    Returns `rows` (in the result), `read`, `duplicates` (dropped), `added` (by this call) and `inputs`.
    Raises DataError when they differ or `out` holds other rows, StoreCorrupt when an input is damaged.
    """
    if not stores:
        raise UsageError("nothing to merge: name at least one store")
    if Path(out).resolve() in [Path(path).resolve() for path in stores]:
        raise UsageError(f"{out} is among the stores to merge: write to a new folder")
    inputs = [Store(path, check="blocks") for path in stores]
    first = inputs[0]
    for other in inputs[1:]:
        _check_alike(first, other)
    shards = [shard for store in inputs for shard in store.shards]
    starts = np.cumsum([0, *map(len, shards)])
    first_rows = HashIndex()
    for shard in shards:
        shard.check_blocks()
    for shard, start in zip(shards, starts[:-1], strict=True):
        first_rows.insert(shard.identity(), _numbers(shard, start))
    writer = StoreWriter(
        out,
        encoder=first.encoder,
        dtype=first.dtype,
        text_format=first.text_format,
        format=first.format,
    )
    with writer:
        target = Store(out)
        _check_subset(target, first_rows)
        for shard, start in zip(shards, starts[:-1], strict=True):
            _copy(shard, first_rows.find(shard.identity()) == _numbers(shard, start), writer)
        facts = {
            "inputs": [str(store.path) for store in inputs],
            "rows": writer.rows,
            "read": int(starts[-1]),
            "duplicates": int(starts[-1]) - len(first_rows),
        }
        assert writer.rows == len(first_rows), "each distinct row is written once"
        run = {"kind": "merge", **facts}
        writer.flush(run=None if run in target.runs else run)
    return {**facts, "added": writer.rows - len(target)}


def _check_alike(first: Store, other: Store) -> None:
    unlike = [
        (f"encoder {key}", *values) for key, *values in encoder_differences(first.encoder, other.encoder)
    ]
    names = {"dtype": "dtype", "text_format": "text format", "format": "store format"}
    pairs = [(words, getattr(first, name), getattr(other, name)) for name, words in names.items()]
    unlike += [(name, mine, theirs) for name, mine, theirs in pairs if mine != theirs]
    different = [f"{name} {mine!r} and {theirs!r}" for name, mine, theirs in unlike]
    if different:
        raise DataError(
            f"{first.path} and {other.path} cannot be merged, they have {', '.join(different)}: embed the "
            "answers of one of them again with the other's encoder"
        )


def _check_subset(target: Store, first_rows: HashIndex) -> None:
    foreign = int((first_rows.find(target.row_hash) < 0).sum())
    if foreign:
        raise DataError(
            f"{target.path} holds {foreign} rows that are in none of the stores to merge: write to a new "
            "folder, or merge it too"
        )


def _copy(shard: ShardFile, wanted: np.ndarray, writer: StoreWriter) -> None:
    """Append the wanted rows (a mask) of a shard that the writer does not have yet."""
    identity = shard.identity()
    rows = np.flatnonzero(wanted & (writer.known_rows.find(identity) < 0))
    if not len(rows):
        return
    columns = {name: shard.strings(name) for name in shard.columns()}
    numbers = [name for name in ("text_hash", "n_tokens", "flags", *READ_DATASETS) if shard.has(name)]
    table = pa.table({**columns, "language": current_languages(shard.strings("language"))})
    for start in range(0, len(rows), _BATCH_ROWS):
        batch = rows[start : start + _BATCH_ROWS]
        writer.append(
            EmbeddedRows(
                table=table.take(pa.array(batch)),
                embeddings=shard.array("embeddings")[batch].astype(np.float32),
                row_hash=identity[batch],
                **{name: shard.array(name)[batch] for name in numbers},
            )
        )
        if writer.pending_rows >= SHARD_ROWS or writer.pending_bytes >= SHARD_BYTES:
            writer.flush()


def _numbers(shard: ShardFile, start: int) -> np.ndarray:
    return np.arange(start, start + len(shard), dtype=np.int64)
