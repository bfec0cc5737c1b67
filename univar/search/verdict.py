"""Verdicts of an index with source heads: one for each answer, or one for each bag of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.heads import calibration
from univar.heads.bags import LEAST_FOR_UNKNOWN, over_propositions, summed
from univar.heads.forecast import Forecast
from univar.heads.source import LEVELS, SourceHead
from univar.search import reasons
from univar.search.sources import CENTRED, UNCENTRED, Queries, SourceModel
from univar.store import Store

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NO_ADVERSARY = "assumes that nobody tried to write like another source"
AUDIT = "the index holds this question: compared among the index's answers to it"
AUDIT_BAG = "the index holds these questions: compared among the index's answers to them"
OUTSIDE_BAG = "the index lacks these questions: left to the head for uncentred rows"
OUTSIDE = "the index lacks this question: left to the head for uncentred rows"
UNKNOWN_BAGS = 999
"""Calibration bags behind a p-value of 'none of these'."""


@dataclass(frozen=True)
class Asked:
    """Answers of unknown origin.

    embeddings: (n, D) of the store's encoder; the others: n texts each, "" where unknown; clusters: the
    proposition of each answer
    """

    embeddings: np.ndarray
    answers: list[str]
    questions: list[str]
    question_ids: list[str]
    languages: list[str]
    clusters: list[str]

    @classmethod
    def join(cls, parts: Sequence[Asked]) -> Asked:
        """All answers of several batches."""
        names = ("answers", "questions", "question_ids", "languages", "clusters")
        columns = [[text for part in parts for text in getattr(part, name)] for name in names]
        return cls(np.concatenate([part.embeddings for part in parts]), *columns)


class Judge:
    """Judges answers by the heads of an index.

    top: sources, models and languages in a verdict; evidence: nearest rows in it; nearest: finds rows in the
    store's own vectors, (n, D) and k to scores and rows, for answers whose question the index lacks
    """

    def __init__(self, model: SourceModel, store: Store, top: int, evidence: int, nearest: Any) -> None:
        self._model, self._store, self._top, self._evidence = model, store, top, evidence
        self._nearest = nearest
        self._forecasts = {
            route: Forecast(head.held_out, head.temperature, head.factors)
            for route, head in model.heads.items()
        }
        self._levels = {
            level: np.unique([label[level] for label in model.labels], return_inverse=True)
            for level in ("model", "language")
        }

    def rows(self, asked: Asked) -> list[dict[str, Any]]:
        """A verdict for each answer, without its row number."""
        queries, log_p, weighed = self._log_p(asked)
        near = self._near(asked, queries)
        out = []
        for n in range(len(queries)):
            head = self._head(bool(queries.is_centred[n]))
            scores = calibration.set_scores(log_p[n : n + 1])[0]
            sets = {
                level: self._members(scores, threshold)
                for level, threshold in head.thresholds.items()
                if np.isfinite(threshold)
            }
            one = Asked(asked.embeddings[n : n + 1], *([getattr(asked, name)[n]] for name in _TEXTS))
            alone = Queries(*(array[n : n + 1] for array in (queries.x, queries.group, queries.is_centred)))
            terms = None if weighed is None else weighed[n : n + 1]
            facts = self._facts(one, alone, log_p[n], log_p[n : n + 1], 1, 1.0)
            out.append(
                {
                    **facts,
                    "sets": sets,
                    "none_of_these": None,
                    **self._tail(one, alone, log_p[n], near[n], terms),
                }
            )
        return out

    def bag(self, asked: Asked) -> dict[str, Any]:
        """One verdict for answers that are known to come from one source."""
        queries, log_p, weighed = self._log_p(asked)
        _, clusters = np.unique(asked.clusters, return_inverse=True)
        size = int(clusters.max()) + 1
        head = self._head(bool(2 * queries.is_centred.sum() > len(queries)))
        evidence = summed(log_p, clusters)
        verdict = calibration.log_softmax(evidence[None] * head.factors.factor(size))[0]
        near = self._near(asked, queries)
        best = sorted((one for found in near for one in found), key=lambda one: -one["score"])
        facts = self._facts(asked, queries, verdict, log_p, size, head.factors.effective(size), evidence)
        unknown = self._none_of_these(head, asked, queries, clusters)
        tail = self._tail(asked, queries, verdict, best[: self._evidence], weighed)
        return {**facts, "sets": self._bag_sets(head, verdict, size), "none_of_these": unknown, **tail}

    def _log_p(self, asked: Asked) -> tuple[Queries, np.ndarray, csr_matrix | None]:
        """The answers as the heads take them, their log-probabilities, their terms (None without words)."""
        words = self._model.words
        weighed = None if words is None else words.weigh(asked.answers)
        queries = self._model.queries(
            asked.embeddings, asked.answers, asked.questions, asked.question_ids, asked.languages, weighed
        )
        return queries, self._model.log_p(queries), weighed

    def _route(self, centred: bool) -> str:
        return CENTRED if centred and CENTRED in self._model.heads else UNCENTRED

    def _head(self, centred: bool) -> SourceHead:
        return self._model.heads[self._route(centred)]

    def _facts(
        self,
        asked: Asked,
        queries: Queries,
        verdict: np.ndarray,
        log_p: np.ndarray,
        size: int,
        effective: float,
        evidence: np.ndarray | None = None,
    ) -> dict[str, Any]:
        p = np.exp(verdict)
        centred = bool(2 * queries.is_centred.sum() > len(queries))
        forecast = self._forecasts[self._route(centred)]
        needed = forecast.more_answers(verdict if evidence is None else evidence, size)
        order = np.argsort(-p, kind="stable")[: self._top]
        return {
            "n": len(queries),
            "propositions": size,
            "effective_n": round(effective, 2),
            "sources": [{**self._model.labels[c], "probability": round(float(p[c]), 6)} for c in order],
            "models": self._summed("model", p),
            "languages": self._summed("language", p),
            "more_answers_for_99": needed,
        }

    def _summed(self, level: str, p: np.ndarray) -> list[dict[str, Any]]:
        names, place = self._levels[level]
        total = np.bincount(place, p, minlength=len(names))
        order = np.argsort(-total, kind="stable")[: self._top]
        return [{"label": str(names[c]), "probability": round(float(total[c]), 6)} for c in order]

    def _tail(
        self,
        asked: Asked,
        queries: Queries,
        verdict: np.ndarray,
        near: list[dict[str, Any]],
        weighed: csr_matrix | None,
    ) -> dict[str, Any]:
        """Evidence, reasons and warnings of a verdict."""
        best = int(np.argmax(verdict))
        centred = bool(2 * queries.is_centred.sum() > len(queries))
        route = self._route(centred)
        found = {
            "parts": reasons.of_bag(self._model, queries, best),
            "phrases": reasons.phrases(self._model, route, asked.answers, verdict, best, weighed=weighed),
        }
        audit = int(queries.is_centred.sum())
        if len(queries) > 1:
            log_p = self._model.log_p(queries)
            order = np.argsort(-reasons.speaking(log_p, best), kind="stable")[: self._top]
            found["questions"] = list(dict.fromkeys(asked.questions[n] for n in order))
        told = reasons.warnings(self._model, asked.answers, asked.languages, np.exp(verdict), best)
        if 0 < audit < len(queries):
            said = f"the index holds the questions of {audit} of {len(queries)} answers"
        elif len(queries) > 1:
            said = AUDIT_BAG if audit else OUTSIDE_BAG
        else:
            said = AUDIT if audit else OUTSIDE
        return {
            "evidence": near,
            "reasons": found,
            "warnings": told,
            "notes": [said, f"head: {self._model.heads[route].kind}", NO_ADVERSARY],
        }

    def _members(self, scores: np.ndarray, threshold: float) -> list[dict[str, str]]:
        inside = np.flatnonzero(scores <= threshold)
        return [self._model.labels[c] for c in inside[np.argsort(scores[inside], kind="stable")]]

    def _bag_sets(self, head: SourceHead, verdict: np.ndarray, size: int) -> dict[str, Any]:
        """Prediction sets of a bag, where the calibration answers hold 20 separate ones of its size."""
        if size == 0 or head.propositions // size < calibration.MIN_QUESTIONS:
            return {}
        bags, y = head.held_out.draw(size, UNKNOWN_BAGS, seed=1)
        if not bags:
            return {}
        log_p = head.log_p(head.held_out.log_odds)
        sums = np.stack([summed(log_p[rows], np.arange(len(rows))) for rows in bags])
        odds = calibration.log_softmax(sums * head.factors.factor(size))
        true = np.sort(calibration.set_scores(odds)[np.arange(len(y)), y])
        scores = calibration.set_scores(verdict[None])[0]
        place = {f"{level:g}": int(np.ceil((len(true) + 1) * level)) - 1 for level in LEVELS}
        return {
            level: self._members(scores, float(true[at])) for level, at in place.items() if at < len(true)
        }

    def _none_of_these(
        self, head: SourceHead, asked: Asked, queries: Queries, clusters: np.ndarray
    ) -> dict[str, float] | None:
        """p of a bag being like bags of known sources; None below LEAST_FOR_UNKNOWN propositions."""
        route = CENTRED if head is self._model.heads.get(CENTRED) else UNCENTRED
        own = np.flatnonzero(queries.is_centred == (route == CENTRED))
        if not len(own):
            return None
        size = len(np.unique(clusters[own]))
        if size < LEAST_FOR_UNKNOWN:
            return None
        known, _ = head.held_out.draw(size, UNKNOWN_BAGS, seed=2)
        if not known:
            return None
        odds = queries.x[own] @ head.distance.weights + head.distance.bias
        mean = over_propositions(head.geometry.products(odds), clusters[own]).mean(axis=0, keepdims=True)
        calibrated = np.stack([head.strange[rows].mean(axis=0) for rows in known]).astype(np.float64)
        strange = head.geometry.strangeness(mean)[0]
        p = calibration.conformal_p(strange, head.geometry.strangeness(calibrated))
        return {"p": round(float(p), 4)}

    def _near(self, asked: Asked, queries: Queries) -> list[list[dict[str, Any]]]:
        """The nearest rows of each answer: among joined rows where its way has them, else the store's own."""
        if not self._evidence:
            return [[] for _ in range(len(queries))]
        scores = np.full((len(queries), self._evidence), -np.inf, np.float32)
        rows = np.full((len(queries), self._evidence), -1, np.int64)
        joined = queries.is_centred == (self._model.searched_route == CENTRED)
        for own, find in ((joined, None), (~joined, self._nearest)):
            at = np.flatnonzero(own)
            if not len(at):
                continue
            if find is None:
                some = Queries(queries.x[at], queries.group[at], queries.is_centred[at])
                scores[at], rows[at] = self._model.search(some, self._evidence)
            else:
                scores[at], rows[at] = find(asked.embeddings[at], self._evidence)
        return self._described(scores, rows)

    def _described(self, scores: np.ndarray, rows: np.ndarray) -> list[list[dict[str, Any]]]:
        from univar.search.attribute import evidence_of

        return evidence_of(self._store, scores, rows)


_TEXTS = ("answers", "questions", "question_ids", "languages", "clusters")
