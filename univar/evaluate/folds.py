"""One store in folds that share no question: each is attributed by the others, and all count together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from univar.errors import DataError
from univar.evaluate import protocol
from univar.evaluate.against import Encoded
from univar.evaluate.metrics import Prediction
from univar.evaluate.predictions import GroupPredictor, Key, Predictions, ScoresOf
from univar.evaluate.protocol import SIDES, EvalSettings, GroupRows, Split

if TYPE_CHECKING:
    from univar.store import Store


def folds(store: Store, settings: EvalSettings) -> Split:
    """K groups of rows for each value of `within`, one a fold: train is the others, eval the fold.

    Rows that share a question's id, its text or its cluster are in one fold. Raises DataError for fewer
    questions than folds.
    """
    component = _components(store, settings)
    n = int(component.max(initial=-1)) + 1
    if n < settings.folds:
        raise DataError(f"{store.path} has {n} questions, which cannot be parted into {settings.folds} folds")
    order = np.random.default_rng(settings.seed).permutation(n)
    fold = (order % settings.folds)[component]
    codes, names = store.codes(settings.within) if settings.within else (np.zeros(len(store), int), [""])
    groups = []
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        for number in range(settings.folds):
            test = fold[rows] == number
            groups.append(GroupRows(name if settings.within else None, rows[~test], rows[test]))
    return Split("unseen_question", (store, store), SIDES, groups)


def _components(store: Store, settings: EvalSettings) -> np.ndarray:
    """(N,) rows joined by a question's id, its text or its cluster have one number."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(store))
    texts = np.array([protocol.question_key(text) for text in store.column("question")], dtype=object)
    ids = np.array([id or f"\0{row}" for row, id in enumerate(store.column("question_id"))], dtype=object)
    columns = [ids, texts]
    if settings.cluster is not None:
        columns.append(protocol.clusters(store, rows, settings.cluster))
    edges, offset = [], len(rows)
    for column in columns:
        codes = np.unique(column, return_inverse=True)[1]
        edges.append(codes + offset)
        offset += int(codes.max(initial=-1)) + 1
    pairs = np.tile(rows, len(columns)), np.concatenate(edges)
    graph = csr_matrix((np.ones(len(pairs[0]), bool), pairs), shape=(offset, offset))
    component: np.ndarray = connected_components(graph, directed=False)[1][: len(rows)]
    return np.unique(component, return_inverse=True)[1]


class FoldPredictor:
    """The predictors of a group's folds as one, with labels that all folds share."""

    def __init__(
        self,
        split: Split,
        groups: list[GroupRows],
        encoders: list[Encoded],
        settings: EvalSettings,
        surface: bool,
    ) -> None:
        self._parts = [GroupPredictor(split, group, encoders, settings, surface) for group in groups]
        everything = np.concatenate([group.eval for group in groups])
        self.group = GroupRows(groups[0].name, everything, everything)
        self.questions = np.concatenate([part.questions for part in self._parts])

    def labels(self, target: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Names of all labels, (0,), and (E,) labels of the rows; -1 where its fold can't know the label."""
        names = sorted({name for part in self._parts for name in part.labels(target)[0]})
        place = {name: number for number, name in enumerate(names)}
        found = []
        for part in self._parts:
            own, _, truth = part.labels(target)
            if part.why_skipped(own, truth) is not None:
                truth = np.full(len(truth), -1)
            found.append(np.array([*(place[name] for name in own), -1])[truth])
        return names, np.empty(0, np.int64), np.concatenate(found)

    def why_skipped(self, names: list[str], truth: np.ndarray) -> str | None:
        """Why a target can't be predicted here, None where it can."""
        if len(names) >= 2 and (truth >= 0).any():
            return None
        return "only one label" if len(names) == 1 else "no fold has a row with a label of the others"

    def predict(self, target: str) -> tuple[Predictions, dict[Key, ScoresOf]]:
        """As `GroupPredictor.predict`, over the rows of all folds."""
        names = self.labels(target)[0]
        place = {name: number for number, name in enumerate(names)}
        found, scores, places = [], [], []
        for part in self._parts:
            own, _, truth = part.labels(target)
            if part.why_skipped(own, truth) is None:
                predictions, scores_of = part.predict(target)
                found.append(predictions)
                scores.append(scores_of)
                places.append(np.array([place[name] for name in own]))
        whole = _stacked(found, places, names)
        starts = np.cumsum([0, *(len(part.truth) for part in found)])
        keys = [key for key in scores[0] if all(key in part for part in scores)]
        joined = {key: _scores([part[key] for part in scores], places, starts, len(names)) for key in keys}
        return whole, joined


def _stacked(parts: list[Predictions], places: list[np.ndarray], names: list[str]) -> Predictions:
    """Folds of a target as one. places: number among `names` of each label of each fold."""
    sizes = [len(part.truth) for part in parts]
    both = list(zip(parts, places, strict=True))
    truth = np.concatenate([place[part.truth] for part, place in both])

    def joined(key: Key) -> Prediction:
        own = [part.by_key[key] for part in parts]
        best = np.concatenate([place[it.best] for it, place in zip(own, places, strict=True)])
        rank, beats = np.concatenate([it.rank for it in own]), np.concatenate([it.beats for it in own])
        return Prediction(truth, best, rank, len(names), beats)

    train_rows = np.zeros(len(names))
    for part, place in both:
        train_rows[place] += part.train_rows / len(parts)
    return Predictions(
        np.concatenate([part.questions for part in parts]),
        np.concatenate([part.clusters for part in parts]),
        truth,
        names,
        train_rows.round().astype(np.int64),
        np.concatenate([part.majority for part in parts]),
        float(np.average([part.chance for part in parts], weights=sizes)),
        {key: joined(key) for key in parts[0].by_key if all(key in part.by_key for part in parts)},
        {
            name: np.average([part.levels[name] for part in parts], axis=0, weights=sizes)
            for name in parts[0].levels
        },
    )


def _scores(parts: list[ScoresOf], places: list[np.ndarray], starts: np.ndarray, n_labels: int) -> ScoresOf:
    """Scores among all labels; one that a fold lacks has the row's least score."""

    def of(rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), n_labels))
        fold = np.searchsorted(starts, rows, side="right") - 1
        for number in np.unique(fold).tolist():
            here = np.flatnonzero(fold == number)
            own = parts[number](rows[here] - starts[number])
            out[here] = own.min(axis=1, keepdims=True)
            out[np.ix_(here, places[number])] = own
        return out

    return of
