"""One group of rows in one split: what every classifier of every encoder predicts, target by target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from univar.answers.declined import is_declined
from univar.evaluate import classifiers, protocol
from univar.evaluate.against import Encoded
from univar.evaluate.centred import sparse_centring
from univar.evaluate.classifiers import linear_probe
from univar.evaluate.metrics import Prediction, predict
from univar.evaluate.protocol import EvalSettings
from univar.store import Store

WITHIN_QUESTION_SHUFFLES = 20
CHOOSING_ROWS = 2000
"""Train rows that k is chosen on at most."""

PROBE_SHUFFLE_ROWS = 2000
"""Train rows that the probe with shuffled labels sees at most."""


class Key(NamedTuple):
    """Which classifier. encoder: None for the one under evaluation, and for baselines; k: of "knn" only."""

    encoder: str | None
    classifier: str
    k: int | None = None


ScoresOf = Callable[[np.ndarray], np.ndarray]
"""Scores (m, L) of some of the predicted rows (m,); those of several answers add up."""


@dataclass
class Predictions:
    """Rows of one target, in one group or in all, and what each classifier made of them.

    questions:  (n,); clusters: (n,), what intervals are over
    truth:      (n,) int64 labels; names: of the L labels
    train_rows: (L,) rows they were learnt from; majority: (n,) bool, rows of the most frequent train label
    levels:     accuracies with shuffled labels, by kind
    chosen:     "k" and "c" of the encoder under evaluation, chosen inside train
    """

    questions: np.ndarray
    clusters: np.ndarray
    truth: np.ndarray
    names: list[str]
    train_rows: np.ndarray
    majority: np.ndarray
    chance: float
    by_key: dict[Key, Prediction] = field(default_factory=dict)
    levels: dict[str, np.ndarray] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)

    def headline_keys(self, settings: EvalSettings, encoder: str | None = None) -> dict[str, Key]:
        """ "knn" and "probe" to the classifiers of an encoder that one-line figures are about."""
        keys = {"knn": Key(encoder, "knn", settings.headline_k), "probe": Key(encoder, "probe")}
        return {name: key for name, key in keys.items() if key in self.by_key}

    def encoders(self) -> list[str]:
        """Names of the other encoders."""
        return list(dict.fromkeys(key.encoder for key in self.by_key if key.encoder is not None))


def together(parts: list[Predictions]) -> Predictions:
    """Several groups of a target as one; the labels of each are labels of their own."""
    sizes = np.array([len(part.questions) for part in parts])
    offsets = np.cumsum([0, *(len(part.names) for part in parts)])
    truth = np.concatenate([part.truth + at for part, at in zip(parts, offsets, strict=False)])
    keys = [key for key in parts[0].by_key if all(key in part.by_key for part in parts)]

    def joined(key: Key) -> Prediction:
        best = [part.by_key[key].best + at for part, at in zip(parts, offsets, strict=False)]
        rank = [part.by_key[key].rank for part in parts]
        beats = [part.by_key[key].beats for part in parts]
        return Prediction(
            truth, np.concatenate(best), np.concatenate(rank), int(offsets[-1]), np.concatenate(beats)
        )

    return Predictions(
        np.concatenate([part.questions for part in parts]),
        np.concatenate([part.clusters for part in parts]),
        truth,
        [name for part in parts for name in part.names],
        np.concatenate([part.train_rows for part in parts]),
        np.concatenate([part.majority for part in parts]),
        float(np.average([part.chance for part in parts], weights=sizes)),
        {key: joined(key) for key in keys},
        {
            name: np.average([part.levels[name] for part in parts], axis=0, weights=sizes)
            for name in parts[0].levels
        },
    )


class GroupPredictor:
    """Neighbours, probes and baselines of one group; they are made once and serve every target.

    surface: also the baselines that see no embedding, and the levels with shuffled labels
    """

    def __init__(
        self,
        split: protocol.Split,
        group: protocol.GroupRows,
        encoders: list[Encoded],
        settings: EvalSettings,
        surface: bool,
    ) -> None:
        self.split, self.group, self.settings, self.surface = split, group, settings, surface
        self.questions = np.array(split.stores[1].text("question_id", group.eval), dtype=object)
        self.clusters = protocol.clusters(split.stores[1], group.eval, settings.cluster)
        self._encoders = encoders
        self._near: dict[str, classifiers.Neighbours] = {}
        self._classifiers: dict[Key, classifiers.Classifier] = {}

    def labels(self, target: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Names (L) of a target's labels, (T,) labels of the train rows, (E,) of the eval rows or -1."""
        return protocol.shared_labels(self.split.stores, target, self.group)

    def predict(self, target: str) -> tuple[Predictions, dict[Key, ScoresOf]]:
        """Every classifier's predictions of the eval rows whose label some train row has, and label scores.

        There must be two labels and one such row: `why_skipped` says so before.
        """
        names, labels, truth = self.labels(target)
        known = np.flatnonzero(truth >= 0)
        if not self._near:
            self._prepare()
        train_rows = np.bincount(labels, minlength=len(names))
        majority = truth[known] == int(train_rows.argmax())
        found = Predictions(
            self.questions[known],
            self.clusters[known],
            truth[known],
            names,
            train_rows,
            majority,
            1 / len(names),
        )
        scores = self._add_neighbours(found, labels, known) | self._add_classifiers(found, labels, known)
        if self.surface and self.settings.permutations:
            self._add_levels(found, labels, known)
        return found, scores

    def why_skipped(self, names: list[str], truth: np.ndarray) -> str | None:
        """Why a target can't be predicted here, None where it can."""
        if len(names) >= 2 and (truth >= 0).any():
            return None
        if not len(self.group.train):
            return "no train rows in this group"
        if not len(self.group.eval):
            return "no eval rows are left in this group"
        return "only one label" if len(names) == 1 else "no eval row has a label that occurs in train"

    def _prepare(self) -> None:
        group, sides = self.group, self.split.sides
        paper = self.settings.protocol == "paper"
        asked = self._train_questions()
        for number, encoder in enumerate(self._encoders):
            self._near[encoder.name] = classifiers.nearest(encoder, sides, group, max(self.settings.k))
            if self.settings.baselines:
                train, eval = encoder.some(sides[0], group.train), encoder.matrix(sides[1], group.eval)
                probe = classifiers.paper_probe(train, eval) if paper else linear_probe(train, eval, asked)
                self._classifiers[_key(number, encoder, "probe")] = probe
        if self.surface and self.settings.baselines:
            self._add_surface()

    def _add_surface(self) -> None:
        """Classifiers that see the answer's words, its length, whether it declines, its language."""
        stores, rows = self.split.stores, (self.group.train, self.group.eval)
        answers = [store.text("answer", side) for store, side in zip(stores, rows, strict=True)]
        languages = self.labels("language")[1:]
        lengths = [np.array([len(answer) for answer in side]) for side in answers]
        categories = {
            "length": classifiers.length_bins(*lengths),
            "declined": tuple(map(_declined, stores, rows, answers)),
            "language": tuple(codes + 1 for codes in languages),
        }
        centring = [sparse_centring(*side, self.settings) for side in zip(stores, rows, strict=True)]
        self._classifiers[Key(None, "tfidf")] = classifiers.tfidf(answers[0], answers[1], centring)
        for name, (train, eval) in categories.items():
            self._classifiers[Key(None, name)] = classifiers.by_category(train, eval)

    def _add_neighbours(
        self, found: Predictions, labels: np.ndarray, known: np.ndarray
    ) -> dict[Key, ScoresOf]:
        n_labels, headline = len(found.names), self.settings.headline_k
        scores_of = {}
        for number, encoder in enumerate(self._encoders):
            near = self._near[encoder.name].of(known)
            for k in self.settings.k if not number else (headline,):
                key = _key(number, encoder, "knn", k)
                found.by_key[key] = near.of(slice(None), k).predict(labels, found.truth, n_labels)
            shares = _vote_shares(near.of(slice(None), headline), labels, n_labels)
            scores_of[_key(number, encoder, "knn")] = shares
        if self.surface and len(self.settings.k) > 1:
            k = self._chosen_k(labels, n_labels)
            found.chosen["k"] = k
            found.by_key[Key(None, "knn_chosen")] = found.by_key[Key(None, "knn", k)]
        return scores_of

    def _add_classifiers(
        self, found: Predictions, labels: np.ndarray, known: np.ndarray
    ) -> dict[Key, ScoresOf]:
        scores_of: dict[Key, ScoresOf] = {}
        for key, classifier in self._classifiers.items():
            scores = classifier.scores(labels, len(found.names), known, self.settings.seed)
            found.by_key[key] = predict(scores, found.truth)
            if key == Key(None, "probe") and classifier.chosen is not None:
                found.chosen["c"] = classifier.chosen
            if key.classifier in ("probe", "tfidf"):
                scores_of[key] = scores.__getitem__
        return scores_of

    def _add_levels(self, found: Predictions, labels: np.ndarray, known: np.ndarray) -> None:
        """Accuracy with the train labels shuffled: among all, and among the answers to each question."""
        settings, n_labels = self.settings, len(found.names)
        near = self._near[self._encoders[0].name].of(known, settings.headline_k)
        strata = self._train_questions()
        few = min(settings.permutations, WITHIN_QUESTION_SHUFFLES)
        for name, shuffles, within in (
            ("permutation", settings.permutations, None),
            ("within_question_knn", few, strata),
        ):
            found.levels[name] = near.shuffled_accuracy(
                labels, found.truth, n_labels, shuffles, settings.seed, within
            )
        if settings.baselines:
            levels = self._shuffled_probe(found, labels, known, strata, few)
            found.levels["within_question_probe"] = levels

    def _train_questions(self) -> np.ndarray:
        """(T,) int64 code of the question of each train row."""
        names = np.array(self.split.stores[0].text("question_id", self.group.train), dtype=object)
        return np.unique(names, return_inverse=True)[1]

    def _chosen_k(self, labels: np.ndarray, n_labels: int) -> int:
        """The number of neighbours that is right most often on train rows, without their own question."""
        rows = classifiers.sampled_rows(labels, CHOOSING_ROWS, self.settings.seed)
        near = classifiers.other_questions(
            self._encoders[0], self.split.sides[0], self.group.train, rows, self._train_questions(),
            max(self.settings.k),
        )  # fmt: skip
        right = {k: near.of(slice(None), k).predict(labels, labels[rows], n_labels).hits.mean()
                 for k in sorted(self.settings.k)}  # fmt: skip
        return max(right, key=lambda k: right[k])

    def _shuffled_probe(
        self, found: Predictions, labels: np.ndarray, known: np.ndarray, strata: np.ndarray, shuffles: int
    ) -> np.ndarray:
        """(shuffles,) accuracies of probes trained on labels that were shuffled within each question."""
        rng = np.random.default_rng(self.settings.seed)
        encoder, sides = self._encoders[0], self.split.sides
        eval = encoder.matrix(sides[1], self.group.eval[known])
        accuracy = np.empty(shuffles)
        for number in range(shuffles):
            shuffled = classifiers.shuffled_within(labels, strata, rng)
            rows = classifiers.sampled_rows(shuffled, PROBE_SHUFFLE_ROWS, self.settings.seed + number)
            train = encoder.matrix(sides[0], self.group.train[rows])
            probe = linear_probe(train, eval, c=found.chosen.get("c"))
            every = np.arange(len(known))
            scores = probe.scores(shuffled[rows], len(found.names), every, self.settings.seed)
            accuracy[number] = predict(scores, found.truth).hits.mean()
        return accuracy


def _key(number: int, encoder: Encoded, classifier: str, k: int | None = None) -> Key:
    """The first encoder is the one under evaluation."""
    return Key(encoder.name if number else None, classifier, k)


def _vote_shares(near: classifiers.Neighbours, labels: np.ndarray, n_labels: int) -> ScoresOf:
    return lambda rows: near.of(rows).vote_shares(labels, n_labels)


def _declined(store: Store, rows: np.ndarray, answers: list[str]) -> np.ndarray:
    """(n,) int64: 1 where an answer declines to answer."""
    codes, languages = store.codes("language")
    found = map(is_declined, answers, (languages[code] for code in codes[rows].tolist()))
    return np.fromiter(found, dtype=np.int64, count=len(rows))
