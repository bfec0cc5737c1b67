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
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import UsageError
from univar.heads.source import SourceHead, fit_source_head
from univar.search.panel import CENTRES, Groups, QuestionMeans
from univar.search.sources import Blocks, SourceModel
from univar.statistics.centring import Centred, centre

if TYPE_CHECKING:
    from univar.search.words import Words
    from univar.store import Store

WORDS_SHARE = 0.6
"""Share of the propositions that words are fitted on; heads are chosen and calibrated on the others, whose
answers the words have not seen either."""

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
    blocks, x = _side_by_side(store, block)
    columns = blocks.slices.get("words")
    moved = _centred(x, sources, groups, centre_by)
    on_note(moved.note())
    own = np.flatnonzero(moved.is_centred)
    fit_own = np.intersect1d(own, rows)
    centred = _head(moved.embeddings, sources, groups, fit_own, len(labels), columns, seen)
    alone = (
        centred is None
    )  # else the index searches centred rows, among which uncentred ones have no neighbours
    uncentred = _head(x, sources, groups, rows, len(labels), columns, seen, may_vote=alone)
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


def _side_by_side(store: Store, words: np.ndarray | None) -> tuple[Blocks, np.ndarray]:
    """(N, D) float32: the store's parts, each of length 1, then the words block."""
    blocks = Blocks.of(store.parts, 0 if words is None else words.shape[1])
    x = np.empty((len(store), blocks.dims), np.float32)
    for start, rows in store.embeddings.blocks():
        x[start : start + len(rows), : blocks.learnt] = blocks.unit(np.asarray(rows, np.float32))
    if words is not None:
        x[:, blocks.slices["words"]] = words
    return blocks, x


def _centred(x: np.ndarray, sources: np.ndarray, groups: Groups, centre_by: str) -> Centred:
    if centre_by == "none":
        return Centred(x, np.zeros(len(x), np.uint8))
    return centre(x, sources, groups.questions, groups.centred_clusters)


def _head(
    x: np.ndarray,
    sources: np.ndarray,
    groups: Groups,
    rows: np.ndarray,
    n: int,
    words: slice | None,
    seen: np.ndarray,
    *,
    may_vote: bool = True,
) -> SourceHead | None:
    if len(rows) < 2:
        return None
    unseen = None if words is None else ~seen[rows]
    own = x if len(rows) == len(x) else x[rows]
    y = sources[rows].astype(np.int64)
    return fit_source_head(own, y, groups.clusters[rows], n, words, unseen, may_vote)


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
