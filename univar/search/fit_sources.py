"""Fitting of what `univar index` keeps beside the search: words, centred rows, source heads.

The learnt parts of each row, of length 1 each, and the words fitted on the index's own answers stand side by
side; rows are centred where enough other sources answered the same; one head is fitted on the centred rows,
one on all rows as they are, for questions that the index lacks.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import UsageError
from univar.heads.lda import LinearHead
from univar.heads.source import SourceHead, fit_source_head, folds_of
from univar.heads.terms import TermOdds, term_odds
from univar.search.panel import CENTRES, Groups, QuestionMeans
from univar.search.sources import CENTRED, UNCENTRED, Blocks, SourceModel
from univar.statistics.centring import Centred, centre, centre_sparse

if TYPE_CHECKING:
    from univar.search.words import Words
    from univar.store import Store

WORDS_SHARE = 0.6
"""Share of the propositions that words are fitted on; heads are chosen and calibrated on the others, whose
answers the words have not seen either."""

TERM_WORK = 1_000_000
"""Rows times sources up to which all terms are classified too: beyond it takes minutes and much memory."""

FIT_ROWS = 200_000
"""Rows at most that words and heads are fitted on, drawn by whole propositions."""


def fit_sources(
    store: Store,
    *,
    words: bool = True,
    centre_by: str = "language-question",
    cluster: str | None = None,
    threads: int = 1,
    on_note: Callable[[str], object] = lambda note: None,
) -> SourceModel | None:
    """Words, rows and heads of a store; None where it has fewer than two sources, which is told.

    centre_by: one of CENTRES; cluster: a column or COLUMN:N, the proposition of each row; threads: processes
    that count words
    Raises UsageError for another `centre_by` or a column that the store lacks.
    """
    if centre_by not in CENTRES:
        raise UsageError(f"rows cannot be centred by {centre_by!r}: choose one of {', '.join(CENTRES)}")
    started = time.perf_counter()
    sources, labels = store.codes("source")
    if len(labels) < 2:
        on_note("no source heads: the store has one source, and a head needs two to tell apart")
        return None
    groups = Groups.of(store, centre_by, cluster)
    rows = _rows_to_fit(groups.clusters)
    if len(rows) < len(store):
        on_note(f"heads are fitted on {len(rows):,} of {len(store):,} rows, drawn by whole questions")
    seen = _words_rows(groups.clusters) if words else np.zeros(len(store), bool)
    fitted_words, block, words_facts = _words(store, words, groups.clusters, seen, threads, on_note)
    level = _level(sources, groups, centre_by)
    own = np.flatnonzero(level > 0)
    fit_own = np.intersect1d(own, rows)
    terms: dict[str, TermOdds] = {}
    if fitted_words is not None and len(rows) * len(labels) <= TERM_WORK and len(rows) == len(store):
        fitted_words, block, terms = _with_terms(store, fitted_words, sources, groups, fit_own, len(labels))
        words_facts["margins"] = fitted_words.margins
    blocks, x = _side_by_side(store, fitted_words, block)
    moved = _centred(x, sources, groups, centre_by)
    on_note(moved.note())
    fit = _Fit(sources, groups, len(labels), blocks, seen, terms)
    centred = fit.head(CENTRED, moved.embeddings, fit_own)
    alone = (
        centred is None
    )  # else the index searches centred rows, among which uncentred ones have no neighbours
    uncentred = fit.head(UNCENTRED, x, rows, may_vote=alone)
    heads = {"centred": centred, "uncentred": uncentred}
    if heads["uncentred"] is None:
        on_note("no source heads: they need two sources that answered two questions or propositions each")
        return None
    means = QuestionMeans.of(store, x, groups, centre_by)
    kept = own if heads["centred"] is not None else np.arange(len(store))
    searched = (moved.embeddings if heads["centred"] is not None else x)[kept]
    facts = {
        "centre": centre_by,
        "cluster": cluster or "question_id",
        "panel": moved.note(),
        "rows_by_question": int((moved.level == 1).sum()),
        "rows_by_proposition": int((moved.level == 2).sum()),
        "rows_uncentred": int((moved.level == 0).sum()),
        "words": words_facts,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_bytes": _peak_bytes(),
    }
    return SourceModel.of(
        store,
        fitted_words,
        blocks,
        means,
        {k: v for k, v in heads.items() if v is not None},
        kept,
        searched,
        facts,
    )


def _rows_to_fit(clusters: np.ndarray) -> np.ndarray:
    """Rows of as many whole propositions as FIT_ROWS hold."""
    if len(clusters) <= FIT_ROWS:
        return np.arange(len(clusters))
    counts = np.bincount(clusters)
    order = np.random.default_rng(0).permutation(len(counts))
    return np.flatnonzero(np.isin(clusters, order[np.cumsum(counts[order]) <= FIT_ROWS]))


def _words(
    store: Store,
    wanted: bool,
    clusters: np.ndarray,
    seen: np.ndarray,
    threads: int,
    on_note: Callable[[str], object],
) -> tuple[Words | None, np.ndarray | None, dict[str, Any]]:
    """The words block of the index's own answers, of every row, and what is told of it."""
    if not wanted:
        return None, None, {"dims": 0}
    from univar.search.words import fit_words

    answers = [str(text) for text in store.column("answer")]
    started = time.perf_counter()
    rows = np.flatnonzero(seen)
    fitted = fit_words([answers[row] for row in rows.tolist()], clusters[rows])
    if fitted is None:
        on_note("no words: fewer than nine terms occur in answers to several questions")
        return None, None, {"dims": 0}
    fit_seconds, started = time.perf_counter() - started, time.perf_counter()
    block = fitted.encode(answers, threads=threads)
    seconds = max(time.perf_counter() - started, 1e-9)
    return (
        fitted,
        block,
        {
            "dims": fitted.dims,
            "terms": len(fitted.terms),
            "fit_seconds": round(fit_seconds, 1),
            "rows_per_second": round(len(answers) / seconds),
        },
    )


