"""Training of value probes from labelled answers' embeddings, and their validity on questions kept aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from univar.answers.labelled import LabelledAnswers
from univar.errors import DataError
from univar.heads import logistic
from univar.heads.value_probes import POLES, ProfileValue, Validity, ValueProbes, profile_values
from univar.statistics import auc
from univar.statistics.intervals import Interval

Embed = Callable[[list[str], list[str]], np.ndarray]
"""(questions (n), answers (n)) -> (n, D) float32 unit vectors of one part of an encoder."""

ANCHOR_QUESTION = "What matters in life?"
"""Stands before every anchor sentence, since the encoder reads questions with answers."""

POLE_WEIGHT = 0.5
FOLDS = 5


def train(
    encoder: Mapping[str, object],
    part: str,
    embed: Embed,
    labelled: LabelledAnswers,
    data: Mapping[str, object],
    other: LabelledAnswers | None = None,
) -> ValueProbes:
    """Probes of the 20 values on every labelled answer; validity from folds that share no question.

    other: answers with labels of the ten-value theory, one answer a question: each value's probe is also
    measured on all of them by its type
    Raises DataError where no value of the 20 is labelled often enough.
    """
    by_name = {value.name: value for value in profile_values()}
    values = [by_name[name] for name in by_name if name in labelled.values]
    if not values:
        raise DataError(
            "none of the 20 values is labelled: use names such as 'Tradition' or 'Security: personal' "
            "(the table that `univar profile` prints has all 20); the file has "
            f"{', '.join(labelled.values[:5])}"
        )
    names = [value.name for value in values]
    labels, questions = labelled.select(names), labelled.clusters
    x = embed(labelled.questions, labelled.answers)
    held_out, chosen = logistic.nested(x, labels, questions, macro, folds=FOLDS)
    c = float(np.exp(np.median(np.log(chosen))))
    head = logistic.fit(x, labels, c)
    anchors = anchor_directions(values, embed)
    odds, nearness = head.log_odds(x), x @ anchors
    plain, anchor_plain = _plain(values, embed, head.log_odds, anchors, other)
    pairs, anchor_pairs = (auc.within_question(it, labels, questions) for it in (held_out, nearness))
    facts = {**data, "rows": len(x), "questions": int(questions.max()) + 1, "c": round(c, 4)}
    return ValueProbes(
        encoder=dict(encoder),
        part=part,
        values=names,
        head=head,
        anchors=anchors,
        mean=odds.mean(axis=0),
        sd=np.maximum(odds.std(axis=0), 1e-6),
        anchor_mean=nearness.mean(axis=0),
        anchor_sd=np.maximum(nearness.std(axis=0), 1e-6),
        validity=[Validity(pairs.auc(v), plain[v]) for v in range(len(names))],
        anchor_validity=[Validity(anchor_pairs.auc(v), anchor_plain[v]) for v in range(len(names))],
        data=facts,
    )


def macro(scores: np.ndarray, labels: np.ndarray, questions: np.ndarray) -> float:
    """Mean over values of the within-question AUC: what the strength is chosen by."""
    return auc.within_question(scores, labels, questions).macro().estimate


def anchor_directions(values: list[ProfileValue], embed: Embed) -> np.ndarray:
    """(D, V) float32 unit vectors: what a value's sentences say beyond those of the others, and its pole.

    The sentences for a value minus those for all values, plus half of (for minus against): encoders tell
    topics better than denials, so the poles' difference alone ranks pairs hardly better than chance (0.53 for
    minilm, 0.61 with both; `univar profile` prints it of each value).
    """
    texts = [sentence for value in values for pole in POLES for sentence in value.anchors[pole]]
    x = embed([ANCHOR_QUESTION] * len(texts), texts)
    ends = x.reshape(len(values), len(POLES), -1, x.shape[1]).mean(axis=2)
    directions = ends[:, 0] - ends[:, 0].mean(axis=0) + POLE_WEIGHT * (ends[:, 0] - ends[:, 1])
    unit: np.ndarray = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(unit.T, np.float32)


def _plain(
    values: list[ProfileValue],
    embed: Embed,
    log_odds: Callable[[np.ndarray], np.ndarray],
    anchors: np.ndarray,
    other: LabelledAnswers | None,
) -> tuple[list[Interval | None], list[Interval | None]]:
    """AUC of each value's probe and anchors over all answers of `other` that carry its type."""
    if other is None:
        return [None] * len(values), [None] * len(values)
    x = embed(other.questions, other.answers)
    labels, clusters = other.select([value.type for value in values]), other.clusters
    found = []
    for scores in (log_odds(x), x @ anchors):
        measured = [auc.plain(scores[:, v], labels[:, v], clusters) for v in range(len(values))]
        found.append([it if np.isfinite(it.estimate) else None for it in measured])
    return found[0], found[1]
