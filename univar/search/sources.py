"""What an index knows of its sources: blocks of a row, centring of queries, heads, and the rows searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.heads.neighbours import NEIGHBOURS, vote_log_odds
from univar.heads.source import SourceHead
from univar.search.exact import ArrayEmbeddings, ExactSearch
from univar.search.panel import UNKNOWN, QuestionMeans

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from univar.search.words import Words
    from univar.store import Store

CENTRED, UNCENTRED = "centred", "uncentred"
ROUTES = (CENTRED, UNCENTRED)


@dataclass(frozen=True)
class Blocks:
    """Columns of a row: the learnt parts, in the order of the stored vector, the words, the terms' margins.

    Neighbours and discriminants read all but the margins: columns up to `searched`.
    """

    slices: dict[str, slice]
    learnt: int
    dims: int

    @classmethod
    def of(cls, parts: dict[str, slice], words: int, terms: int = 0) -> Blocks:
        """parts: columns of the stored vector; words, terms: dims of the words and margins, 0 for none."""
        learnt = max(part.stop for part in parts.values())
        slices = dict(parts) | ({"words": slice(learnt, learnt + words)} if words else {})
        slices |= {"terms": slice(learnt + words, learnt + words + terms)} if terms else {}
        return cls(slices, learnt, learnt + words + terms)

    @property
    def searched(self) -> int:
        """Columns of the parts and the words."""
        return self.slices["terms"].start if "terms" in self.slices else self.dims

    def unit(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, learnt) float32: stored vectors with each part at length 1. embeddings: (n, learnt)."""
        out = np.array(embeddings, np.float32)
        for part in self.slices.values():
            if part.stop <= self.learnt:
                out[:, part] /= np.maximum(np.linalg.norm(out[:, part], axis=1, keepdims=True), 1e-12)
        return out


