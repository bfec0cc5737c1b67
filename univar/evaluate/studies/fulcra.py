"""Are values in the embedding? A probe of Schwartz values that people found in answers (Value FULCRA)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from univar import schema
from univar.errors import DataError
from univar.evaluate import classifiers
from univar.evaluate.metrics import Difference, estimate
from univar.evaluate.report import Fulcra, ValueContent

Embed = Callable[[list[str]], np.ndarray]

COLUMNS = ("question", "answer", "schwartz_types_json")
FOLDS = 5
MIN_ROWS = 20
"""Labels of fewer answers are left out: their AUC says nothing."""


def fulcra(path: Path, embed: Mapping[str, Embed], bootstrap: int, seed: int) -> Fulcra:
    """Macro AUC of every representation, with intervals; the first encoder is compared with all others.

    path:    Parquet with question, answer and schwartz_types_json: {"benevolence": 1, "power": -1}
    embed:   encoder's name to a function from texts to (n, D) float32
    A label is a value that an answer supports ("power +") or offends ("power -"). Each label has a logistic
    regression of its own, trained on four fifths of the questions and scored on the rest. TF-IDF of the same
    texts and the answers' length stand beside the encoders. Raises DataError for another kind of file.
    """
    questions, answers, labels, names = read_labelled(path)
    texts = schema.qa_texts(*_as_arrow(questions, answers)).to_pylist()
    fold = _folds(questions, seed)
    scores = {name: _embedding_scores(function(texts), labels, fold) for name, function in embed.items()}
    scores["TF-IDF"] = _tfidf_scores(texts, labels, fold)
    scores["length"] = _length_scores(answers, labels, fold)
    drawn = _draws(questions, bootstrap, seed)
    ones = np.ones((1, len(texts)), dtype=np.float32)
    found: dict[str, ValueContent] = {}
    lead: tuple[float, np.ndarray] | None = None
    for name, score in scores.items():
        value, around = auc(score, labels, ones)[0], auc(score, labels, drawn).mean(axis=1)
        mean = float(value.mean())
        difference = None if lead is None else _difference(lead[0] - mean, lead[1] - around)
        lead = lead or (mean, around)
        of_label = dict(zip(names, value.tolist(), strict=True))
        found[name] = ValueContent(estimate(mean, around), of_label, difference)
    return Fulcra(len(texts), names, found)


def read_labelled(path: Path) -> tuple[list[str], list[str], np.ndarray, list[str]]:
    """Questions, answers, labels (n, V) bool, and the labels' names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=list(COLUMNS)).to_pydict()
        types = [json.loads(text) for text in table["schwartz_types_json"]]
        signed = [{f"{name} {'+' if sign > 0 else '-'}" for name, sign in row.items()} for row in types]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is no Parquet file with {', '.join(COLUMNS)} "
            f"(a JSON object of values and signs): {error}"
        ) from None
    counts: dict[str, int] = {}
    for row in signed:
        for name in row:
            counts[name] = counts.get(name, 0) + 1
    names = sorted(name for name, n in counts.items() if MIN_ROWS <= n <= len(signed) - MIN_ROWS)
    if not names:
        raise DataError(f"{path}: no value has {MIN_ROWS} answers with it and {MIN_ROWS} without")
    labels = np.array([[name in row for name in names] for row in signed], dtype=bool)
    return table["question"], table["answer"], labels, names


def auc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each label in each draw, (draws, V); equal scores count one half.

    scores, labels: (n, V); weights: (draws, n) how often each row counts. 0.5 where a draw lacks a side.
    """
    areas = np.empty((len(weights), labels.shape[1]))
    for column, (score, label) in enumerate(zip(scores.T, labels.T, strict=True)):
        order = np.argsort(score, kind="stable")
        starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
        drawn, held = weights[:, order].astype(np.float64), label[order]
        positive = np.add.reduceat(drawn * held, starts, axis=1)
        negative = np.add.reduceat(drawn * ~held, starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        won = (positive * below).sum(axis=1)
        areas[:, column] = np.where(pairs > 0, won / np.maximum(pairs, 1e-12), 0.5)
    return areas


def _as_arrow(*columns: list[str]) -> list[Any]:
    import pyarrow as pa

    return [pa.array(column, pa.large_string()) for column in columns]


def _folds(questions: list[str], seed: int) -> np.ndarray:
    """(n,) fold of each row; a question is in one fold."""
    names, number = np.unique(np.array(questions, dtype=object), return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[number]


def _draws(questions: list[str], bootstrap: int, seed: int) -> np.ndarray:
    """(draws, n) how often each row's question was drawn."""
    names, number = np.unique(np.array(questions, dtype=object), return_inverse=True)
    drawn = np.random.default_rng(seed).integers(0, len(names), (bootstrap, len(names)))
    return np.stack([np.bincount(draw, minlength=len(names)) for draw in drawn])[:, number].astype(np.float32)


def _embedding_scores(features: Any, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Out-of-fold decision values (n, V) of a logistic regression for each label."""
    linear_model = classifiers.scikit_learn("sklearn.linear_model")
    scores = np.zeros(labels.shape)
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for column, held in enumerate(labels.T):
            if len(test) and len(np.unique(held[train])) == 2:
                model = linear_model.LogisticRegression(
                    C=classifiers.PROBE_C, max_iter=classifiers.PROBE_ITERATIONS, class_weight="balanced"
                )
                with classifiers.quiet_about_convergence():
                    model.fit(features[train], held[train])
                scores[test, column] = model.decision_function(features[test])
    return scores


def _tfidf_scores(texts: list[str], labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    text = classifiers.scikit_learn("sklearn.feature_extraction.text")
    vectorizer = text.TfidfVectorizer(analyzer=classifiers.one_and_two_grams, min_df=2, sublinear_tf=True)
    return _embedding_scores(vectorizer.fit_transform(texts).tocsr(), labels, fold)


def _length_scores(answers: list[str], labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Share of each label among the answers of about the same length in the other folds."""
    lengths = np.array([len(answer) for answer in answers])
    scores = np.zeros(labels.shape)
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        bins, of_test = classifiers.length_bins(lengths[train], lengths[test])
        counts = np.bincount(bins, minlength=classifiers.LENGTH_BINS) + 1.0
        for column, held in enumerate(labels.T):
            share = (np.bincount(bins, held[train], classifiers.LENGTH_BINS) + held[train].mean()) / counts
            scores[test, column] = share[of_test]
    return scores


def _difference(value: float, draws: np.ndarray) -> Difference:
    """With a bootstrap p-value: twice the share of draws on the rarer side of 0."""
    share = min((draws <= 0).mean(), (draws >= 0).mean())
    found = estimate(value, draws)
    p = min(1.0, 2 * max(float(share), 1 / (1 + len(draws))))
    return Difference(found.value, found.low, found.high, p)
