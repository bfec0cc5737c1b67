"""Who wrote an answer to a new question: `univar-2` with heads beside TF-IDF, on the same rows of one corpus.

Everything is fitted on the train side, and all of its settings are chosen there by questions left out
(`univar.search.fit_sources`). Rows of the eval side are centred by what other sources of that side answered
to the same question in the same language, else to the same proposition; TF-IDF alike. A row that has no such
panel goes to the uncentred head, and of the two TF-IDFs to the one that is not centred.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.truth_corpora import Corpus
from univar.evaluate import protocol
from univar.evaluate.centred import sparse_centring
from univar.evaluate.classifiers import tfidf
from univar.evaluate.protocol import EvalSettings
from univar.heads import calibration
from univar.search.fit_sources import fit_sources
from univar.search.panel import Groups
from univar.search.sources import UNCENTRED, Queries, SourceModel
from univar.statistics import intervals
from univar.statistics.centring import Centred, centre
from univar.store import Store

CENTRE = "language-question"
UNIVAR, UNIVAR_ALONE, TFIDF, TFIDF_CENTRED = "univar-2 centred", "univar-2", "TF-IDF", "TF-IDF centred"


@dataclass(frozen=True)
class EvalRows:
    """The eval side as the heads take it.

    x: (N, D) float32, parts and words of length 1; moved: the same centred; y: (N,) sources of train, -1 for
    one that train lacks; clusters: (N,) what intervals are over; scored: (N,) bool, rows of known sources to
    questions that train lacks
    """

    x: np.ndarray
    moved: Centred
    y: np.ndarray
    clusters: np.ndarray
    scored: np.ndarray

    @classmethod
    def of(cls, model: SourceModel, train: Store, store: Store, cluster: str | None) -> EvalRows:
        x = np.zeros((len(store), model.blocks.dims), np.float32)
        x[:, : model.blocks.learnt] = model.blocks.unit(np.asarray(store.embeddings))
        if model.words is not None:
            x[:, model.blocks.learnt :] = model.words.encode([str(text) for text in store.column("answer")])
        groups = Groups.of(store, CENTRE, cluster)
        moved = centre(x, store.codes("source")[0], groups.questions, groups.centred_clusters)
        y = sources_of(model, store)
        return cls(x, moved, y, groups.clusters, (y >= 0) & ~protocol.overlapping(train, store))


def sources_of(model: SourceModel, store: Store) -> np.ndarray:
    """(N,) number among the model's sources of each row's; -1 for another one."""
    names = {(label["model"], label["language"]): number for number, label in enumerate(model.labels)}
    pairs = zip(store.column("model"), store.column("language"), strict=True)
    return np.array([names.get(pair, -1) for pair in pairs])


def fitted(one: Corpus, train: Store) -> SourceModel:
    """Words and heads of the train side, as `univar index` fits them."""
    model = fit_sources(train, centre_by=CENTRE, cluster=one.cluster)
    if model is None:
        raise SystemExit(f"{one.name}: its train side has too few sources or questions for a head")
    return model


def attribution(one: Corpus, train: Store, store: Store, model: SourceModel) -> dict[str, Any]:
    """All that the table says of one corpus. model: what was fitted on `train`."""
    started = time.perf_counter()
    rows = EvalRows.of(model, train, store, one.cluster)
    at = np.flatnonzero(rows.scored)
    guesses, losses = univar_guesses(model, rows, at)
    plain, moved = tfidf_guesses(one, train, store, model, at)
    centred = rows.moved.is_centred[at]
    guesses |= {TFIDF: plain, TFIDF_CENTRED: np.where(centred, moved, plain)}
    hits = {name: (guess == rows.y[at]).astype(float) for name, guess in guesses.items()}
    clusters = rows.clusters[at]
    pairs = ((UNIVAR, TFIDF), (UNIVAR, TFIDF_CENTRED), (UNIVAR_ALONE, TFIDF), (UNIVAR, UNIVAR_ALONE))
    return {
        "encoder": train.encoder["id"],
        "fingerprints": [train.fingerprint, store.fingerprint],
        "sources": len(model.labels),
        "train_rows": len(train),
        "rows": len(at),
        "rows_left_out": {
            "question in train": int((rows.y >= 0).sum()) - len(at),
            "source not in train": int((rows.y < 0).sum()),
        },
        "clusters": len(np.unique(clusters)),
        "cluster": one.cluster or "question_id",
        "questions_drawn": one.questions or "all",
        "panel": f"other sources of the eval side, {CENTRE}",
        "centred": {
            "by question": int((rows.moved.level[at] == 1).sum()),
            "by proposition": int((rows.moved.level[at] == 2).sum()),
            "share": round(float(centred.mean()), 4),
        },
        "fit": model.facts,
        "heads": {
            route: {
                "kind": head.kind,
                "words_weight": head.words_weight,
                "tried": head.tried,
                "terms_weight": head.terms_weight,
            }
            for route, head in model.heads.items()
        },
        "accuracy": {name: facts(intervals.mean(hit, clusters)) for name, hit in hits.items()},
        "nll": {name: facts(intervals.mean(loss, clusters)) for name, loss in losses.items()},
        "difference": {
            f"{ours} - {theirs}": facts(intervals.mean(hits[ours] - hits[theirs], clusters))
            for ours, theirs in pairs
        },
        "seconds": round(time.perf_counter() - started, 1),
    }


def univar_guesses(
    model: SourceModel, rows: EvalRows, at: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(n,) source of each of the rows `at`, and (n,) its loss, with centred rows and as they are."""
    group = np.zeros(len(at), np.int64)
    asked = {
        UNIVAR: Queries(rows.moved.embeddings[at], group, rows.moved.is_centred[at]),
        UNIVAR_ALONE: Queries(rows.x[at], group, np.zeros(len(at), bool)),
    }
    if model.searched_route == UNCENTRED:  # train has no panel: there is one head
        asked[UNIVAR] = asked[UNIVAR_ALONE]
    log_p = {name: model.log_p(queries) for name, queries in asked.items()}
    guesses = {name: found.argmax(axis=1) for name, found in log_p.items()}
    return guesses, {name: calibration.nll(found, rows.y[at]) for name, found in log_p.items()}


def tfidf_guesses(
    one: Corpus, train: Store, store: Store, model: SourceModel, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) sources that TF-IDF and a linear classifier name, not centred and centred, for the rows `at`."""
    settings = EvalSettings(centre=CENTRE, cluster=one.cluster)
    answers = [[str(text) for text in side.column("answer")] for side in (train, store)]
    centring = [sparse_centring(side, np.arange(len(side)), settings) for side in (train, store)]
    y = model.codes.astype(np.int64)
    found = []
    for how in ((None, None), tuple(centring)):
        scores = tfidf(answers[0], answers[1], how).scores(y, len(model.labels), at, seed=0)
        found.append(scores.argmax(axis=1))
    return found[0], found[1]


def facts(interval: intervals.Interval) -> dict[str, Any]:
    """An interval for a result file."""
    out = {"value": interval.estimate, "low": interval.low, "high": interval.high}
    return {name: None if it is None else round(float(it), 4) for name, it in out.items()}
