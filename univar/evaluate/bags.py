"""Bags: several answers known to come from one unknown source.

With labels, a bag's score for a label is the sum over its answers: of votes for k-NN, of log-probabilities
for a probe. Without labels, for models that train lacks, the questions of a group are halved and each bag of
one half is compared with all bags of the other half, so that no two compared bags share a question. A bag is
then the mean of its answers' embeddings; nearest is by cosine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from univar.evaluate.against import Encoded
from univar.evaluate.metrics import Estimate
from univar.evaluate.predictions import Key, Predictions, ScoresOf
from univar.evaluate.protocol import EvalSettings, GroupRows, Split
from univar.evaluate.protocol import clusters as clusters_of
from univar.evaluate.report import BagAccuracy, Bags, ModelBags, SameModel, UnseenModelBags
from univar.statistics.intervals import jackknife_t

REPEATS = 100
"""Times that bags are cut anew: with fewer the chance of the cuts widens the intervals."""

ROWS = 20_000
"""More rows than these are sampled before bags are made of them."""

UNSEEN_REPEATS = 200
_BAGS_AT_ONCE = 65_536


def bags_of(found: Predictions, scores_of: dict[Key, ScoresOf], settings: EvalSettings) -> dict[int, Bags]:
    """Accuracy of every classifier on bags of each size that some label has the rows for."""
    seed = settings.seed
    rows = np.sort(np.random.default_rng(seed).permutation(len(found.truth))[:ROWS])
    scores = {key: of_rows(rows) for key, of_rows in scores_of.items()}
    return bag_accuracy(scores, found.truth[rows], found.clusters[rows], settings.bags, seed)


def bag_accuracy(
    scores: dict[Key, np.ndarray], truth: np.ndarray, clusters: np.ndarray, sizes: tuple[int, ...], seed: int
) -> dict[int, Bags]:
    """Accuracy of bags of each size, by classifier.

    scores: classifier to (n, L); truth: (n,) int64; clusters: (n,)
    Bags are cut at random from each label's rows, REPEATS times over.
    """
    rng = np.random.default_rng(seed)
    _, cluster = np.unique(clusters, return_inverse=True)
    report: dict[int, Bags] = {}
    for size in sizes:
        if np.bincount(truth).max() < size:
            continue
        cuts = [cut_bags(np.arange(len(truth)), truth, size, rng) for _ in range(REPEATS)]
        bags = np.concatenate(cuts)
        parts = Membership(cluster[bags])
        found = {key: parts.share(_hits(matrix, truth, bags)) for key, matrix in scores.items()}
        others = dict.fromkeys(key.encoder for key in found if key.encoder is not None)
        report[size] = Bags(
            bags=len(cuts[0]),
            labels=len(np.unique(truth[cuts[0][:, 0]])),
            tfidf=found.get(Key(None, "tfidf")),
            against={name: BagAccuracy(**_by_classifier(found, name)) for name in others} or None,
            **_by_classifier(found, None),
        )
    return report


class Membership:
    """Which clusters have an answer in which of B bags. clusters: (B, size) int64 of each bag's answers."""

    def __init__(self, clusters: np.ndarray) -> None:
        self.bags = len(clusters)
        self._clusters = int(clusters.max(initial=-1)) + 1
        pairs = np.unique(np.arange(self.bags)[:, None] * self._clusters + clusters)
        self._bag, self._cluster = np.divmod(pairs, max(1, self._clusters))

    def share(self, part: np.ndarray, whole: np.ndarray | None = None) -> Estimate:
        """sum(part) / sum(whole) over the bags, (B,) each; whole: None for the number of bags."""
        whole = np.ones(self.bags) if whole is None else whole
        part = part.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = part.sum() / max(float(whole.sum()), 1e-9)
            left_out = (part.sum() - self._sums(part)) / (whole.sum() - self._sums(whole))
        found = jackknife_t(float(value), left_out[self._sums(np.ones(self.bags)) > 0])
        return Estimate(found.estimate, found.low, found.high)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._cluster, values[self._bag], self._clusters)


def _by_classifier(found: dict[Key, Estimate], encoder: str | None) -> dict[str, Estimate]:
    keys = {name: Key(encoder, name) for name in ("knn", "probe")}
    return {name: found[key] for name, key in keys.items() if key in found}


