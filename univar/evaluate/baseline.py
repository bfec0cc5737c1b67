"""The baseline beside every attribution: TF-IDF and logistic regression on the answer alone.

It sees the surface only: words, punctuation, line breaks. What does not beat it has shown no knowledge of
values.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np

from univar.errors import UsageError

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]+|\n+")

MAX_FEATURES = 100_000
ALPHA = 1e-5
EPOCHS = 5


def tokens(text: str) -> list[str]:
    """Words, runs of signs, runs of line breaks; each character of a script without spaces is a word."""
    return _TOKEN.findall(text)


def one_and_two_grams(text: str) -> list[str]:
    """The features of an answer: its tokens, and each pair of neighbours."""
    words = tokens(text)
    return words + [f"{first} {second}" for first, second in itertools.pairwise(words)]


class SurfaceBaseline:
    """TF-IDF features of one set of answers to train on and one to judge, for any number of targets.

    Raises UsageError where scikit-learn is not installed.
    """

    def __init__(self, train_answers: list[str], eval_answers: list[str]) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise UsageError(
                "the baseline needs scikit-learn: install the extra univar-embed[evaluate], or leave it out "
                "with --no-baseline"
            ) from error
        vectorizer = TfidfVectorizer(
            analyzer=one_and_two_grams,
            min_df=2 if len(train_answers) > 1000 else 1,
            max_features=MAX_FEATURES,
            sublinear_tf=True,
            dtype=np.float32,
        )
        self._train: Any = vectorizer.fit_transform(train_answers or [""])
        self._eval: Any = vectorizer.transform(eval_answers)
        self._known: dict[bytes, np.ndarray] = {}

    def strength(self, labels: np.ndarray, n_labels: int, rows: np.ndarray, seed: int) -> np.ndarray:
        """How strongly each answer speaks for each label: (n, L) float64, higher is better.

        labels: (N,) int64 of the answers to train on, each of [0, L) at least once; L >= 2
        rows:   (n,) int64, which of the answers to judge
        Targets that part the rows in the same way (source and model within one language) are trained once.
        """
        _, first, partition = np.unique(labels, return_index=True, return_inverse=True)
        by_appearance = np.argsort(np.argsort(first))  # label -> its number in order of first appearance
        partition = by_appearance[partition]
        key = partition.tobytes()
        if key not in self._known:
            self._known[key] = self._fit(partition, n_labels, seed)
        return self._known[key][rows][:, by_appearance]

    def _fit(self, labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        from sklearn.linear_model import SGDClassifier

        model = SGDClassifier(loss="log_loss", alpha=ALPHA, max_iter=EPOCHS, tol=None, random_state=seed)
        margins = model.fit(self._train, labels).decision_function(self._eval)
        if n_labels == 2:  # scikit-learn gives one column for two labels
            margins = np.stack([-margins, margins], axis=1)
        return margins