@dataclass(frozen=True)
class Queries:
    """Answers of unknown origin as the heads take them.

    x: (n, D) float32, centred where `is_centred` (n,) bool; group: (n,) the question's, UNKNOWN for none
    """

    x: np.ndarray
    group: np.ndarray
    is_centred: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class SourceModel:
    """Words, means, heads and centred rows of one state of a store.

    labels:  C sources as {"model", "language"}; codes: (N,) int32, the source of each row of the store
    heads:   by route; there is always one for uncentred rows
    rows:    (M,) int64, rows of the store that `matrix` (M, blocks.searched) float16 holds, of length 1
    lengths: (C, 2) float32, mean and standard deviation of the log of the answers' characters
    facts:   what was done, and told by `univar index`
    """

    fingerprint: str
    labels: list[dict[str, str]]
    codes: np.ndarray
    words: Words | None
    blocks: Blocks
    means: QuestionMeans
    heads: dict[str, SourceHead]
    rows: np.ndarray
    matrix: np.ndarray
    lengths: np.ndarray
    facts: dict[str, Any]

    @classmethod
    def of(
        cls,
        store: Store,
        words: Words | None,
        blocks: Blocks,
        means: QuestionMeans,
        heads: dict[str, SourceHead],
        rows: np.ndarray,
        searched: np.ndarray,
        facts: dict[str, Any],
    ) -> SourceModel:
        """searched: (M, D) float32, the rows to search, words unweighted and lengths as they are."""
        codes, _ = store.codes("source")
        matrix = np.array(searched[:, : blocks.searched], np.float32)
        head = heads.get(CENTRED) or heads[UNCENTRED]
        if "words" in blocks.slices:
            matrix[:, blocks.slices["words"]] *= head.words_weight
        matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
        characters = np.log([max(len(str(text)), 1) for text in store.column("answer")])
        return cls(
            store.fingerprint,
            source_labels(store),
            codes,
            words,
            blocks,
            means,
            heads,
            rows.astype(np.int64),
            matrix.astype(np.float16),
            _moments_by_source(characters, codes),
            facts,
        )

    @property
    def searched_route(self) -> str:
        """The route whose queries the matrix answers; the others search the store's own vectors."""
        return CENTRED if CENTRED in self.heads else UNCENTRED

    def queries(
        self,
        embeddings: np.ndarray,
        answers: Sequence[str],
        questions: Sequence[str],
        ids: Sequence[str],
        languages: Sequence[str],
        weighed: csr_matrix | None = None,
    ) -> Queries:
        """Answers as the heads take them: parts, words, minus the mean of the answers to the question.

        embeddings: (n, learnt) of the store's encoder; ids, languages: "" where unknown;
        weighed: what `Words.weigh` makes of the answers, where it is there
        """
        x = np.zeros((len(embeddings), self.blocks.dims), np.float32)
        x[:, : self.blocks.learnt] = self.blocks.unit(embeddings)
        if self.words is not None:
            block = self.words.encode(answers) if weighed is None else self.words.project(weighed)
            x[:, self.blocks.learnt :] = block
        group = self.means.find(ids, questions, languages)
        centred = (group != UNKNOWN) if CENTRED in self.heads else np.zeros(len(x), bool)
        x[centred] -= self.means.means[group[centred]]
        return Queries(x, group, centred)

    def search(self, queries: Queries, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest joined rows by cosine: scores (n, k), rows of the store (n, k), -1 for none."""
        x = queries.x[:, : self.blocks.searched].copy()
        if "words" in self.blocks.slices:
            x[:, self.blocks.slices["words"]] *= self.heads[self.searched_route].words_weight
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        width = min(k, len(self.rows))
        scores, found = ExactSearch(ArrayEmbeddings(self.matrix), self.blocks.searched).search(x, width)
        rows = np.where(found >= 0, self.rows[np.maximum(found, 0)], -1)
        pad = ((0, 0), (0, k - width))
        return np.pad(scores, pad, constant_values=-np.inf), np.pad(rows, pad, constant_values=-1)

    def log_odds(self, route: str, x: np.ndarray) -> np.ndarray:
        """(n, C) float32 log-odds of rows that go one way. x: (n, D) as in `Queries`."""
        head = self.heads[route]
        if head.kind != "knn":
            return head.linear.log_odds(x)
        _, rows = self.search(Queries(x, np.zeros(len(x), int), np.zeros(len(x), bool)), NEIGHBOURS)
        return vote_log_odds(np.where(rows >= 0, self.codes[np.maximum(rows, 0)], -1), len(self.labels))

    def log_p(self, queries: Queries) -> np.ndarray:
        """(n, C) float64 calibrated log-probabilities, each answer by the head of its way."""
        out = np.empty((len(queries), len(self.labels)))
        for route, own in self.by_route(queries):
            if len(own):
                out[own] = self.heads[route].log_p(self.log_odds(route, queries.x[own]))
        return out

    def by_route(self, queries: Queries) -> list[tuple[str, np.ndarray]]:
        """(route, its queries) for every route that there is a head for."""
        ways = [(CENTRED, queries.is_centred), (UNCENTRED, ~queries.is_centred)]
        return [(route, np.flatnonzero(own)) for route, own in ways if route in self.heads]


def source_labels(store: Store) -> list[dict[str, str]]:
    """Model and language of each source of a store, in the order of its codes."""
    codes, labels = store.codes("source")
    first = np.full(len(labels), -1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    models, languages = store.text("model", first), store.text("language", first)
    return [{"model": m, "language": g} for m, g in zip(models, languages, strict=True)]


def _moments_by_source(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(C, 2) mean and standard deviation of values (N,) by code; at least .05, a length is never exact."""
    counts = np.maximum(np.bincount(codes), 1)
    means = np.bincount(codes, values) / counts
    spread = np.sqrt(np.maximum(np.bincount(codes, values**2) / counts - means**2, 0.05**2))
    return np.stack([means, spread], axis=1).astype(np.float32)
