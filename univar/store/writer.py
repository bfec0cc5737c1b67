"""Writing a store: rows are kept until a flush makes a shard of them, and a shard is never touched again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from univar import files, schema
from univar._native import HashIndex
from univar.errors import DataError, UsageError
from univar.files import WriterLock
from univar.store.manifest import (
    DTYPES,
    SHARDS_FOLDER,
    STORE_FORMAT,
    Manifest,
    check_encoder,
    disagreement,
    manifest_name,
    manifest_names,
    read_manifests,
    shard_prefix,
)
from univar.store.shard import ShardFile
from univar.store.shard_writer import EmbeddedRows, PendingRows, write_shard

SHARD_ROWS = 65_536
"""Rows after which a shard is closed unless the caller says otherwise."""
SETUP_WAIT_S = 30.0


class StoreWriter:
    """Adds rows to a store, new or existing, as one worker of n; holds the worker's lock until it is closed.

    A context manager: leaving it without an exception flushes what is pending. An existing store must have
    the same encoder (id, revision, dim, max_length, pooling), dtype, text format and number of workers:
    otherwise DataError names both. StoreLocked when another process writes as the same worker. `format` is
    that of a new store; an existing one keeps its own.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        encoder: dict[str, Any],
        dtype: str = "float16",
        text_format: str = schema.TEXT_FORMAT,
        format: str = STORE_FORMAT,
        worker: tuple[int, int] = (0, 1),
    ) -> None:
        self.path = Path(path)
        wanted = Manifest(
            _checked_encoder(encoder), dtype, text_format, _checked_worker(worker), format=format
        )
        if dtype not in DTYPES:
            raise UsageError(f"embeddings are stored as float16 or float32, not as {dtype!r}")
        files.make_folder(self.path / SHARDS_FOLDER)
        index, workers = wanted.worker
        self._lock = WriterLock(self.path / f".lock-{index}-of-{workers}", self.path)
        self._lock.acquire()
        try:
            self._manifest = self._open_manifest(wanted)
            self._remove_strays()
            self._shards = [self._shard_file(info) for info in self._manifest.shards]
            self._starts = np.cumsum([0, *map(len, self._shards)])
            self._pending = PendingRows(dtype)
            self.known_rows, self.known_texts = HashIndex(), HashIndex()
            self._learn_known()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def close(self) -> None:
        """Release the lock; rows that were not flushed are forgotten."""
        self._lock.release()

    @property
    def rows(self) -> int:
        """Rows of this worker, finished and pending."""
        return self.finished_rows + self._pending.rows

    @property
    def finished_rows(self) -> int:
        """Rows of this worker in finished shards."""
        return int(self._starts[-1])

    @property
    def pending_rows(self) -> int:
        """Rows that the next flush writes."""
        return self._pending.rows

    @property
    def pending_bytes(self) -> int:
        """About how much memory the pending rows hold."""
        return self._pending.nbytes

    def append(self, rows: EmbeddedRows) -> None:
        """Keep rows for the next shard. DataError for rows that are malformed or already in the store.

        A caller that works ahead may already have given `known_rows` the numbers its rows will get.
        """
        if not len(rows):
            return
        rows.check(self._manifest.dim)
        numbers = np.arange(self.rows, self.rows + len(rows), dtype=np.int64)
        found = self.known_rows.find(rows.row_hash)
        in_batch = HashIndex().insert(rows.row_hash, numbers)
        if np.any((found >= 0) & (found < self.rows)) or np.any(in_batch >= 0):
            raise DataError(f"a row is already in {self.path}: leave out rows whose hash is in known_rows")
        self._pending.add(rows)
        self.known_rows.insert(rows.row_hash, numbers)
        self.known_texts.insert(rows.text_hash, numbers)

    def embeddings_of(self, rows: np.ndarray) -> np.ndarray:
        """Embeddings (m, D) float32 of rows (m,) int64 of this worker, finished or pending."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.rows:
            raise UsageError(f"row {rows.max()} is not among the {self.rows} rows of {self.path}")
        out = np.empty((len(rows), self._manifest.dim), dtype=np.float32)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard_of):
            here = shard_of == number
            local = rows[here] - self._starts[number]
            if number == len(self._shards):
                out[here] = self._pending.embeddings_of(local)
            else:
                shard = self._shards[number]
                shard.check_blocks(["embeddings"])
                out[here] = shard.array("embeddings")[local]
        return out

    def flush(self, run: dict[str, Any] | None = None) -> None:
        """Write the pending rows as one shard and name it in the manifest, with the facts of a finished run.

        When it returns, the rows survive a crash. When it raises, they are still pending and all that was
        finished before is untouched. Without pending rows and `run` nothing is done.
        """
        if not self._pending.rows and run is None:
            return
        shards, columns = list(self._manifest.shards), self._manifest.columns
        if self._pending.rows:
            info = write_shard(self._next_shard_path(), self._pending, self._manifest.format)
            shards.append(info)
            columns = list(dict.fromkeys([*columns, *self._pending.column_names()]))
        before = self._manifest
        runs = before.runs if run is None else [*before.runs, _json_copy(run, "run")]
        manifest = replace(before, columns=columns, shards=shards, runs=runs)
        self._write_manifest(manifest)
        self._manifest = manifest
        if self._pending.rows:
            self._shards.append(self._shard_file(info))
            self._starts = np.append(self._starts, self._starts[-1] + info.rows)
            self._pending = PendingRows(before.dtype)

    def _open_manifest(self, wanted: Manifest) -> Manifest:
        setup = WriterLock(self.path / ".lock", self.path)
        setup.acquire(SETUP_WAIT_S)
        try:
            existing = read_manifests(self.path) if manifest_names(self.path) else []
            if existing:  # an older store goes on in its own format
                wanted = replace(wanted, format=existing[0].format)
            for manifest in existing:
                difference = disagreement(manifest, wanted)
                if difference:
                    merged = "; several workers' parts become one store with `univar merge`"
                    raise DataError(
                        f"{self.path} was made with other settings: {difference}. Use the same settings, "
                        f"or write to another store{merged if manifest.worker[1] != wanted.worker[1] else ''}"
                    )
                if manifest.worker == wanted.worker:
                    return manifest
            self._write_manifest(wanted)
            return wanted
        finally:
            setup.release()

    def _write_manifest(self, manifest: Manifest) -> None:
        with files.new_file(self.path / manifest_name(manifest.worker)) as file:
            file.write(manifest.to_json())

    def _remove_strays(self) -> None:
        """Delete what a killed writer of this worker left: temporary files, shards that no manifest names."""
        worker = self._manifest.worker
        manifest, prefix = re.escape(manifest_name(worker)), re.escape(shard_prefix(worker))
        named = {shard.file for shard in self._manifest.shards}
        for name in files.list_folder(self.path):
            if re.fullmatch(rf"\.{manifest}\.[0-9a-f]+\.tmp", name):
                files.remove(self.path / name)
        folder = self.path / SHARDS_FOLDER
        for name in files.list_folder(folder):
            is_ours = re.fullmatch(rf"{prefix}\d{{8,12}}\.h5|\.{prefix}\d{{8,12}}\.h5\.[0-9a-f]+\.tmp", name)
            if is_ours and name not in named:
                files.remove(folder / name)

    def _next_shard_path(self) -> Path:
        folder, prefix = self.path / SHARDS_FOLDER, shard_prefix(self._manifest.worker)
        taken = set(files.list_folder(folder))
        number = len(self._manifest.shards)
        while f"{prefix}{number:08d}.h5" in taken:
            number += 1
        return folder / f"{prefix}{number:08d}.h5"

    def _shard_file(self, info: Any) -> ShardFile:
        return ShardFile(self.path / SHARDS_FOLDER / info.file, info)

    def _learn_known(self) -> None:
        for shard, start in zip(self._shards, self._starts[:-1], strict=True):
            shard.check_blocks(["row_hash", "text_hash"])
            numbers = np.arange(start, start + len(shard), dtype=np.int64)
            self.known_rows.insert(shard.identity(), numbers)
            self.known_texts.insert(shard.array("text_hash"), numbers)


def _checked_encoder(encoder: dict[str, Any]) -> dict[str, Any]:
    copy = _json_copy(encoder, "encoder")
    try:
        check_encoder(copy)
    except ValueError as error:
        raise UsageError(f"{error}: pass an encoder's `info`") from None
    return copy


def _checked_worker(worker: tuple[int, int]) -> tuple[int, int]:
    index, workers = worker
    if not 0 <= index < workers:
        raise UsageError(
            f"worker {index} of {workers} does not exist: workers are numbered from 0 to {workers - 1}"
        )
    return int(index), int(workers)


def _json_copy(facts: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(facts, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} cannot be written as JSON: {error}") from None
