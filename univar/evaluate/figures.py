"""The figures of a target as they stand in the report: the same for one group and for all together."""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.evaluate import metrics
from univar.evaluate.paired import paired, times
from univar.evaluate.settings import Settings
from univar.evaluate.task import Judged, nested


def figures(judged: Judged, settings: Settings) -> dict[str, Any]:
    """Chance, majority, levels with shuffled labels, and every classifier's scores with 95 % intervals.

    Classifiers of other encoders stand under "against"; they and TF-IDF have the paired difference to the
    encoder that is evaluated, and how many times as often that one is right.
    """
    intervals = metrics.QuestionBootstrap(judged.questions, settings.bootstrap, settings.seed)
    report: dict[str, Any] = {"chance": judged.chance, "majority": float(judged.majority.mean())}
    for name, accuracy in judged.levels.items():
        report[name] = {
            "permutations": len(accuracy),
            "mean": float(accuracy.mean()),
            "p95": float(np.percentile(accuracy, 95)),
        }
    scores: dict[Any, Any] = {}
    for (encoder, classifier), (guess, rank) in judged.verdict.items():
        found = _scores(guess, rank, judged, intervals, settings)
        name, _, k = classifier.partition("@")
        if k:
            scores.setdefault((encoder, name), {})[k] = found
        else:
            scores[encoder, name] = found
    report.update(nested(scores))
    keys = headline_keys(judged, settings)
    beside = {encoder: (place, keys) for encoder, place in report.get("against", {}).items()}
    if (None, "tfidf") in judged.verdict:
        beside[None] = report["tfidf"], dict.fromkeys(keys, "tfidf")
    for encoder, (place, others) in beside.items():
        place["difference"], place["times"] = {}, {}
        for name, key in keys.items():
            hits = judged.hits((None, key)), judged.hits((encoder, others[name]))
            place["difference"][name] = paired(*hits, intervals, settings.seed)
            place["times"][name] = times(*hits, intervals)
    return report


def headline_keys(judged: Judged, settings: Settings) -> dict[str, str]:
    """ "knn" and "probe" to the classifiers behind the one-line figures."""
    keys = {"knn": f"knn@{settings.headline_k}", "probe": "probe"}
    return {name: key for name, key in keys.items() if (None, key) in judged.verdict}


def by_question(judged: Judged, settings: Settings) -> dict[str, Any]:
    """Rows and hits of each question: what a later report needs for a paired comparison with this one."""
    intervals = metrics.QuestionBootstrap(judged.questions, 1, settings.seed)
    ones = np.ones(len(judged.questions))
    report: dict[str, Any] = {
        "questions": intervals.names.tolist(),
        "rows": _whole(intervals.per_question(ones)),
    }
    for name, key in headline_keys(judged, settings).items():
        report[name] = _whole(intervals.per_question(judged.hits((None, key)).astype(np.float64)))
    return report


def per_label(judged: Judged, settings: Settings) -> list[dict[str, Any]]:
    """A line for each label with train rows: counts, accuracies, and what it is most often taken for."""
    intervals = metrics.QuestionBootstrap(judged.questions, settings.bootstrap, settings.seed)
    keys = headline_keys(judged, settings)
    lines = []
    for label, name in enumerate(judged.names):
        rows = np.flatnonzero(judged.truth == label)
        line: dict[str, Any] = {
            "label": name,
            "train_rows": int(judged.train_rows[label]),
            "eval_rows": len(rows),
        }
        if len(rows):
            line["questions"] = len(set(judged.questions[rows]))
            for classifier, key in keys.items():
                right = judged.hits((None, key))[rows]
                field = "accuracy" if classifier == "knn" else f"{classifier}_accuracy"
                line[field] = metrics.with_interval(right.mean(), intervals.of_share(rows, right))
            guess = judged.verdict[None, keys["knn"]][0][rows]
            wrong = np.bincount(guess[guess != label], minlength=judged.n_labels)
            if wrong.any():
                line["taken_for"] = judged.names[int(wrong.argmax())]
                line["taken_for_share"] = float(wrong.max() / len(rows))
        lines.append(line)
    return lines


def _scores(
    guess: np.ndarray,
    rank: np.ndarray,
    judged: Judged,
    intervals: metrics.QuestionBootstrap,
    settings: Settings,
) -> dict[str, Any]:
    """Accuracy among the first 1, 3, 5, 10 and both F1, each with its interval."""
    f1 = metrics.f1_scores(judged.truth, guess, judged.n_labels)
    f1_bounds = intervals.of_f1(judged.truth, guess, judged.n_labels)
    report: dict[str, Any] = {
        "accuracy": metrics.accuracy_report(rank, intervals),
        "macro_f1": metrics.with_interval(f1[0], f1_bounds[0]),
        "weighted_f1": metrics.with_interval(f1[1], f1_bounds[1]),
    }
    if settings.protocol == "paper":
        report["weighted_precision"] = metrics.weighted_precision(judged.truth, guess, judged.n_labels)
        report["weighted_recall"] = float((rank == 0).mean())
    return report


def _whole(values: np.ndarray) -> list[int]:
    return values.round().astype(int).tolist()
