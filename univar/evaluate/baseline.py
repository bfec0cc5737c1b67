"""The baseline beside every attribution: TF-IDF and logistic regression on the answer alone.

It sees the surface only: words, punctuation, line breaks. What does not beat it has shown no knowledge of
values.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

from univar.evaluate.strengths import Classifier, scikit_learn

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


def tfidf(train_answers: list[str], eval_answers: list[str]) -> Classifier:
    """TF-IDF features of one set of answers to train on and one to judge, and a linear classifier on them.

    Raises UsageError where scikit-learn is not installed.
    """
    text = scikit_learn("sklearn.feature_extraction.text")
    vectorizer = text.TfidfVectorizer(
        analyzer=one_and_two_grams,
        min_df=2 if len(train_answers) > 1000 else 1,
        max_features=MAX_FEATURES,
        sublinear_tf=True,
        dtype=np.float32,
    )
    train = vectorizer.fit_transform(train_answers or [""])
    eval = vectorizer.transform(eval_answers)

    def fit(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        linear_model = scikit_learn("sklearn.linear_model")
        model = linear_model.SGDClassifier(
            loss="log_loss", alpha=ALPHA, max_iter=EPOCHS, tol=None, random_state=seed
        )
        margins = model.fit(train, labels).decision_function(eval)
        if n_labels == 2:  # scikit-learn gives one column for two labels
            margins = np.stack([-margins, margins], axis=1)
        return margins

    return Classifier(fit)
