"""Value content where topic tells nothing: pairs of answers to one question, one with a value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.answers.labelled import LabelledAnswers, labelled_from, read_labelled
from univar.evaluate import classifiers
from univar.evaluate.against import Encoded
from univar.evaluate.protocol import EvalSettings
from univar.evaluate.report import Fulcra
from univar.evaluate.studies.fulcra import Embed, compared, tfidf
from univar.heads import logistic
from univar.statistics import auc

if TYPE_CHECKING:
    from univar.store import Store

LSA_DIMS = 300
COLUMN = "values"
"""Of a store: a JSON list of values of each row."""


def value_content(path: Path, embed: Mapping[str, Embed], seed: int) -> Fulcra:
    """Within-question macro AUC of every representation of the file's labelled answers.

    embed: encoder's name to a function from texts to (n, D) float32
    Words stand beside the encoders: TF-IDF, its first 300 singular vectors. The question alone has 0.5 by
    construction. Raises DataError for another kind of file.
    """
    from univar import schema

    labelled = read_labelled(path)
    texts = schema.qa_texts(*map(_arrow, (labelled.questions, labelled.answers))).to_pylist()
    return _measured(labelled, {name: of(texts) for name, of in embed.items()}, texts, seed)


def stored_values(store: Store, encoders: list[Encoded], settings: EvalSettings) -> Fulcra | None:
    """The same of a store whose rows carry labels; None where it has none or they are too few."""
    if COLUMN not in store.columns or not settings.baselines:
        return None
    labels = store.column(COLUMN)
    rows = np.flatnonzero([bool(text) for text in labels])
    if not len(rows):
        return None
    questions = store.text("question", rows)
    found = labelled_from(questions, store.text("answer", rows), labels[rows].tolist(), str(store.path))
    x = {encoder.name: encoder.matrix("eval", rows) for encoder in encoders}
    return _measured(found, x, found.answers, settings.seed)


def _measured(labelled: LabelledAnswers, x: dict[str, np.ndarray], texts: list[str], seed: int) -> Fulcra:
    x = {**x, "TF-IDF (LSA)": _lsa(texts, seed)}
    questions = labelled.clusters

    def measure(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
        found = auc.within_question(scores, labels, groups).macro().estimate
        return 0.5 if np.isnan(found) else found

    measured = {}
    for name, matrix in x.items():
        scores, _ = logistic.nested(matrix, labelled.labels, questions, measure, seed=seed)
        pairs = auc.within_question(scores, labelled.labels, questions)
        measured[name] = pairs.areas()
    return Fulcra(len(texts), labelled.values, compared(measured, labelled.values))


def _lsa(texts: list[str], seed: int) -> np.ndarray:
    features = tfidf(texts)
    dims = min(LSA_DIMS, min(features.shape) - 1)
    decomposition = classifiers.scikit_learn("sklearn.decomposition")
    x = decomposition.TruncatedSVD(dims, random_state=seed).fit_transform(features)
    unit: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit.astype(np.float32)


def _arrow(texts: list[str]) -> Any:
    import pyarrow as pa

    return pa.array(texts, pa.large_string())
