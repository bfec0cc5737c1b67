"""Coordinates of what answers say beyond other sources' answers to the same question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.map.projection import project
from univar.statistics.centring import centre

if TYPE_CHECKING:
    from univar.store import Store


@dataclass(frozen=True)
class Residuals:
    """Coordinates of a store's rows.

    coordinates: (N, 2) float64; shares: (2,) share of the centred rows' variance on each axis
    is_centred:  (N,) bool; note: how the rows were centred, in one sentence
    """

    coordinates: np.ndarray
    shares: np.ndarray
    is_centred: np.ndarray
    note: str


def project_residuals(store: Store, part: str | None = None, *, within_language: bool = True) -> Residuals:
    """Principal components of the residuals of a store.

    part:            part of the vectors; None: whole vectors
    within_language: centre by question and language; False, where languages are compared: by question alone
    The axes are those of the rows that could be centred. Other rows are
    centred by their own mean. Where no row can be centred the embeddings are
    projected as they are. Raises DataError where the store is empty.
    """
    rows = store.embeddings if part is None else store.embeddings_of_part(part)
    embeddings = np.asarray(rows[:])
    sources, _ = store.codes("source")
    questions, names = store.codes("question_id")
    known = np.array([bool(name) for name in names] or [False])[questions]
    if within_language:
        languages, every = store.codes("language")
        questions = questions.astype(np.int64) * len(every) + languages
    centred = centre(embeddings, sources, np.where(known, questions, -1))
    done = centred.is_centred
    if not done.any():
        coordinates, shares = project(embeddings)
        return Residuals(coordinates, shares, done, "no row could be centred, embeddings as they are")
    apart = centred.embeddings
    if not done.all():
        apart[~done] -= apart[~done].mean(axis=0)
    coordinates, shares = project(apart, fit=done)
    what = "question and language" if within_language else "question"
    note = f"residuals by {what}, {int((~done).sum()):,} rows not centred (hollow)"
    return Residuals(coordinates, shares, done, note)
