"""`Index`: the nearest rows of a store, with one interface to every kind of search, and its files.

    STORE/index/index.json                                type, sizes, fingerprint, SHA-256 of the arrays
    STORE/index/<type>-<fingerprint>.safetensors          centroids and lists, or the graph

FAISS files are never read: FAISS trusts its input, whereas every array is checked here. The JSON is written
last.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from univar import files
from univar.errors import DataError, StoreCorrupt, UsageError
from univar.search.exact import ExactSearch
from univar.search.faiss_setup import has_faiss

if TYPE_CHECKING:
    from univar.store import Store

TYPES = ("auto", "exact", "flat", "ivf", "hnsw")
IVF_FROM_ROWS = 200_000
"""From this number of rows on, "auto" is inverted lists; below, it compares every row."""


class Search(Protocol):
    """Finds rows: queries (Q, D) float32 -> scores (Q, k) float32, rows (Q, k) int64."""

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]: ...


class Index:
    """The nearest rows of a store.

    `type` is "exact" (every row, block by block from the store's files), "flat" (every row, in memory),
    "ivf" or "hnsw" (some of the rows; `recall` says how many of the true nearest ten are found). Make one
    with `Index.build`, `Index.load` or `Index.open`.
    """

    def __init__(self, store: Store, type: str, search: Search, seconds: float | None = None) -> None:
        self.store, self.type = store, type
        self._search = search
        self._seconds = seconds
        self._saved: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.store)

    def __repr__(self) -> str:
        return f"Index({self.type}, {len(self)} rows x {self.store.dim}, recall@10 {self.recall:.3f})"

    @property
    def recall(self) -> float:
        """Measured share of the true 10 nearest rows that a search finds; 1.0 if every row is compared."""
        measured = getattr(self._search, "recall", None)
        return 1.0 if measured is None else measured

    @property
    def info(self) -> dict[str, Any]:
        """type, rows, dim, recall_at_10, effort (lists or nodes visited), seconds and size_bytes if known."""
        return {
            "type": self.type,
            "rows": len(self),
            "dim": self.store.dim,
            "recall_at_10": self.recall,
            "effort": getattr(self._search, "effort", 1),
            "seconds": self._seconds,
            "size_bytes": self._saved.get("size_bytes"),
        }

    @classmethod
    def build(cls, store: Store | np.ndarray, type: str = "auto", threads: int | None = None) -> Index:
        """An index over all rows of a store, or of a matrix (N, D), which has no columns and cannot be saved.

        type:    "auto" (exact below 200,000 rows or without FAISS, else ivf), "exact", "flat", "ivf", "hnsw"
        threads: number of threads that FAISS builds and searches with; None for one per core
        """
        started = time.perf_counter()
        if isinstance(store, np.ndarray):
            from univar.search.matrix import Matrix

            store = cast("Store", Matrix(store))
        type = resolve(type, len(store))
        search: Search
        if type == "exact":
            search = ExactSearch(store.embeddings, store.dim)
        else:
            from univar.search.approximate import build

            search = build(type, store.embeddings, store.dim, threads)
        return cls(store, type, search, time.perf_counter() - started)

    @classmethod
    def load(cls, store: Store, threads: int | None = None) -> Index:
        """The index saved inside the store.

        Raises DataError if there is none or the store has changed since, StoreCorrupt if its files are not
        what was written.
        """
        facts = read_facts(store.path)
        if facts is None:
            raise missing(store.path)
        if not _is_fresh(facts, store):
            raise DataError(
                f"the index in {store.path} is out of date, since the store's rows have changed: "
                f"{remedy(store.path)}"
            )
        return cls._from_facts(store, facts, threads)

    @classmethod
    def open(cls, store: Store, type: str = "auto", threads: int | None = None) -> Index:
        """The saved index if it is of this type (any, for "auto") and fresh, else a new one, not saved."""
        facts = read_facts(store.path)
        if facts is not None and _is_fresh(facts, store) and type in ("auto", facts["type"]):
            return cls._from_facts(store, facts, threads)
        return cls.build(store, type, threads)

    @classmethod
    def _from_facts(cls, store: Store, facts: dict[str, Any], threads: int | None) -> Index:
        if facts["type"] not in TYPES[1:]:
            raise broken(store.path, "its type is unknown")
        arrays = read_arrays(store.path, facts)
        search: Search
        if facts["type"] == "exact":
            search = ExactSearch(store.embeddings, store.dim)
        else:
            from univar.search.approximate import from_arrays

            try:
                search = from_arrays(facts["type"], arrays, store.embeddings, store.dim, threads)
            except (KeyError, ValueError) as error:
                raise broken(store.path, str(error)) from error
            search.set_effort(facts["effort"], float(facts["recall_at_10"]))
        index = cls(store, facts["type"], search)
        index._saved = facts
        return index

    def save(self) -> None:
        """Write the index into the store's folder, whole or not at all."""
        from univar.search import approximate

        search = self._search
        arrays = approximate.to_arrays(search) if isinstance(search, approximate.FaissSearch) else {}
        self._saved = write_files(
            self.store.path, {**self.info, "fingerprint": self.store.fingerprint}, arrays
        )

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows of each query by dot product: cosine similarity, as embeddings have length 1.

        queries: (Q, D) float32
        returns: scores (Q, k) float32 and indices (Q, k) int64, best first, equal scores in order of rows;
                 -inf and -1 where the store has fewer than k rows or an approximate search found fewer
        Raises DataError for queries of another dimension or with NaN or infinity.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        queries = self._checked(queries)
        width = min(k, len(self))
        scores, indices = self._search.search(queries, width)
        padding = ((0, 0), (0, k - width))
        return (
            np.pad(scores, padding, constant_values=-np.inf),
            np.pad(indices, padding, constant_values=-1),
        )

    def _checked(self, queries: np.ndarray) -> np.ndarray:
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.store.dim:
            encoder = self.store.encoder.get("id", "the store's encoder")
            raise DataError(
                f"queries have shape {queries.shape}, but {self.store.path} holds {self.store.dim} dims: "
                f"embed them with {encoder}, or search a store of your encoder"
            )
        bad = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        if len(bad):
            raise DataError(
                f"query {bad[0]} contains NaN or infinity, and {len(bad)} of {len(queries)} queries do: "
                f"embed them again"
            )
        return queries


def resolve(type: str, rows: int) -> str:
    """The type that "auto" is for a store of `rows` rows, "exact" without FAISS; any other type is itself."""
    if type not in TYPES:
        raise UsageError(f"unknown index type {type!r}: choose one of {', '.join(TYPES)}")
    if type == "auto" or rows == 0:
        return "ivf" if rows >= IVF_FROM_ROWS and has_faiss() else "exact"
    return type


def _is_fresh(facts: dict[str, Any], store: Store) -> bool:
    return (facts["fingerprint"], facts["rows"], facts["dim"]) == (store.fingerprint, len(store), store.dim)


FORMAT = "univar-index/1"
FOLDER = "index"
FACTS_FILE = "index.json"
SOURCES_FOLDER = "sources"
"""Where `univar.search.source_files` keeps what was fitted to tell sources apart."""
_MAX_JSON_BYTES = 1 << 20
_FIELDS: dict[str, tuple[type, ...]] = {
    "type": (str,),
    "rows": (int,),
    "dim": (int,),
    "fingerprint": (str,),
    "sha256": (str,),
    "size_bytes": (int,),
    "effort": (int,),
    "recall_at_10": (int, float),
}


def write_files(store_path: Path, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Write arrays, then facts, then remove older files; returns the facts with `sha256` and `size_bytes`."""
    from safetensors.numpy import save

    folder = Path(store_path) / FOLDER
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    facts = {"format": FORMAT, **facts, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    name = _array_file(facts)
    files.make_folder(folder)
    for path, content in ((folder / name, data), (folder / FACTS_FILE, json.dumps(facts, indent=1).encode())):
        with files.new_file(path) as file:
            file.write(content)
    for other in files.list_folder(folder):
        if other == SOURCES_FOLDER:  # heads of another state of the index
            shutil.rmtree(folder / other, ignore_errors=True)
        elif other not in (name, FACTS_FILE):
            files.remove(folder / other)
    return facts


def has_sources(store_path: Path) -> bool:
    """Whether source heads are kept beside the index, fresh or stale."""
    return "sources.json" in files.list_folder(Path(store_path) / FOLDER / SOURCES_FOLDER)


def read_facts(store_path: Path) -> dict[str, Any] | None:
    """What index.json says, None where no index was saved. Raises StoreCorrupt if the file is broken."""
    folder = Path(store_path) / FOLDER
    if FACTS_FILE not in files.list_folder(folder):
        return None
    try:
        facts = json.loads(files.read_file(folder / FACTS_FILE, _MAX_JSON_BYTES))
    except (StoreCorrupt, ValueError, RecursionError) as error:
        raise broken(store_path, f"{FACTS_FILE} is not readable JSON") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise broken(store_path, f"{FACTS_FILE} is not of format {FORMAT}")
    for name, kinds in _FIELDS.items():
        if type(facts.get(name)) not in kinds:
            raise broken(store_path, f"{FACTS_FILE} has no valid {name!r}")
    return facts


def read_arrays(store_path: Path, facts: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays that `facts` describes, once their checksum is right."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(store_path) / FOLDER / _array_file(facts)
    try:
        data = files.read_file(path, facts["size_bytes"])
    except StoreCorrupt as error:
        raise broken(store_path, f"{path.name} is missing or has another size") from error
    if len(data) != facts["size_bytes"] or hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise broken(store_path, f"{path.name} is not the file that was written")
    try:
        return load(data)
    except SafetensorError as error:
        raise broken(store_path, f"{path.name} is not a safetensors file") from error


def broken(store_path: Path, what: str) -> StoreCorrupt:
    """The error for index files that cannot be used."""
    return StoreCorrupt(f"the index in {store_path} is broken ({what}): {remedy(store_path)}")


def missing(store_path: Path) -> DataError:
    """The error for a store without an index."""
    return DataError(f"{store_path} has no index: build it with `univar index {store_path}`")


def remedy(store_path: Path) -> str:
    """What to do about an index that is out of date or broken."""
    return f"rebuild it with `univar index {store_path}`"


def _array_file(facts: dict[str, Any]) -> str:
    """A file name of nothing but letters, digits and a dash: the facts may come from elsewhere."""
    return re.sub(r"[^0-9A-Za-z-]", "", f"{facts['type']}-{facts['fingerprint'][:32]}") + ".safetensors"
