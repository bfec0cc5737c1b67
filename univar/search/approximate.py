"""Search through FAISS: `flat` in memory, `ivf` by inverted lists, `hnsw` by a graph.

FAISS proposes candidates, which get exact scores and their order as in `univar.search.exact`. What was built
(centroids and list numbers, or the graph) is saved as plain arrays; the rows themselves stay in the store.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.search.exact import (
    NO_ROW,
    ExactSearch,
    largest_norm,
    order_candidates,
    pair_scores,
    rounding_slack,
)
from univar.search.faiss_setup import MOST_ON_GPU, load_faiss, on_gpus, tuned, visit_lists

MARGIN = 8
"""Candidates beyond k, so that rounding in FAISS doesn't decide which rows are found."""

RECALL_TARGET = 0.95
RECALL_K = 10
RECALL_QUERIES = 500
SEED = 20240411

MAX_LISTS = 4096
TRAINING_ROWS_PER_LIST = 40
TRAINING_ROUNDS = 10
HNSW_LINKS = 32
HNSW_BUILD_WIDTH = 40
EFFORTS = {"ivf": tuple(2**i for i in range(13)), "hnsw": (16, 32, 64, 128, 256, 512)}
"""Values of nprobe and efSearch to try, cheapest first."""

_BLOCK_ROWS = 65536
_QUERIES_AT_ONCE = 256


