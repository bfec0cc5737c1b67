"""Writing and reading 50,000 rows: a univar store beside plain h5py and npy, all flushed to the disk.

A store also keeps texts, hashes and checksums. h5py is given the same columns as strings of variable length,
the usual way; npy is the matrix alone, the least that any format has to do. Reads are of files in the cache.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest

from benchmarks.conftest import Measure
from univar import Store, schema
from univar.store import EmbeddedRows, StoreWriter

ROWS, DIM, PICKED = 50_000, 384, 2_000
ENCODER = {"id": "made up", "revision": "1", "dim": DIM, "max_length": 256, "pooling": "mean"}


@pytest.fixture(scope="module")
def rows() -> EmbeddedRows:
    """Rows of a hundred models with embeddings of length 1."""
    numbers = range(ROWS)
    columns = {
        "id": [f"row {n}" for n in numbers],
        "model": [f"model {n % 100}" for n in numbers],
        "language": [("eng", "spa", "zho")[n % 3] for n in numbers],
        "question_id": [f"q{n // 100}" for n in numbers],
        "question": [f"What would you do in case {n // 100}, and why?" for n in numbers],
        "answer": [f"In case {n // 100} I would think first. " + "It depends. " * (n % 20) for n in numbers],
    }
    table = pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()})
    arrays = {name: table[name].combine_chunks() for name in columns}
    embeddings = np.random.default_rng(0).standard_normal((ROWS, DIM), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return EmbeddedRows(
        table=table,
        embeddings=embeddings,
        row_hash=schema.content_hashes([arrays[name] for name in schema.IDENTITY_COLUMNS]),
        text_hash=schema.content_hashes([schema.qa_texts(arrays["question"], arrays["answer"])]),
        n_tokens=np.full(ROWS, 64, np.int32),
        flags=np.zeros(ROWS, np.uint8),
    )


def write_univar(path: Path, rows: EmbeddedRows) -> None:
    with StoreWriter(path, encoder=ENCODER) as writer:
        writer.append(rows)


def write_h5py(path: Path, rows: EmbeddedRows) -> None:
    path.mkdir()
    with h5py.File(path / "rows.h5", "w") as file:
        file["embeddings"] = rows.embeddings.astype(np.float16)
        for name in rows.table.column_names:
            file.create_dataset(name, data=rows.table[name].to_pylist(), dtype=h5py.string_dtype())
        for name in ("row_hash", "text_hash", "n_tokens", "flags"):
            file[name] = getattr(rows, name)
    to_disk(path / "rows.h5")


def write_npy(path: Path, rows: EmbeddedRows) -> None:
    path.mkdir()
    np.save(path / "rows.npy", rows.embeddings.astype(np.float16))
    to_disk(path / "rows.npy")


def to_disk(path: Path) -> None:
    """fsync, as a store does."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def pick_h5py(path: Path, wanted: np.ndarray) -> np.ndarray:
    """h5py takes rows in rising order only."""
    ordered, place = np.unique(wanted, return_inverse=True)
    with h5py.File(path / "rows.h5") as file:
        return file["embeddings"][ordered][place]


def read_h5py(path: Path) -> np.ndarray:
    with h5py.File(path / "rows.h5") as file:
        return file["embeddings"][:]


@dataclass(frozen=True)
class Format:
    """write: rows into a new folder; read: all embeddings (N, D) float16; pick: those of rows (n,)."""

    write: Callable[[Path, EmbeddedRows], None]
    read: Callable[[Path], np.ndarray]
    pick: Callable[[Path, np.ndarray], np.ndarray]


FORMATS = {
    "univar": Format(
        write_univar,
        lambda path: np.asarray(Store(path).embeddings),
        lambda path, wanted: Store(path).embeddings[wanted],
    ),
    "h5py": Format(write_h5py, read_h5py, pick_h5py),
    "npy": Format(
        write_npy,
        lambda path: np.load(path / "rows.npy"),
        lambda path, wanted: np.load(path / "rows.npy", mmap_mode="r")[wanted],
    ),
}


@pytest.fixture
def written(impl: str, rows: EmbeddedRows, tmp_path: Path) -> Iterator[Path]:
    """The rows in a format."""
    path = tmp_path / "rows"
    FORMATS[impl].write(path, rows)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("impl", FORMATS)
def test_store_write(impl: str, rows: EmbeddedRows, written: Path, tmp_path: Path, measure: Measure) -> None:
    wanted = rows.embeddings.astype(np.float16)
    assert np.array_equal(FORMATS[impl].read(written), wanted)
    again = tmp_path / "again"
    measure(
        "store: write",
        lambda: FORMATS[impl].write(again, rows),
        setup=lambda: shutil.rmtree(again, ignore_errors=True),
        threads=1,
        rows=ROWS,
        bytes=wanted.nbytes,
    )


@pytest.mark.parametrize("impl", FORMATS)
def test_store_read_all(impl: str, rows: EmbeddedRows, written: Path, measure: Measure) -> None:
    wanted = rows.embeddings.astype(np.float16)
    assert np.array_equal(FORMATS[impl].read(written), wanted)
    measure(
        "store: read all embeddings",
        lambda: FORMATS[impl].read(written),
        threads=1,
        bytes=wanted.nbytes,
        rows=ROWS,
    )


@pytest.mark.parametrize("impl", FORMATS)
def test_store_random_rows(impl: str, rows: EmbeddedRows, written: Path, measure: Measure) -> None:
    picked = np.random.default_rng(1).choice(ROWS, PICKED, replace=False)
    assert np.array_equal(FORMATS[impl].pick(written, picked), rows.embeddings[picked].astype(np.float16))
    measure(
        f"store: read {PICKED:,} random rows",
        lambda: FORMATS[impl].pick(written, picked),
        threads=1,
        rows=PICKED,
    )
