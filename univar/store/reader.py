"""Reading a store: all workers' shards as one table and one matrix, without a lock and without loading it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from univar import schema
from univar.errors import StoreCorrupt, UsageError
from univar.store.manifest import READ_DATASETS, SHARDS_FOLDER, STORE_FORMAT, manifest_names, read_manifests
from univar.store.shard import ShardFile, current_languages


class Store:
    """A store opened for reading: rows in the order of the workers, then of their shards.

    check="structure" checks the manifests and the size of every shard; nothing is ever read but the bytes
    that the manifest names, so a damaged or hostile shard gives wrong values at worst. check="blocks" also
    recomputes every checksum (about 1 GB/s) and looks at the HDF5 structure. Raises DataError where there is
    no store, StoreCorrupt where it is broken.
    """

    def __init__(self, path: str | Path, *, check: str = "structure") -> None:
        if check not in ("structure", "blocks"):
            raise UsageError(f"a store is checked by 'structure' or 'blocks', not by {check!r}")
        self.path = Path(path)
        manifests = read_manifests(self.path)
        first = manifests[0]
        self.encoder: dict[str, Any] = first.encoder
        self.parts = schema.parts_of(first.encoder)
        self.dim = first.dim
        self.dtype = first.dtype
        self.text_format = first.text_format
        self.format = first.format
        self.workers = [manifest.worker for manifest in manifests]
        self.columns = list(dict.fromkeys(name for manifest in manifests for name in manifest.columns))
        self.runs = [run for manifest in manifests for run in manifest.runs]
        folder = self.path / SHARDS_FOLDER
        self.shards = [ShardFile(folder / info.file, info) for m in manifests for info in m.shards]
        self._starts = np.cumsum([0, *map(len, self.shards)])
        self.embeddings = Embeddings(self.shards, self.dim, self.dtype)
        for shard in self.shards:
            shard.check_size()
            if check == "blocks":
                shard.check_blocks()
        if check == "blocks":
            self._check_hdf5()

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether there is a store at `path`, whole or broken."""
        return bool(manifest_names(Path(path)))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {len(self)} rows x {self.dim} {self.dtype})"

    @property
    def size_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.info.size_bytes for shard in self.shards)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits over all checksums: other rows, other fingerprint."""
        digest = hashlib.blake2b(digest_size=16)
        for shard in self.shards:
            for part in (shard.info.file, str(shard.info.size_bytes), *shard.info.blocks):
                digest.update(f"{part}\n".encode())
        return digest.hexdigest()

    def embeddings_of_part(self, name: str) -> Embeddings:
        """The columns of one of `parts` as (N, d) rows of length 1, read from the files as `embeddings` is.

        Raises UsageError for a part that the store's encoder does not have.
        """
        if name not in self.parts:
            raise UsageError(
                f"{self.path} has no part {name!r}: {self.encoder['id']} has {', '.join(self.parts)}"
            )
        columns = self.parts[name]
        if columns == slice(0, self.dim):
            return self.embeddings
        return PartEmbeddings(self.embeddings, columns)

    @property
    def row_hash(self) -> np.ndarray:
        """(N, 16) uint8, identity of each row, as `ShardFile.identity` gives it."""
        return np.concatenate(
            [np.empty((0, 16), dtype=np.uint8), *(shard.identity() for shard in self.shards)]
        )

    @property
    def text_hash(self) -> np.ndarray:
        """(N, 16) uint8, identity of each row's text."""
        return self._joined("text_hash", (0, 16), np.uint8)

    @property
    def n_tokens(self) -> np.ndarray:
        """(N,) int32, tokens that were embedded."""
        return self._joined("n_tokens", (0,), np.int32)

    @property
    def pieces(self) -> np.ndarray | None:
        """(N,) int32, pieces in which each row was read; None in a store of the first format."""
        return self._read("pieces")

    @property
    def answer_tokens(self) -> np.ndarray | None:
        """(N,) int32, tokens that each answer has; None in a store of the first format."""
        return self._read("answer_tokens")

    @property
    def answer_tokens_read(self) -> np.ndarray | None:
        """(N,) int32, answer tokens that were read; None in a store of the first format."""
        return self._read("answer_tokens_read")

    @property
    def unknown_share(self) -> np.ndarray | None:
        """(N,) float32, share of answer tokens that the encoder's vocabulary lacks; None as above."""
        return self._read("unknown")

    @property
    def flags(self) -> np.ndarray:
        """(N,) uint8, FLAG_TRUNCATED | FLAG_REUSED | FLAG_QUESTION_ONLY | FLAG_QUESTION_CUT."""
        return self._joined("flags", (0,), np.uint8)

    def column(self, name: str) -> np.ndarray:
        """A column's strings, (N,) object. `source` is made of model and language."""
        self._check_column(name)
        if name == schema.DERIVED_COLUMN or any(shard.is_coded(name) for shard in self.shards):
            codes, labels = self.codes(name)
            return np.array([*labels, None], dtype=object)[:-1][codes]
        parts = [self.strings_of(shard, name).to_numpy(zero_copy_only=False) for shard in self.shards]
        return np.concatenate([np.empty(0, dtype=object), *parts])

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """(codes (N,) int32, labels) of a column: labels sorted, distinct; `source` is (model, language)."""
        self._check_column(name)
        if name == schema.DERIVED_COLUMN:
            return self._source_codes()
        stored = [shard.codes(name) for shard in self.shards]
        parts = [(codes, self._present(name, own.to_pylist())) for codes, own in stored]
        labels = sorted({label for _, own in parts for label in own})
        number_of = {label: number for number, label in enumerate(labels)}
        merged = [np.empty(0, dtype=np.int32)]
        for codes, own in parts:
            renumbered = np.array([number_of[label] for label in own], dtype=np.int32)
            merged.append(renumbered[codes])
        return np.concatenate(merged), labels

    def text(self, name: str, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The strings of a few rows, in the order asked for, without reading the others."""
        self._check_column(name)
        if name == schema.DERIVED_COLUMN:
            pairs = zip(self.text("model", rows), self.text("language", rows), strict=True)
            return [schema.source_label(model, language) for model, language in pairs]
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise UsageError(f"{self.path} has rows 0 to {len(self) - 1}, not {wanted.max()}")
        texts = np.empty(len(wanted), dtype=object)
        shard_of = np.searchsorted(self._starts, wanted, side="right") - 1
        for number in np.unique(shard_of):
            here = shard_of == number
            texts[here] = self._present(
                name, self.shards[number].text(name, wanted[here] - self._starts[number])
            )
        return texts.tolist()

    def iter_tables(self, columns: Sequence[str] | None = None, max_rows: int = 8192) -> Iterator[pa.Table]:
        """Tables of at most `max_rows` rows in store order, large_string columns (all of them by default)."""
        names = self.columns if columns is None else list(columns)
        for name in names:
            self._check_column(name)
        for shard in self.shards:
            strings = [self.strings_of(shard, name) for name in names]
            table = pa.table(strings, names=list(names))
            for row in range(0, len(shard), max_rows):
                yield table.slice(row, max_rows)

    def strings_of(self, shard: ShardFile, name: str) -> pa.Array:
        """A column of one shard, large_string; `source` is made of model and language."""
        if name == "language":
            return current_languages(shard.strings(name))
        if name != schema.DERIVED_COLUMN:
            return shard.strings(name)
        parts = (self.strings_of(shard, part).to_pylist() for part in ("model", "language"))
        pairs = zip(*parts, strict=True)
        return pa.array([schema.source_label(*pair) for pair in pairs], pa.large_string())

    @staticmethod
    def _present(name: str, texts: list[str]) -> list[str]:
        """A column's strings; languages by the labels that this version gives them."""
        return [schema.current_language(label) for label in texts] if name == "language" else texts

    def to_arrow(self, columns: Sequence[str] | None = None, embeddings: bool = True) -> pa.Table:
        """All rows as a table: the columns, `embedding` (float32 lists), `n_tokens`, `truncated`, `reused`.

        columns: names, by default all; the whole table is in memory
        """
        from univar.store.exporting import select, tables

        return pa.concat_tables(list(tables(select(self, columns), embeddings)))

    def to_pandas(self, columns: Sequence[str] | None = None, embeddings: bool = True) -> Any:
        """The same as a pandas DataFrame. Raises UsageError where pandas is not installed."""
        try:
            return self.to_arrow(columns, embeddings).to_pandas()
        except ImportError:
            raise UsageError("a DataFrame needs pandas: pip install pandas, or use to_arrow()") from None

    def _source_codes(self) -> tuple[np.ndarray, list[str]]:
        models, model_labels = self.codes("model")
        languages, language_labels = self.codes("language")
        pairs, codes = np.unique(
            models.astype(np.int64) * max(len(language_labels), 1) + languages, return_inverse=True
        )
        names = [
            schema.source_label(*self._pair(pair, model_labels, language_labels)) for pair in pairs.tolist()
        ]
        order = np.argsort(np.array([*names, ""], dtype=object)[:-1], kind="stable")
        rank = np.empty(len(order), dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        return rank[codes], [names[number] for number in order]

    @staticmethod
    def _pair(pair: int, models: list[str], languages: list[str]) -> tuple[str, str]:
        model, language = divmod(pair, len(languages))
        return models[model], languages[language]

    def _joined(self, name: str, empty_shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        parts = [shard.array(name) for shard in self.shards]
        return np.concatenate([np.empty(empty_shape, dtype=dtype), *parts])

    def _read(self, name: str) -> np.ndarray | None:
        return self._joined(name, (0,), READ_DATASETS[name]) if self.format == STORE_FORMAT else None

    def _check_column(self, name: str) -> None:
        if name != schema.DERIVED_COLUMN and name not in self.columns:
            raise UsageError(
                f"{self.path} has no column {name!r}: its columns are "
                f"{', '.join([schema.DERIVED_COLUMN, *self.columns])}"
            )

    def _check_hdf5(self) -> None:
        from univar.store.structure import structure_problems

        problems = structure_problems(self.shards)
        if problems:
            raise StoreCorrupt(problems[0])


class Embeddings:
    """The (N, D) matrix of a store, memory-mapped shard by shard.

    `[i]` is row i (D,); `[a:b]` a read-only view while it stays in one shard, else a copy; `[rows]` with an
    integer or boolean array a copy. `np.asarray(view)` reads everything.
    """

    def __init__(self, shards: list[ShardFile], dim: int, dtype: str) -> None:
        self._shards = shards
        self._starts = np.cumsum([0, *map(len, shards)])
        self.shape = (int(self._starts[-1]), dim)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice):
            return self._slice(*rows.indices(len(self)))
        wanted = np.asarray(rows)
        if wanted.dtype == bool:
            if wanted.shape != (len(self),):
                raise UsageError(f"a mask of shape {wanted.shape} does not fit {len(self)} rows")
            wanted = np.flatnonzero(wanted)
        if wanted.size and not np.issubdtype(wanted.dtype, np.integer):
            raise UsageError(f"rows are chosen by whole numbers, a mask or a slice, not by {wanted.dtype}")
        wanted = wanted.astype(np.int64)
        if wanted.size and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"row {wanted.max()} is not among the {len(self)} rows")
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        if wanted.ndim > 1:
            raise UsageError(
                f"rows are chosen by one number or a list of them, not by an array {wanted.shape}"
            )
        return self._gather(wanted.reshape(-1)).reshape(*wanted.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a store's embeddings cannot become an array without a copy")
        everything = np.empty(self.shape, dtype=dtype or self.dtype)
        for start, block in self.blocks():
            everything[start : start + len(block)] = block
        return everything

    def blocks(self, max_rows: int = 65_536) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, read-only view (m, D)) of consecutive rows, m <= max_rows, none across shards."""
        for shard, start in zip(self._shards, self._starts[:-1], strict=True):
            matrix = shard.array("embeddings")
            for row in range(0, len(matrix), max_rows):
                yield int(start) + row, matrix[row : row + max_rows]

    def _slice(self, start: int, stop: int, step: int) -> np.ndarray:
        if step != 1:
            return self._gather(np.arange(start, stop, step, dtype=np.int64))
        if stop <= start:
            return np.empty((0, self.shape[1]), dtype=self.dtype)
        first, last = np.searchsorted(self._starts, [start, stop - 1], side="right") - 1
        parts = []
        for number in range(first, last + 1):
            offset = self._starts[number]
            parts.append(self._shards[number].array("embeddings")[max(start - offset, 0) : stop - offset])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard_of):
            here = shard_of == number
            out[here] = self._shards[number].array("embeddings")[rows[here] - self._starts[number]]
        return out


class PartEmbeddings(Embeddings):
    """Some columns of a store's matrix, each row of length 1 in float32; chosen as `Embeddings` is."""

    def __init__(self, whole: Embeddings, columns: slice) -> None:
        self._whole, self._columns = whole, columns
        self.shape = (len(whole), columns.stop - columns.start)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._unit(self._whole[rows])

    def blocks(self, max_rows: int = 65_536) -> Iterator[tuple[int, np.ndarray]]:
        for first, block in self._whole.blocks(max_rows):
            yield first, self._unit(block)

    def _unit(self, rows: np.ndarray) -> np.ndarray:
        part = rows[..., self._columns].astype(np.float32)
        unit: np.ndarray = part / np.maximum(np.linalg.norm(part, axis=-1, keepdims=True), 1e-12)
        return unit
