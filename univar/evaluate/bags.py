"""Bags: several answers known to come from one unknown source.

With labels, a bag's score for a label is the sum over its answers: of votes for k-NN, of log-probabilities
for a probe. Without labels, for models that train lacks, the questions of a group are halved and each bag of
one half is compared with all bags of the other half, so that no two compared bags share a question. A bag is
then the mean of its answers' embeddings; nearest is by cosine.
"""

from __future__ import annotations

import numpy as np

from univar.evaluate.against import Encoded
from univar.evaluate.metrics import HIGH, LOW, Estimate
from univar.evaluate.predictions import Key, Predictions, ScoresOf
from univar.evaluate.protocol import EvalSettings, GroupRows, Split
from univar.evaluate.report import BagAccuracy, Bags, ModelBags, SameModel, UnseenModelBags

REPEATS = 10
DRAWS = 100
ROWS = 20_000
"""More rows than these are sampled before bags are made of them."""

UNSEEN_REPEATS = 20
UNSEEN_DRAWS = 200


def bags_of(found: Predictions, scores_of: dict[Key, ScoresOf], settings: EvalSettings) -> dict[int, Bags]:
    """Accuracy of every classifier on bags of each size that some label has the rows for."""
    seed = settings.seed
    rows = np.sort(np.random.default_rng(seed).permutation(len(found.truth))[:ROWS])
    scores = {key: of_rows(rows) for key, of_rows in scores_of.items()}
    draws = min(DRAWS, settings.bootstrap)
    return bag_accuracy(scores, found.truth[rows], found.clusters[rows], settings.bags, draws, seed)


def bag_accuracy(
    scores: dict[Key, np.ndarray],
    truth: np.ndarray,
    questions: np.ndarray,
    sizes: tuple[int, ...],
    draws: int,
    seed: int,
) -> dict[int, Bags]:
    """Accuracy of bags of each size, by classifier.

    scores: classifier to (n, L); truth: (n,) int64; questions: (n,)
    Bags are cut at random from each label's rows, REPEATS times over; intervals draw questions `draws` times.
    """
    rng = np.random.default_rng(seed)
    _, question = np.unique(questions, return_inverse=True)
    report: dict[int, Bags] = {}
    for size in sizes:
        if np.bincount(truth).max() < size:
            continue
        whole = [cut_bags(np.arange(len(truth)), truth, size, rng) for _ in range(REPEATS)]
        drawn = [cut_bags(_drawn_rows(question, rng), truth, size, rng) for _ in range(draws)]
        drawn = [bags for bags in drawn if len(bags)]
        found = {key: _bag_estimate(matrix, truth, whole, drawn) for key, matrix in scores.items()}
        others = dict.fromkeys(key.encoder for key in found if key.encoder is not None)
        report[size] = Bags(
            bags=len(whole[0]),
            labels=len(np.unique(truth[whole[0][:, 0]])),
            tfidf=found.get(Key(None, "tfidf")),
            against={name: BagAccuracy(**_by_classifier(found, name)) for name in others} or None,
            **_by_classifier(found, None),
        )
    return report


def _by_classifier(found: dict[Key, Estimate], encoder: str | None) -> dict[str, Estimate]:
    keys = {name: Key(encoder, name) for name in ("knn", "probe")}
    return {name: found[key] for name, key in keys.items() if key in found}


def _bag_estimate(
    scores: np.ndarray, truth: np.ndarray, whole: list[np.ndarray], drawn: list[np.ndarray]
) -> Estimate:
    value = float(np.mean([_accuracy(scores, truth, bags) for bags in whole]))
    around = np.array([_accuracy(scores, truth, bags) for bags in drawn] or [0.0, 1.0])
    return _around(value, around)


def _around(value: float, draws: np.ndarray) -> Estimate:
    """The percentiles of the draws, widened to hold the value; no interval where nothing varies."""
    low, high = np.percentile(draws, [LOW, HIGH]).tolist()
    low, high = min(low, value), max(high, value)
    return Estimate(value, low, high) if low < high else Estimate(value, None, None)