def _with_terms(
    store: Store, words: Words, sources: np.ndarray, groups: Groups, fit_own: np.ndarray, n: int
) -> tuple[Words, np.ndarray, dict[str, TermOdds]]:
    """The words with the margins of both heads' classifiers, the block of every row, and held-out margins."""
    weighed = words.weigh([str(text) for text in store.column("answer")])
    found = {}
    for route, rows in ((CENTRED, fit_own), (UNCENTRED, np.arange(len(store)))):
        y, folds = sources[rows].astype(np.int64), folds_of(groups.clusters[rows])
        if len(np.unique(folds)) < 2 or any(
            len(np.unique(y[folds != fold])) < 2 for fold in np.unique(folds)
        ):
            continue
        own = weighed
        if route == CENTRED:
            own = centre_sparse(weighed, sources, groups.questions, groups.centred_clusters)
        found[route] = term_odds(own[rows], y, folds, n)
    if not found:
        return words, words.project(weighed), found
    scores = np.hstack([odds.head.weights for odds in found.values()])
    widened = replace(words, scores=np.ascontiguousarray(scores, np.float32))
    return widened, widened.project(weighed), found


def _side_by_side(store: Store, words: Words | None, block: np.ndarray | None) -> tuple[Blocks, np.ndarray]:
    """(N, D) float32: the store's parts, each of length 1, then the words block with its margins."""
    blocks = Blocks.of(store.parts, *((0, 0) if words is None else (words.dims, words.margins)))
    x = np.empty((len(store), blocks.dims), np.float32)
    for start, rows in store.embeddings.blocks():
        x[start : start + len(rows), : blocks.learnt] = blocks.unit(np.asarray(rows, np.float32))
    if block is not None:
        x[:, blocks.learnt :] = block
    return blocks, x


def _level(sources: np.ndarray, groups: Groups, centre_by: str) -> np.ndarray:
    """(N,) how each row will be centred, as in `Centred.level`."""
    return _centred(np.zeros((len(sources), 1), np.float32), sources, groups, centre_by).level


def _centred(x: np.ndarray, sources: np.ndarray, groups: Groups, centre_by: str) -> Centred:
    if centre_by == "none":
        return Centred(x, np.zeros(len(x), np.uint8))
    return centre(x, sources, groups.questions, groups.centred_clusters)


@dataclass(frozen=True)
class _Fit:
    """What both heads are fitted with. n: sources; seen: (N,) bool, rows that words were fitted on."""

    sources: np.ndarray
    groups: Groups
    n: int
    blocks: Blocks
    seen: np.ndarray
    terms: dict[str, TermOdds]

    def head(
        self, route: str, x: np.ndarray, rows: np.ndarray, *, may_vote: bool = True
    ) -> SourceHead | None:
        """The head of some rows of x (N, D); None where they do not suffice for one."""
        if len(rows) < 2:
            return None
        words = self.blocks.slices.get("words")
        unseen = None if words is None else ~self.seen[rows]
        own = (x if len(rows) == len(x) else x[rows])[:, : self.blocks.searched]
        y, clusters = self.sources[rows].astype(np.int64), self.groups.clusters[rows]
        found = fit_source_head(own, y, clusters, self.n, words, unseen, may_vote, self.terms.get(route))
        return None if found is None else self._widened(found, route)

    def _widened(self, head: SourceHead, route: str) -> SourceHead:
        """The head over all columns: the margins of its own classifier count, those of the other don't."""
        if "terms" not in self.blocks.slices:
            return head
        below = np.zeros((self.blocks.dims - self.blocks.searched, self.n), np.float32)
        distance = LinearHead(np.vstack([head.distance.weights, below]), head.distance.bias)
        if route in self.terms:
            place = self.n * list(self.terms).index(route)
            below[place : place + self.n] = head.terms_weight * np.eye(self.n, dtype=np.float32)
        linear = LinearHead(np.vstack([head.linear.weights, below]), head.linear.bias)
        return replace(head, linear=linear, distance=distance)


def _words_rows(clusters: np.ndarray) -> np.ndarray:
    """(N,) bool, rows of the propositions that words are fitted on, WORDS_SHARE of them."""
    n = int(clusters.max()) + 1
    chosen = np.zeros(n, bool)
    chosen[np.random.default_rng(1).permutation(n)[: max(1, round(WORDS_SHARE * n))]] = True
    of_row: np.ndarray = chosen[clusters]
    return of_row


def _peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
