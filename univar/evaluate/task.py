"""One group of rows under one setting: all classifiers of all encoders, for one target after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from univar.answers.declined import is_declined
from univar.evaluate import bags, metrics, neighbours, split, strengths
from univar.evaluate.baseline import tfidf
from univar.evaluate.encoded import Encoded
from univar.evaluate.settings import Settings
from univar.store import Store

WITHIN_QUESTION_SHUFFLES = 20
PROBE_SHUFFLE_ROWS = 5000
"""Train rows that the probe with shuffled labels sees at most."""

Key = tuple[str | None, str]
"""Encoder (None for the one under evaluation, and for baselines) and classifier: "knn@50", "probe"..."""


@dataclass
class Judged:
    """Rows of one target, in one group or in all, and what each classifier made of them.

    truth:   (n,) int64 labels; names: of the L labels; train_rows: (L,) rows they were learnt from
    verdict: key to (best label (n,), rank of the true one (n,))
    """

    questions: np.ndarray
    truth: np.ndarray
    names: list[str]
    train_rows: np.ndarray
    verdict: dict[Key, tuple[np.ndarray, np.ndarray]]
    majority: np.ndarray
    chance: float
    levels: dict[str, np.ndarray] = field(default_factory=dict)  # accuracies with shuffled labels, by kind

    @property
    def n_labels(self) -> int:
        return len(self.names)

    def hits(self, key: Key) -> np.ndarray:
        """(n,) bool, whether the first label is right."""
        return self.verdict[key][1] == 0


def together(parts: list[Judged]) -> Judged:
    """Several groups of a target as one; the labels of each are labels of their own."""
    sizes = np.array([len(part.questions) for part in parts])
    offsets = np.cumsum([0, *(part.n_labels for part in parts)])
    keys = [key for key in parts[0].verdict if all(key in part.verdict for part in parts)]
    return Judged(
        np.concatenate([part.questions for part in parts]),
        np.concatenate([part.truth + at for part, at in zip(parts, offsets, strict=False)]),
        [name for part in parts for name in part.names],
        np.concatenate([part.train_rows for part in parts]),
        {
            key: (
                np.concatenate([part.verdict[key][0] + at for part, at in zip(parts, offsets, strict=False)]),
                np.concatenate([part.verdict[key][1] for part in parts]),
            )
            for key in keys
        },
        np.concatenate([part.majority for part in parts]),
        float(np.average([part.chance for part in parts], weights=sizes)),
        {
            name: np.average([part.levels[name] for part in parts], axis=0, weights=sizes)
            for name in parts[0].levels
        },
    )


class GroupTask:
    """Neighbours, probes and baselines of one group; they are made once and serve every target.

    surface: also the baselines that see no embedding, and the levels with shuffled labels
    """

    def __init__(
        self,
        setting: split.Setting,
        group: split.Group,
        encoders: list[Encoded],
        settings: Settings,
        surface: bool,
    ) -> None:
        self.setting, self.group, self.settings, self.surface = setting, group, settings, surface
        self.questions = np.array(setting.stores[1].text("question_id", group.eval), dtype=object)
        self._encoders = encoders
        self._near: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._classifiers: dict[Key, strengths.Classifier] = {}

    def judge(self, target: str) -> tuple[dict[str, Any], Judged | None]:
        """What is found for one target: counts and figures that no other group shares, and the verdicts."""
        names, labels, truth = split.shared_labels(self.setting.stores, target, self.group)
        closed = np.flatnonzero(truth >= 0)
        facts: dict[str, Any] = {
            "labels": len(names),
            "rows": len(closed),
            "questions": len(set(self.questions[closed])),
            "unseen_label_rows": len(truth) - len(closed),
        }
        if len(names) < 2 or not len(closed):
            facts["skipped"] = _why_skipped(self.group, names)
            return facts, None
        if not self._near:
            self._prepare()
        train_rows = np.bincount(labels, minlength=len(names))
        majority = truth[closed] == int(train_rows.argmax())
        judged = Judged(
            self.questions[closed], truth[closed], names, train_rows, {}, majority, 1 / len(names)
        )
        adding = self._verdicts(judged, labels, closed)
        if self.settings.bags:
            facts["bags"] = self._bags(judged, labels, closed, adding)
        if self.surface and self.settings.permutations:
            self._shuffle(judged, labels, closed)
        return facts, judged

    def _prepare(self) -> None:
        group, sides = self.group, self.setting.sides
        probe = strengths.paper_probe if self.settings.protocol == "paper" else strengths.linear_probe
        for number, encoder in enumerate(self._encoders):
            self._near[encoder.name] = neighbours.nearest(encoder, sides, group, max(self.settings.k))
            key = encoder.name if number else None
            if self.settings.baselines:
                train, eval = encoder.some(sides[0], group.train), encoder.matrix(sides[1], group.eval)
                self._classifiers[key, "probe"] = probe(train, eval)
        if self.surface and self.settings.baselines:
            self._add_surface()

    def _add_surface(self) -> None:
        """Classifiers that see the answer's words, its length, whether it refuses, its language."""
        stores, rows = self.setting.stores, (self.group.train, self.group.eval)
        answers = [store.text("answer", side) for store, side in zip(stores, rows, strict=True)]
        languages = split.shared_labels(self.setting.stores, "language", self.group)[1:]
        lengths = [np.array([len(answer) for answer in side]) for side in answers]
        categories = {
            "length": strengths.length_bins(*lengths),
            "refusal": tuple(map(_refusals, stores, rows, answers)),
            "language": tuple(codes + 1 for codes in languages),
        }
        self._classifiers[None, "tfidf"] = tfidf(*answers)
        for name, (train, eval) in categories.items():
            self._classifiers[None, name] = strengths.by_category(train, eval)

    def _verdicts(
        self, judged: Judged, labels: np.ndarray, closed: np.ndarray
    ) -> dict[Key, Callable[[np.ndarray], np.ndarray]]:
        """Fill the verdicts; returns for each classifier the strengths (m, L) of some of the closed rows."""
        n_labels, headline = judged.n_labels, self.settings.headline_k
        adding: dict[Key, Callable[[np.ndarray], np.ndarray]] = {}
        for number, encoder in enumerate(self._encoders):
            key = encoder.name if number else None
            scores, indices = (side[closed] for side in self._near[encoder.name])
            for k in self.settings.k if not number else (headline,):
                judged.verdict[key, f"knn@{k}"] = neighbours.judge_votes(
                    scores[:, :k], indices[:, :k], labels, judged.truth, n_labels
                )
            adding[key, "knn"] = _votes_of(scores[:, :headline], indices[:, :headline], labels, n_labels)
        for name, classifier in self._classifiers.items():
            strength = classifier.strength(labels, n_labels, closed, self.settings.seed)
            judged.verdict[name] = metrics.judge(strength, judged.truth, np.ones(strength.shape, dtype=bool))
            if name[1] in ("probe", "tfidf"):
                adding[name] = strength.__getitem__
        return adding

    def _bags(
        self,
        judged: Judged,
        labels: np.ndarray,
        closed: np.ndarray,
        adding: dict[Key, Callable[[np.ndarray], np.ndarray]],
    ) -> dict[str, Any]:
        seed = self.settings.seed
        rows = np.sort(np.random.default_rng(seed).permutation(len(closed))[: bags.ROWS])
        report = bags.bag_accuracy(
            {key: strength(rows) for key, strength in adding.items()},
            judged.truth[rows],
            judged.questions[rows],
            self.settings.bags,
            min(bags.DRAWS, self.settings.bootstrap),
            seed,
        )
        return {size: nested(figures) for size, figures in report.items()}

    def _shuffle(self, judged: Judged, labels: np.ndarray, closed: np.ndarray) -> None:
        """Accuracy with the train labels shuffled: among all, and among the answers to each question."""
        settings, group = self.settings, self.group
        name = self._encoders[0].name
        scores, indices = (side[closed, : settings.headline_k] for side in self._near[name])

        def accuracy(permutations: int, strata: np.ndarray | None) -> np.ndarray:
            return neighbours.permuted_accuracy(
                scores, indices, labels, judged.truth, judged.n_labels, permutations, settings.seed, strata
            )

        judged.levels["permutation"] = accuracy(settings.permutations, None)
        questions = np.array(self.setting.stores[0].text("question_id", group.train), dtype=object)
        strata = np.unique(questions, return_inverse=True)[1]
        shuffles = min(settings.permutations, WITHIN_QUESTION_SHUFFLES)
        judged.levels["within_question_knn"] = accuracy(shuffles, strata)
        if self.settings.baselines:
            judged.levels["within_question_probe"] = self._shuffled_probe(judged, labels, closed, strata)

    def _shuffled_probe(
        self, judged: Judged, labels: np.ndarray, closed: np.ndarray, strata: np.ndarray
    ) -> np.ndarray:
        """(1,) accuracy of a probe trained on labels that were shuffled within each question."""
        rng = np.random.default_rng(self.settings.seed)
        shuffled = neighbours.shuffled_within(labels, strata, rng)
        rows = strengths.sampled_rows(shuffled, PROBE_SHUFFLE_ROWS, self.settings.seed)
        encoder, sides = self._encoders[0], self.setting.sides
        probe = strengths.linear_probe(
            encoder.matrix(sides[0], self.group.train[rows]), encoder.matrix(sides[1], self.group.eval)
        )
        strength = probe.strength(shuffled[rows], judged.n_labels, closed, self.settings.seed)
        return np.array([(strength.argmax(axis=1) == judged.truth).mean()])


