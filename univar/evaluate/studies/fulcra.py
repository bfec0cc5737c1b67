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
from univar.evaluate.metrics import Difference, Estimate
from univar.evaluate.report import Fulcra, ValueContent
from univar.heads import logistic
from univar.statistics import auc
from univar.statistics.intervals import jackknife_t

Embed = Callable[[list[str]], np.ndarray]

COLUMNS = ("question", "answer", "schwartz_types_json")
FOLDS = 5
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""C that are tried; TF-IDF wants more than embeddings do."""
MIN_ROWS = 20
"""Labels of fewer answers are left out: their AUC says nothing."""


def fulcra(path: Path, embed: Mapping[str, Embed], seed: int) -> Fulcra:
    """Macro AUC of every representation, with intervals; the first encoder is compared with all others.

    path:    Parquet with question, answer and schwartz_types_json: {"benevolence": 1, "power": -1}
    embed:   encoder's name to a function from texts to (n, D) float32
    A label is a value that an answer supports ("power +") or offends ("power -"). Each label has a logistic
    regression, trained on four fifths of the questions and scored on the rest; its C is chosen inside them.
    TF-IDF of the same texts and the answers' length stand beside the encoders. Intervals are jackknife-t over
    questions. Raises DataError for another kind of file.
    """
    questions, answers, labels, names = read_labelled(path)
    texts = schema.qa_texts(*_as_arrow(questions, answers)).to_pylist()
    clusters = np.unique(np.array(questions, dtype=object), return_inverse=True)[1]
    scores = {name: _held_out(function(texts), labels, clusters, seed) for name, function in embed.items()}
    scores["TF-IDF"] = _held_out(tfidf(texts), labels, clusters, seed)
    scores["length"] = _length_scores(answers, labels, logistic.group_folds(clusters, FOLDS, seed))
    measured = {name: auc.areas(score, labels, clusters) for name, score in scores.items()}
    return Fulcra(len(texts), names, compared(measured, names))


def compared(
    measured: Mapping[str, tuple[np.ndarray, np.ndarray]], names: list[str]
) -> dict[str, ValueContent]:
    """Each representation's macro AUC, and how far it lies behind the first.

    measured: name to areas (V,) and (G, V) without each cluster, the same clusters for all
    """
    found: dict[str, ValueContent] = {}
    lead: tuple[float, np.ndarray] | None = None
    for name, (area, left_out) in measured.items():
        mean, without = float(np.nanmean(area)), np.nanmean(left_out, axis=1)
        difference = None if lead is None else _difference(lead[0] - mean, lead[1] - without)
        lead = lead or (mean, without)
        interval = jackknife_t(mean, without)
        of_label = dict(zip(names, area.tolist(), strict=True))
        found[name] = ValueContent(Estimate(mean, interval.low, interval.high), of_label, difference)
    return found


def _difference(value: float, left_out: np.ndarray) -> Difference:
    """With the two-sided p-value of the jackknife's t."""
    from scipy.stats import t

    found = jackknife_t(value, left_out)
    p = 1.0 if found.se is None else float(2 * t.sf(abs(value) / found.se, found.clusters - 1))
    return Difference(value, found.low, found.high, p)


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


def _as_arrow(*columns: list[str]) -> list[Any]:
    import pyarrow as pa

    return [pa.array(column, pa.large_string()) for column in columns]


def _held_out(x: Any, labels: np.ndarray, clusters: np.ndarray, seed: int) -> np.ndarray:
    """(n, V) log-odds by fits that saw none of a row's question, C chosen inside the others."""
    return logistic.nested(x, labels, clusters, _macro, folds=FOLDS, choices=STRENGTHS, seed=seed)[0]


def _macro(scores: np.ndarray, labels: np.ndarray, clusters: np.ndarray) -> float:
    area = auc.areas(scores, labels, clusters)[0]
    return float(np.nanmean(area)) if np.isfinite(area).any() else 0.5


def tfidf(texts: list[str]) -> Any:
    """(n, F) sparse TF-IDF of words and pairs of words."""
    text = classifiers.scikit_learn("sklearn.feature_extraction.text")
    vectorizer = text.TfidfVectorizer(
        analyzer=classifiers.one_and_two_grams, min_df=2, sublinear_tf=True, dtype=np.float32
    )
    return vectorizer.fit_transform(texts).tocsr()


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