class FaissSearch:
    """A FAISS index over the rows of `embeddings` whose results have exact scores, in their order.

    kind:   "flat", "ivf" or "hnsw"
    index:  the FAISS index, filled
    lists:  (N,) int32, the inverted list of each row, for ivf
    effort: number of lists or nodes that a search visits; unused by flat
    """

    def __init__(
        self,
        kind: str,
        index: Any,
        embeddings: Any,
        threads: int | None = None,
        lists: np.ndarray | None = None,
    ) -> None:
        self.kind, self.index, self.threads, self.lists = kind, index, threads, lists
        self.recall: float | None = None
        self.effort = 1
        self._embeddings = embeddings
        self._on_gpus = index if kind == "hnsw" else on_gpus(index, float16=kind == "ivf")
        self._largest_norm = _largest_norm(embeddings) if kind == "flat" else None

    def set_effort(self, effort: int, recall: float) -> None:
        """Restore what was tuned before; an effort out of range is clipped."""
        if self.kind in EFFORTS:
            self.effort, self.recall = min(max(1, effort), EFFORTS[self.kind][-1]), recall

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows, as `Index.search` without its checks; k <= N."""
        wanted = min(k + MARGIN, len(self._embeddings))
        rough, candidates = self._candidates(queries, wanted)
        scores, indices = self._rescore(queries, candidates, k)
        if self._largest_norm is not None and wanted < len(self._embeddings):
            slack = 2 * rounding_slack(queries, self._largest_norm)
            unsure = np.flatnonzero(rough[:, -1] >= scores[:, -1] - slack)  # more ties than the margin holds
            if len(unsure):
                exact = ExactSearch(self._embeddings, queries.shape[1])
                scores[unsure], indices[unsure] = exact.search(queries[unsure], k)
        return scores, indices

    def _candidates(self, queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        fits = wanted <= MOST_ON_GPU and self.effort <= MOST_ON_GPU
        searched = self._on_gpus if fits else self.index
        if self.kind == "ivf":
            visit_lists(searched, self.effort, searched is not self.index)
        elif self.kind == "hnsw":
            searched.hnsw.efSearch = max(self.effort, wanted)
        with tuned(len(queries), self.threads):
            return searched.search(queries, wanted)

    def _rescore(self, queries: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        indices = np.full((len(queries), k), NO_ROW, dtype=np.int64)
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            found = candidates[part]
            rows, places = np.unique(found, return_inverse=True)
            corpus = np.asarray(self._embeddings[np.maximum(rows, 0)], dtype=np.float32)
            query_of = np.repeat(np.arange(len(found)), found.shape[1])
            fresh = pair_scores(queries[part], corpus, query_of, places.ravel()).reshape(found.shape)
            fresh[found == NO_ROW] = -np.inf
            width = min(k, found.shape[1])
            scores[part, :width], indices[part, :width] = order_candidates(fresh, found, width)
        return scores, indices


def build(kind: str, embeddings: Any, dim: int, threads: int | None = None) -> FaissSearch:
    """A filled FAISS index, with the smallest effort that reaches RECALL_TARGET on a sample of the rows."""
    lists = None
    with tuned(len(embeddings), threads) as faiss:
        if kind == "flat":
            index = faiss.IndexFlatIP(dim)
            _add(index, embeddings)
        elif kind == "ivf":
            index = _trained_lists(embeddings, dim)
            lists = _nearest_lists(index, embeddings)
            _add_to_lists(index, embeddings, lists)
        else:
            index = faiss.IndexHNSWFlat(dim, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = HNSW_BUILD_WIDTH
            _add(index, embeddings)
    search = FaissSearch(kind, index, embeddings, threads, lists)
    if kind in EFFORTS:
        tune(search, embeddings, dim)
    return search


def tune(search: FaissSearch, embeddings: Any, dim: int) -> None:
    """Set `effort` to the cheapest that finds RECALL_TARGET of the true nearest rows, and `recall`.

    The queries are rows of the corpus; a row that finds itself does not count.
    """
    rng = np.random.default_rng(SEED)
    sample = np.sort(rng.permutation(len(embeddings))[:RECALL_QUERIES])
    queries = np.ascontiguousarray(embeddings[sample], dtype=np.float32)
    truth = ExactSearch(embeddings, dim).search(queries, RECALL_K + 1)[1]
    for effort in EFFORTS[search.kind]:
        search.effort = effort
        search.recall = recall(search.search(queries, RECALL_K + 1)[1], truth, sample)
        if search.recall >= RECALL_TARGET or (search.kind == "ivf" and effort >= search.index.nlist):
            return


def recall(found: np.ndarray, truth: np.ndarray, own: np.ndarray) -> float:
    """Share of the true neighbours that were found, without the query's own row.

    found, truth: (Q, k) int64 rows; own: (Q,) int64
    """
    wanted = (truth != own[:, None]) & (truth != NO_ROW)
    hits = (truth[:, :, None] == found[:, None, :]).any(axis=2) & wanted
    return float(hits.sum() / max(1, wanted.sum()))


def _largest_norm(embeddings: Any) -> float:
    blocks = (np.asarray(block, dtype=np.float32) for _, block in embeddings.blocks(_BLOCK_ROWS))
    return max((largest_norm(block) for block in blocks), default=0.0)


def _add(index: Any, embeddings: Any) -> None:
    for _, block in embeddings.blocks(_BLOCK_ROWS):
        index.add(np.ascontiguousarray(block, dtype=np.float32))


def _trained_lists(embeddings: Any, dim: int) -> Any:
    """An empty inverted-list index with 4 sqrt(N) lists, trained on a seeded sample."""
    n_lists = int(min(MAX_LISTS, max(1, 4 * len(embeddings) ** 0.5), len(embeddings)))
    rng = np.random.default_rng(SEED)
    sample = np.sort(rng.permutation(len(embeddings))[: n_lists * TRAINING_ROWS_PER_LIST])
    index = _empty_lists(load_faiss().IndexFlatIP(dim), dim, n_lists)
    index.cp.seed, index.cp.niter, index.cp.spherical = SEED, TRAINING_ROUNDS, True
    index.cp.min_points_per_centroid = 1
    index.train(np.ascontiguousarray(embeddings[sample], dtype=np.float32))
    return index


def _empty_lists(quantizer: Any, dim: int, n_lists: int) -> Any:
    faiss = load_faiss()
    return faiss.IndexIVFFlat(quantizer, dim, n_lists, faiss.METRIC_INNER_PRODUCT)


def _nearest_lists(index: Any, embeddings: Any) -> np.ndarray:
    """The list of each row, (N,) int32."""
    lists = np.empty(len(embeddings), dtype=np.int32)
    for start, block in embeddings.blocks(_BLOCK_ROWS):
        rows = np.ascontiguousarray(block, dtype=np.float32)
        lists[start : start + len(rows)] = index.quantizer.search(rows, 1)[1][:, 0]
    return lists


def _add_to_lists(index: Any, embeddings: Any, lists: np.ndarray) -> None:
    faiss = load_faiss()
    for start, block in embeddings.blocks(_BLOCK_ROWS):
        rows = np.ascontiguousarray(block, dtype=np.float32)
        ids = np.arange(start, start + len(rows), dtype=np.int64)
        chosen = lists[start : start + len(rows)].astype(np.int64)
        index.add_core(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(ids), faiss.swig_ptr(chosen))


def to_arrays(search: FaissSearch) -> dict[str, np.ndarray]:
    """What was built, as plain arrays; empty for `flat`."""
    faiss = load_faiss()
    if search.kind == "ivf":
        return {
            "centroids": search.index.quantizer.reconstruct_n(0, search.index.nlist),
            "lists": search.lists,
        }
    if search.kind == "hnsw":
        graph = search.index.hnsw
        return {
            "levels": faiss.vector_to_array(graph.levels),
            "neighbors": faiss.vector_to_array(graph.neighbors),
            "entry_point": np.array([graph.entry_point], dtype=np.int64),
        }
    return {}


def from_arrays(
    kind: str, arrays: dict[str, np.ndarray], embeddings: Any, dim: int, threads: int | None = None
) -> FaissSearch:
    """The index from its arrays and the rows of the store.

    Raises ValueError or KeyError for arrays that don't belong to it.
    """
    lists = None
    with tuned(len(embeddings), threads) as faiss:
        if kind == "ivf":
            centroids, lists = _checked_lists(arrays, len(embeddings), dim)
            quantizer = faiss.IndexFlatIP(dim)
            quantizer.add(centroids)
            index = _empty_lists(quantizer, dim, len(centroids))
            _add_to_lists(index, embeddings, lists)
        elif kind == "hnsw":
            index = faiss.IndexHNSWFlat(dim, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
            _set_graph(index, arrays, len(embeddings))
            _add(index.storage, embeddings)
            index.ntotal = len(embeddings)
        else:
            index = faiss.IndexFlatIP(dim)
            _add(index, embeddings)
    return FaissSearch(kind, index, embeddings, threads, lists)


def _checked_lists(arrays: dict[str, np.ndarray], rows: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    centroids, lists = arrays["centroids"], arrays["lists"]
    if (
        centroids.dtype != np.float32
        or centroids.ndim != 2
        or centroids.shape[1] != dim
        or not len(centroids)
    ):
        raise ValueError(f"centroids are {centroids.dtype} {centroids.shape}, not float32 (lists, {dim})")
    if lists.dtype != np.int32 or lists.shape != (rows,):
        raise ValueError(f"lists are {lists.dtype} {lists.shape}, not int32 ({rows},)")
    if lists.min() < 0 or lists.max() >= len(centroids):
        raise ValueError("a row is in a list that doesn't exist")
    return np.ascontiguousarray(centroids), lists


def _set_graph(index: Any, arrays: dict[str, np.ndarray], rows: int) -> None:
    """Give an empty HNSW index a graph, checked first: FAISS follows its links unchecked."""
    faiss, graph = load_faiss(), index.hnsw
    width = faiss.vector_to_array(graph.cum_nneighbor_per_level).astype(np.int64)  # slots up to each level
    levels, neighbors, entry = arrays["levels"], arrays["neighbors"], arrays["entry_point"]
    if levels.dtype != np.int32 or levels.shape != (rows,) or neighbors.dtype != np.int32:
        raise ValueError(f"levels are {levels.dtype} {levels.shape}, neighbors {neighbors.dtype}")
    if levels.min() < 1 or levels.max() >= len(width):
        raise ValueError("a row has a level that doesn't exist")
    offsets = np.concatenate([[0], np.cumsum(width[levels])])
    if neighbors.shape != (offsets[-1],) or neighbors.min() < -1 or neighbors.max() >= rows:
        raise ValueError("the graph has links that lead nowhere")
    if entry.shape != (1,) or not 0 <= entry[0] < rows or levels[entry[0]] != levels.max():
        raise ValueError("the graph's entry point is not on its top level")
    slot = np.arange(len(neighbors)) - np.repeat(offsets[:-1], width[levels])
    level_of_slot = np.searchsorted(width, slot, side="right") - 1
    if (levels[np.maximum(neighbors, 0)] <= level_of_slot)[neighbors >= 0].any():
        raise ValueError("the graph links to a row on a level that the row is not on")
    _fill(graph.levels, levels)
    _fill(graph.offsets, offsets.astype(np.uint64))
    _fill(graph.neighbors, neighbors)
    graph.entry_point, graph.max_level = int(entry[0]), int(levels.max()) - 1


def _fill(vector: Any, values: np.ndarray) -> None:
    """Copy an array into a C++ vector of its type."""
    vector.resize(len(values))
    load_faiss().rev_swig_ptr(vector.data(), len(values))[:] = values