def nested(figures: dict[Any, Any]) -> dict[str, Any]:
    """{(None, "knn"): x, ("minilm", "knn"): y} as {"knn": x, "against": {"minilm": {"knn": y}}}."""
    report: dict[str, Any] = {}
    for key, value in figures.items():
        encoder, classifier = key if isinstance(key, tuple) else (None, key)
        place = report if encoder is None else report.setdefault("against", {}).setdefault(encoder, {})
        place[classifier] = value
    return report


def _votes_of(
    scores: np.ndarray, indices: np.ndarray, labels: np.ndarray, n_labels: int
) -> Callable[[np.ndarray], np.ndarray]:
    return lambda rows: neighbours.vote_strength(scores[rows], indices[rows], labels, n_labels)


def _refusals(store: Store, rows: np.ndarray, answers: list[str]) -> np.ndarray:
    """(n,) int64: 1 where an answer declines to answer."""
    codes, languages = store.codes("language")
    found = map(is_declined, answers, (languages[code] for code in codes[rows].tolist()))
    return np.fromiter(found, dtype=np.int64, count=len(rows))


def _why_skipped(group: split.Group, names: list[str]) -> str:
    if not len(group.train):
        return "no train rows in this group"
    if not len(group.eval):
        return "no eval rows are left in this group"
    return "only one label" if len(names) == 1 else "no eval row has a label that occurs in train"