def cut_bags(rows: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """(bags, size) row numbers: each label's rows in random order, cut into whole bags."""
    order = rows[np.lexsort((rng.random(len(rows)), labels[rows]))]
    own = labels[order]
    starts = np.flatnonzero(np.diff(own, prepend=-1))
    counts = np.diff([*starts, len(own)])
    place = np.arange(len(own)) - np.repeat(starts, counts)
    kept = place < np.repeat(counts // size * size, counts)
    bags: np.ndarray = order[kept].reshape(-1, size)
    return bags


def _hits(scores: np.ndarray, truth: np.ndarray, bags: np.ndarray) -> np.ndarray:
    """(B,) bool, bags whose highest summed score is their label's."""
    out = np.empty(len(bags), bool)
    for first in range(0, len(bags), _BAGS_AT_ONCE):
        part = bags[first : first + _BAGS_AT_ONCE]
        total = scores[part[:, 0]].astype(np.float64)
        for column in part.T[1:]:
            total += scores[column]
        out[first : first + len(part)] = total.argmax(axis=1) == truth[part[:, 0]]
    return out


def unseen_model_bags(
    split: Split, encoders: list[Encoded], settings: EvalSettings
) -> dict[int, UnseenModelBags]:
    """For each bag size: how often the nearest other bag is of the same model, by encoder, and by chance.

    split: of unseen models, as `protocol.unseen_models` makes it
    In a figure over all groups each bag counts once. Sizes for which no group has two models with two bags
    are left out.
    """
    report: dict[int, UnseenModelBags] = {}
    for size in sorted({size for size in settings.bags if size > 1}):
        found: dict[str, _Compared] = {}
        for group in split.groups:
            compared = _compared(split, group, encoders, size, settings)
            if compared is not None:
                found["all" if group.name is None else group.name] = compared
        if found:
            groups = {name: _model_bags([it], encoders) for name, it in found.items()}
            report[size] = UnseenModelBags(_model_bags(list(found.values()), encoders), groups)
    return report


@dataclass(frozen=True)
class _Compared:
    """Bags of one group, of all repeats that had two models on both sides.

    clusters: (B, size) int64; chance: (B,) share of the other half's bags that are of the bag's model
    hits:     encoder to (B,) bool; models: at most in one repeat; repeats: how many counted
    """

    clusters: np.ndarray
    chance: np.ndarray
    hits: dict[str, np.ndarray]
    models: int
    repeats: int


def _compared(
    split: Split, group: GroupRows, encoders: list[Encoded], size: int, settings: EvalSettings
) -> _Compared | None:
    """None where no repeat has two models with bags on both sides."""
    rows = np.sort(np.concatenate([group.train, group.eval]))
    store, side = split.stores[1], split.sides[1]
    model = np.unique(np.array(store.text("model", rows), dtype=object), return_inverse=True)[1]
    question = np.unique(np.array(store.text("question_id", rows), dtype=object), return_inverse=True)[1]
    names = clusters_of(store, rows, settings.cluster)
    cluster = np.unique(names, return_inverse=True)[1]
    vectors = [encoder.matrix(side, rows) for encoder in encoders]
    rng = np.random.default_rng(settings.seed)
    own: list[np.ndarray] = []
    chance: list[np.ndarray] = []
    hits: dict[str, list[np.ndarray]] = {encoder.name: [] for encoder in encoders}
    models = 0
    for _ in range(UNSEEN_REPEATS):
        half = np.isin(question, rng.permutation(int(question.max()) + 1)[: (int(question.max()) + 1) // 2])
        here, there = (cut_bags(np.flatnonzero(part), model, size, rng) for part in (half, ~half))
        common = np.intersect1d(model[here[:, 0]], model[there[:, 0]])
        if len(common) < 2:
            continue
        here, there = (bags[np.isin(model[bags[:, 0]], common)] for bags in (here, there))
        same = model[here[:, 0]][:, None] == model[there[:, 0]]
        own.append(cluster[here])
        chance.append(same.mean(axis=1))
        models = max(models, len(common))
        for encoder, matrix in zip(encoders, vectors, strict=True):
            nearest = (_means(matrix, here) @ _means(matrix, there).T).argmax(axis=1)
            hits[encoder.name].append(same[np.arange(len(here)), nearest])
    if not own:
        return None
    joined = {name: np.concatenate(parts) for name, parts in hits.items()}
    return _Compared(np.concatenate(own), np.concatenate(chance), joined, models, len(own))


def _means(matrix: np.ndarray, bags: np.ndarray) -> np.ndarray:
    mean = matrix[bags].mean(axis=1)
    unit: np.ndarray = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return unit


def _model_bags(groups: list[_Compared], encoders: list[Encoded]) -> ModelBags:
    """Groups together, each bag counting once; their clusters are clusters of their own."""
    main, *others = [encoder.name for encoder in encoders]
    offsets = np.cumsum([0, *(int(it.clusters.max()) + 1 for it in groups)])
    parts = Membership(np.concatenate([it.clusters + at for it, at in zip(groups, offsets, strict=False)]))
    hits = {
        name: np.concatenate([it.hits[name] for it in groups]).astype(np.float64) for name in (main, *others)
    }
    against = {
        name: SameModel(parts.share(hits[name]), parts.share(hits[main], hits[name])) for name in others
    }
    return ModelBags(
        bags=round(sum(len(it.chance) / it.repeats for it in groups), 1),
        models=sum(it.models for it in groups),
        chance=float(np.concatenate([it.chance for it in groups]).mean()),
        same_model=parts.share(hits[main]),
        against=against or None,
    )