def _drawn_rows(question: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of as many questions as there are, drawn with replacement. question: (n,) from 0."""
    n_questions = int(question.max()) + 1
    times = np.bincount(rng.integers(0, n_questions, n_questions), minlength=n_questions)
    return np.repeat(np.arange(len(question)), times[question])


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


def _accuracy(scores: np.ndarray, truth: np.ndarray, bags: np.ndarray) -> float:
    total = scores[bags[:, 0]].astype(np.float64)
    for column in bags.T[1:]:
        total += scores[column]
    return float((total.argmax(axis=1) == truth[bags[:, 0]]).mean())


def unseen_model_bags(
    split: Split, encoders: list[Encoded], settings: EvalSettings
) -> dict[int, UnseenModelBags]:
    """For each bag size: how often the nearest other bag is of the same model, by encoder, and by chance.

    split: of unseen models, as `protocol.unseen_models` makes it
    In a figure over all groups each bag counts once. Sizes for which no group has two models with two bags
    are left out. Intervals draw questions, the same for all encoders.
    """
    names = [encoder.name for encoder in encoders]
    report: dict[int, UnseenModelBags] = {}
    for size in sorted({size for size in settings.bags if size > 1}):
        tables: dict[str, dict[str, np.ndarray]] = {}
        for group in split.groups:
            table = _group_table(split, group, encoders, size, settings)
            if table is not None:
                tables["all" if group.name is None else group.name] = table
        if tables:
            first = next(iter(tables.values()))
            total = {name: np.sum([t[name] for t in tables.values()], axis=0) for name in first}
            groups = {name: _model_bags(table, names) for name, table in tables.items()}
            report[size] = UnseenModelBags(_model_bags(total, names), groups)
    return report


def _group_table(
    split: Split, group: GroupRows, encoders: list[Encoded], size: int, settings: EvalSettings
) -> dict[str, np.ndarray] | None:
    """Sums over bags, (repeats + draws,): "bags", "chance", "models", hits by encoder; None without bags."""
    rows = np.sort(np.concatenate([group.train, group.eval]))
    store, side = split.stores[1], split.sides[1]
    model = np.unique(np.array(store.text("model", rows), dtype=object), return_inverse=True)[1]
    question = np.unique(np.array(store.text("question_id", rows), dtype=object), return_inverse=True)[1]
    vectors = [encoder.matrix(side, rows) for encoder in encoders]
    rng = np.random.default_rng(settings.seed)
    draws = UNSEEN_REPEATS + min(UNSEEN_DRAWS, settings.bootstrap)
    names = ["bags", "chance", "models", *(encoder.name for encoder in encoders)]
    table = {name: np.zeros(draws) for name in names}
    for draw in range(draws):
        here, there = _bags_of_halves(question, model, size, rng, drawn=draw >= UNSEEN_REPEATS)
        common = np.intersect1d(model[here[:, 0]], model[there[:, 0]])
        if len(common) < 2:
            continue
        here, there = (bags[np.isin(model[bags[:, 0]], common)] for bags in (here, there))
        same = model[here[:, 0]][:, None] == model[there[:, 0]]
        table["bags"][draw], table["models"][draw] = len(here), len(common)
        table["chance"][draw] = same.mean(axis=1).sum()
        for encoder, matrix in zip(encoders, vectors, strict=True):
            nearest = (_means(matrix, here) @ _means(matrix, there).T).argmax(axis=1)
            table[encoder.name][draw] = same[np.arange(len(here)), nearest].sum()
    return table if table["bags"][:UNSEEN_REPEATS].all() else None


def _bags_of_halves(
    question: np.ndarray, model: np.ndarray, size: int, rng: np.random.Generator, drawn: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Bags of one model each from a random half of the questions, and from the other half.

    drawn: whether questions are drawn with replacement before, for an interval
    """
    times = np.ones(int(question.max()) + 1, dtype=np.int64)
    if drawn:
        times = np.bincount(rng.integers(0, len(times), len(times)), minlength=len(times))
    half = np.isin(question, rng.permutation(len(times))[: len(times) // 2])
    halves = (np.repeat(np.flatnonzero(side), times[question[side]]) for side in (half, ~half))
    first, second = (cut_bags(rows, model, size, rng) for rows in halves)
    return first, second


def _means(matrix: np.ndarray, bags: np.ndarray) -> np.ndarray:
    mean = matrix[bags].mean(axis=1)
    unit: np.ndarray = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return unit


def _model_bags(table: dict[str, np.ndarray], names: list[str]) -> ModelBags:
    main, *others = names
    own, bags = table[main], table["bags"]
    return ModelBags(
        bags=round(float(bags[:UNSEEN_REPEATS].mean()), 1),
        models=int(table["models"][:UNSEEN_REPEATS].max()),
        chance=float((table["chance"] / np.maximum(1, bags))[:UNSEEN_REPEATS].mean()),
        same_model=_share(own, bags),
        against={name: SameModel(_share(table[name], bags), _share(own, table[name])) for name in others}
        or None,
    )


def _share(part: np.ndarray, whole: np.ndarray) -> Estimate:
    """The value from the repeats, its interval from the draws of questions."""
    value = part[:UNSEEN_REPEATS].sum() / max(1e-9, whole[:UNSEEN_REPEATS].sum())
    usable = whole[UNSEEN_REPEATS:] > 0
    drawn = part[UNSEEN_REPEATS:][usable] / whole[UNSEEN_REPEATS:][usable]
    return _around(float(value), drawn if len(drawn) else np.array([0.0, 1.0]))
