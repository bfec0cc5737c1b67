"""From predictions to the figures of the report: scores, levels, comparisons, labels, the gain on values."""

from __future__ import annotations

import numpy as np

from univar.evaluate import metrics
from univar.evaluate.metrics import Estimate, Intervals
from univar.evaluate.predictions import Key, Predictions
from univar.evaluate.protocol import EvalSettings
from univar.evaluate.report import (
    ByQuestion,
    Comparison,
    LabelScores,
    Level,
    OtherScores,
    PaperScores,
    Scores,
    TargetScores,
    TfidfScores,
    ValueGap,
)
from univar.statistics.intervals import jackknife_t


def target_scores(found: Predictions, settings: EvalSettings) -> TargetScores:
    """Chance, majority, levels with shuffled labels, and every classifier's scores with 95 % intervals.

    Other encoders and TF-IDF also have the paired difference to the encoder under evaluation, and how many
    times as often that one is right.
    """
    over = Intervals(found.clusters)
    kind = PaperScores if settings.protocol == "paper" else Scores
    scores: dict[Key, Scores] = {key: kind.of(p, over) for key, p in found.by_key.items()}
    levels = {name: _level(accuracy) for name, accuracy in found.levels.items()}
    tfidf, others = scores.get(Key(None, "tfidf")), {}
    for name in found.encoders():
        beside = found.headline_keys(settings, name)
        knn = {key.k: scores[key] for key in beside.values() if key.k is not None}
        compared = _comparison(found, beside, over, settings)
        others[name] = OtherScores(knn, compared, scores.get(Key(name, "probe")))
    words = dict.fromkeys(("knn", "probe"), Key(None, "tfidf"))
    return TargetScores(
        chance=found.chance,
        majority=float(found.majority.mean()),
        knn={k: scores[Key(None, "knn", k)] for k in settings.k},
        permutation=levels.get("permutation"),
        within_question_knn=levels.get("within_question_knn"),
        within_question_probe=levels.get("within_question_probe"),
        probe=scores.get(Key(None, "probe")),
        tfidf=None if tfidf is None else TfidfScores(tfidf, _comparison(found, words, over, settings)),
        length=scores.get(Key(None, "length")),
        declined=scores.get(Key(None, "declined")),
        language=scores.get(Key(None, "language")),
        knn_chosen=scores.get(Key(None, "knn_chosen")),
        against=others or None,
    )


def _level(accuracy: np.ndarray) -> Level:
    return Level(len(accuracy), float(accuracy.mean()), float(np.percentile(accuracy, 95)))


def _comparison(
    found: Predictions, others: dict[str, Key], over: Intervals, settings: EvalSettings
) -> Comparison:
    """The encoder under evaluation beside another classifier. others: "knn", "probe" to its counterpart."""
    pairs = {
        name: (found.by_key[key], found.by_key[others[name]])
        for name, key in found.headline_keys(settings).items()
    }
    return Comparison(
        {name: metrics.paired_difference(*pair, over, settings.seed) for name, pair in pairs.items()},
        {name: metrics.times_as_often(*pair, over) for name, pair in pairs.items()},
    )


def by_question(found: Predictions, settings: EvalSettings) -> ByQuestion:
    """Rows of each question, and in how many of them k-NN and the probe are right."""
    over = Intervals(found.questions)

    def counts(values: np.ndarray) -> list[int]:
        sums: list[int] = over.sums(values.astype(np.float64)).round().astype(int).tolist()
        return sums

    hits = {name: counts(found.by_key[key].hits) for name, key in found.headline_keys(settings).items()}
    rows = counts(np.ones(len(found.questions)))
    clusters = None
    if settings.cluster is not None:
        of_question = dict(zip(found.questions.tolist(), found.clusters.tolist(), strict=True))
        clusters = [of_question[name] for name in over.names.tolist()]
    return ByQuestion(over.names.tolist(), rows, hits["knn"], hits.get("probe"), clusters)


def per_label(found: Predictions, settings: EvalSettings) -> list[LabelScores]:
    """Each label with train rows: counts, accuracies, and what it is most often taken for."""
    over = Intervals(found.clusters)
    predictions = {name: found.by_key[key] for name, key in found.headline_keys(settings).items()}
    lines = []
    for label, name in enumerate(found.names):
        rows = np.flatnonzero(found.truth == label)
        train_rows = int(found.train_rows[label])
        if not len(rows):
            lines.append(LabelScores(name, train_rows, 0))
            continue
        accuracies = {kind: over.of_share(rows, p.hits[rows]) for kind, p in predictions.items()}
        best = predictions["knn"].best[rows]
        wrong = np.bincount(best[best != label], minlength=len(found.names))
        lines.append(
            LabelScores(
                name,
                train_rows,
                len(rows),
                len(set(found.questions[rows])),
                accuracies["knn"],
                accuracies.get("probe"),
                found.names[int(wrong.argmax())] if wrong.any() else None,
                float(wrong.max() / len(rows)) if wrong.any() else None,
            )
        )
    return lines


def value_gap(
    found: dict[str, list[tuple[str | None, Predictions]]], settings: EvalSettings
) -> dict[str, dict[str, dict[str, ValueGap]]]:
    """Gain in accuracy over each other encoder on value corpora and on the others, by target and classifier.

    found: target to (group, predictions), of groups among which `settings.non_value` is known to be
    A gain is the mean over corpora of the difference in accuracy on a scale of two sources: corpora have
    different numbers of labels, and a gain among many weighs less.
    """
    report = {}
    for target, parts in found.items():
        sides = [
            [part for name, part in parts if (name in settings.non_value) == wanted]
            for wanted in (False, True)
        ]
        if all(sides):
            first = sides[0][0]
            report[target] = {
                encoder: {
                    kind: _gap(sides, encoder, kind, settings) for kind in first.headline_keys(settings)
                }
                for encoder in first.encoders()
            }
    return report


def _gap(sides: list[list[Predictions]], encoder: str, kind: str, settings: EvalSettings) -> ValueGap:
    value, non_value = (_side_gain(parts, encoder, kind, settings) for parts in sides)
    ratio: Estimate | None = None
    if value[0] > 0:
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out = np.concatenate([non_value[0] / value[1], non_value[1] / value[0]])
        ratio = _estimate(non_value[0] / value[0], left_out)
    return ValueGap(
        value=_estimate(*value),
        non_value=_estimate(*non_value),
        corpora=[len(parts) for parts in sides],
        ratio=ratio,
        holds=ratio is not None and ratio.value <= 0.5,
    )


def _side_gain(
    parts: list[Predictions], encoder: str, kind: str, settings: EvalSettings
) -> tuple[float, np.ndarray]:
    """Mean gain over some corpora, and the same without each cluster of each in turn."""
    gains, left_out = [], []
    for part in parts:
        ours, theirs = (part.headline_keys(settings, name)[kind] for name in (None, encoder))
        over = Intervals(part.clusters)
        moved = over.sums(part.by_key[ours].beats - part.by_key[theirs].beats)
        rows = over.sums(np.ones(len(part.truth)))
        gains.append(moved.sum() / rows.sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out.append((moved.sum() - moved) / (rows.sum() - rows))
    mean = float(np.mean(gains))
    without = [mean + (left - gain) / len(parts) for gain, left in zip(gains, left_out, strict=True)]
    return mean, np.concatenate(without)


def _estimate(value: float, left_out: np.ndarray) -> Estimate:
    found = jackknife_t(value, left_out)
    return Estimate(value, found.low, found.high)
