"""Classifiers of answers, each of which scores every label for an answer: neighbours, probes, baselines.

A classifier is made for one group of rows and asked for one target after the other. Targets that part the
rows in the same way (source and model within one language) are trained once.

The strongest baseline is TF-IDF and logistic regression on the answer alone. It sees the surface only: words,
punctuation, line breaks. What does not beat it has shown no knowledge of values.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from univar.errors import UsageError
from univar.evaluate.against import Encoded
from univar.evaluate.metrics import Prediction, predict
from univar.evaluate.protocol import GroupRows
from univar.heads.logistic import group_folds
from univar.search.attribute import neighbour_labels, votes
from univar.search.exact import ExactSearch
from univar.search.words import UNSPACED

_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]+|\n+")

TFIDF_FEATURES = 100_000
TFIDF_ALPHA = 1e-5
TFIDF_EPOCHS = 5
LENGTH_BINS = 20
PROBE_C = 10.0
PROBE_STRENGTHS = (0.1, 1.0, 10.0, 100.0)
CHOOSING_FOLDS = 3
CHOOSING_ROWS = 2000
"""Train rows that C is chosen on at most."""

PROBE_ITERATIONS = 200
PROBE_ROWS = 50_000
"""More train rows than these are sampled before a linear probe is fitted."""
PAPER_EPOCHS = 20
PAPER_BATCH = 512
_CELLS_AT_ONCE = 1 << 21
"""Rows times labels that are counted at once: 16 MiB of float64."""


class Rows(Protocol):
    """A matrix of which rows can be taken: an array, or rows on the disk."""

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


class Classifier:
    """fit(labels (T,), L, seed) -> (E, L) float, the score of each label for each eval row."""

    def __init__(self, fit: Callable[[np.ndarray, int, int], np.ndarray]) -> None:
        self._fit = fit
        self.chosen: float | None = None
        self._known: dict[bytes, np.ndarray] = {}

    def scores(self, labels: np.ndarray, n_labels: int, rows: np.ndarray, seed: int) -> np.ndarray:
        """(n, L) score of each label for each answer: higher is better; scores of several answers add up.

        labels: (T,) int64 of the answers to train on, each of [0, L) at least once; L >= 2
        rows:   (n,) int64, which of the eval answers
        """
        _, first, partition = np.unique(labels, return_index=True, return_inverse=True)
        by_appearance = np.argsort(np.argsort(first))  # label -> its number in order of first appearance
        partition = by_appearance[partition]
        key = partition.tobytes()
        if key not in self._known:
            self._known[key] = self._fit(partition, n_labels, seed)
        return self._known[key][rows][:, by_appearance]


def linear_probe(
    train: Rows, eval: np.ndarray, questions: np.ndarray | None = None, c: float | None = None
) -> Classifier:
    """Multinomial logistic regression with L2 regularisation; log-probabilities.

    train:     (T, D) embeddings; eval: (E, D) float32
    questions: (T,) int64 question of each train row: C is chosen by folds that share none, else it is `c`
    Above PROBE_ROWS train rows it sees a random sample of them. Raises UsageError without scikit-learn.
    """

    def fit(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        linear_model = scikit_learn("sklearn.linear_model")
        seen = sampled_rows(labels, PROBE_ROWS, seed)
        used = c or PROBE_C
        if questions is not None:
            few = sampled_rows(labels, CHOOSING_ROWS, seed)
            used = chosen_c(np.asarray(train[few], np.float32), labels[few], questions[few], seed)
        model = linear_model.LogisticRegression(C=used, max_iter=PROBE_ITERATIONS)
        with quiet_about_convergence():
            model.fit(np.ascontiguousarray(train[seen], dtype=np.float32), labels[seen])
        probe.chosen = used
        log_shares: np.ndarray = model.predict_log_proba(eval)
        return log_shares

    probe = Classifier(fit)
    return probe


def chosen_c(x: np.ndarray, labels: np.ndarray, questions: np.ndarray, seed: int) -> float:
    """The C of PROBE_STRENGTHS that gives rows of questions kept aside the highest likelihood.

    x: (n, D) float32; labels, questions: (n,) int64. PROBE_C where questions are too few to part.
    """
    linear_model = scikit_learn("sklearn.linear_model")
    fold = group_folds(questions, CHOOSING_FOLDS, seed)
    gain = dict.fromkeys(PROBE_STRENGTHS, 0.0)
    for number in range(CHOOSING_FOLDS):
        fitted, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        present = np.unique(labels[fitted])
        test = test[np.isin(labels[test], present)]
        if len(present) < 2 or not len(test):
            return PROBE_C
        model = linear_model.LogisticRegression(max_iter=PROBE_ITERATIONS, warm_start=True)
        for c in PROBE_STRENGTHS:
            with quiet_about_convergence():
                model.set_params(C=c).fit(x[fitted], labels[fitted])
            shares = np.log(np.maximum(model.predict_proba(x[test]), 1e-20))
            gain[c] += float(shares[np.arange(len(test)), np.searchsorted(present, labels[test])].sum())
    return max(PROBE_STRENGTHS, key=lambda c: gain[c])


def paper_probe(train: Rows, eval: np.ndarray) -> Classifier:
    """The paper's linear probe: one layer, Adam 2e-3 falling linearly over 20 epochs, batches of 512."""

    def fit(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        import torch

        random = torch.Generator().manual_seed(seed)
        matrix = np.ascontiguousarray(train[np.arange(len(labels))], dtype=np.float32)
        x, y = torch.from_numpy(matrix), torch.from_numpy(labels)
        bound = matrix.shape[1] ** -0.5
        weight = (torch.rand((n_labels, matrix.shape[1]), generator=random) * 2 - 1) * bound
        bias = (torch.rand(n_labels, generator=random) * 2 - 1) * bound
        parameters = [weight.requires_grad_(), bias.requires_grad_()]
        optimizer = torch.optim.Adam(parameters, lr=2e-3)
        for epoch in range(PAPER_EPOCHS):
            optimizer.param_groups[0]["lr"] = 2e-3 * (1 - epoch / PAPER_EPOCHS)
            for rows in torch.randperm(len(x), generator=random).split(PAPER_BATCH):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(x[rows] @ weight.T + bias, y[rows]).backward()
                optimizer.step()
        with torch.no_grad():
            scores = torch.from_numpy(eval) @ weight.T + bias
            log_shares: np.ndarray = torch.log_softmax(scores, dim=1).numpy()
        return log_shares

    return Classifier(fit)


def by_category(train: np.ndarray, eval: np.ndarray) -> Classifier:
    """Log-probability of each label among the answers of one category, such as their length.

    train, eval: (T,) and (E,) int64 categories. A category without train rows gives the labels' frequencies.
    """

    def fit(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        n_categories = 1 + int(max(train.max(initial=0), eval.max(initial=0)))
        prior = np.bincount(labels, minlength=n_labels) / max(1, len(labels))
        counts = np.bincount(train * n_labels + labels, minlength=n_categories * n_labels)
        shares = counts.reshape(n_categories, n_labels) + prior
        log_shares: np.ndarray = np.log(np.maximum(shares / shares.sum(axis=1, keepdims=True), 1e-12))
        return log_shares[eval]

    return Classifier(fit)


def length_bins(train: np.ndarray, eval: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of 20 equally filled bins of the train lengths each length is in. (T,) and (E,) numbers."""
    edges = np.unique(np.quantile(train, np.linspace(0, 1, LENGTH_BINS + 1)[1:-1]))
    return np.searchsorted(edges, train, side="right"), np.searchsorted(edges, eval, side="right")


def sampled_rows(labels: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """All rows, or `limit` of them at random in their order, one of each label among them."""
    if len(labels) <= limit:
        return np.arange(len(labels))
    first = np.unique(labels, return_index=True)[1]
    return np.unique([*first, *np.random.default_rng(seed).permutation(len(labels))[: limit - len(first)]])


def scikit_learn(module: str) -> Any:
    """A module of scikit-learn. Raises UsageError where it is not installed."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            "linear probes and the TF-IDF baseline need scikit-learn: install the extra "
            "univar-embed[evaluate], or leave them out with --no-baseline"
        ) from error


def quiet_about_convergence() -> Any:
    """A context in which scikit-learn does not warn that a fit stopped at its last iteration."""
    import contextlib
    import warnings

    @contextlib.contextmanager
    def quiet() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", scikit_learn("sklearn.exceptions").ConvergenceWarning)
            yield

    return quiet()


def tokens(text: str) -> list[str]:
    """Words, runs of signs, runs of line breaks; each character of a script without spaces is a word."""
    return _TOKEN.findall(text)


def one_and_two_grams(text: str) -> list[str]:
    """The features of an answer: its tokens, and each pair of neighbours."""
    words = tokens(text)
    return words + [f"{first} {second}" for first, second in itertools.pairwise(words)]


def tfidf(
    train_answers: list[str],
    eval_answers: list[str],
    centring: Sequence[Callable[[Any], Any] | None] = (None, None),
) -> Classifier:
    """A linear classifier on TF-IDF features of the answers' words.

    centring: what is done to the features of each side, None for nothing
    Raises UsageError where scikit-learn is not installed.
    """
    text = scikit_learn("sklearn.feature_extraction.text")
    vectorizer = text.TfidfVectorizer(
        analyzer=one_and_two_grams,
        min_df=2 if len(train_answers) > 1000 else 1,
        max_features=TFIDF_FEATURES,
        sublinear_tf=True,
        dtype=np.float32,
    )
    train = vectorizer.fit_transform(train_answers or [""])
    eval = vectorizer.transform(eval_answers)
    train, eval = (x if done is None else done(x) for x, done in zip((train, eval), centring, strict=True))

    def fit(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        linear_model = scikit_learn("sklearn.linear_model")
        model = linear_model.SGDClassifier(
            loss="log_loss", alpha=TFIDF_ALPHA, max_iter=TFIDF_EPOCHS, tol=None, random_state=seed
        )
        margins = model.fit(train, labels).decision_function(eval)
        if n_labels == 2:  # scikit-learn gives one column for two labels
            margins = np.stack([-margins, margins], axis=1)
        return margins

    return Classifier(fit)


@dataclass(frozen=True)
class Neighbours:
    """The nearest train rows of n eval rows. scores: (n, k) float32; indices: (n, k) int64, -1 for none."""

    scores: np.ndarray
    indices: np.ndarray

    def of(self, rows: np.ndarray | slice, k: int | None = None) -> Neighbours:
        """Those of some eval rows, the first k of each."""
        return Neighbours(self.scores[rows, :k], self.indices[rows, :k])

    def vote_shares(self, labels: np.ndarray, n_labels: int) -> np.ndarray:
        """(n, L) float32, rows sum to 1: share of the votes; a little of the similarity breaks ties."""
        _, strength = votes(self.scores, neighbour_labels(labels, self.indices), n_labels)
        shares: np.ndarray = strength / np.maximum(strength.sum(axis=1, keepdims=True), 1e-12)
        return shares.astype(np.float32)

    def predict(self, labels: np.ndarray, truth: np.ndarray, n_labels: int) -> Prediction:
        """By vote, in pieces that fit in memory. labels: (T,) int64 of the train rows; truth: (n,) int64."""
        best, rank = np.empty(len(truth), dtype=np.int64), np.empty(len(truth), dtype=np.int64)
        beats = np.empty(len(truth), dtype=np.float32)
        for part in _pieces(len(truth), n_labels):
            near = self.of(part)
            _, strength = votes(near.scores, neighbour_labels(labels, near.indices), n_labels)
            found = predict(strength, truth[part], strength > 0)
            best[part], rank[part], beats[part] = found.best, found.rank, found.beats
        return Prediction(truth, best, rank, n_labels, beats)

    def shuffled_accuracy(
        self,
        labels: np.ndarray,
        truth: np.ndarray,
        n_labels: int,
        shuffles: int,
        seed: int,
        strata: np.ndarray | None = None,
    ) -> np.ndarray:
        """(shuffles,) accuracy with the labels of the train rows shuffled: the neighbours' chance level.

        strata: (T,) labels are shuffled among the train rows with the same number only
        Other arguments as in `predict`.
        """
        rng = np.random.default_rng(seed)
        accuracy = np.empty(shuffles)
        for number in range(shuffles):
            shuffled, right = shuffled_within(labels, strata, rng), 0
            for part in _pieces(len(truth), n_labels):
                near = self.of(part)
                _, strength = votes(near.scores, neighbour_labels(shuffled, near.indices), n_labels)
                right += int((strength.argmax(axis=1) == truth[part]).sum())
            accuracy[number] = right / max(1, len(truth))
        return accuracy


def nearest(encoder: Encoded, sides: tuple[str, str], group: GroupRows, k: int) -> Neighbours:
    """The k nearest train rows of each eval row, within the group, by exact search.

    sides: from which side of the encoder the group's train and eval rows come
    The indices count the rows of group.train; they are -1 where it has fewer rows than k.
    """
    queries = encoder.matrix(sides[1], group.eval)
    width = min(k, len(group.train))
    corpus = encoder.some(sides[0], group.train)
    scores, indices = ExactSearch(corpus, encoder.dim).search(queries, width)
    padding = ((0, 0), (0, k - width))
    return Neighbours(
        np.pad(scores, padding, constant_values=-np.inf), np.pad(indices, padding, constant_values=-1)
    )


def other_questions(
    encoder: Encoded, side: str, train: np.ndarray, rows: np.ndarray, questions: np.ndarray, k: int
) -> Neighbours:
    """The k nearest train rows of other questions, of some train rows.

    train: (T,) rows of one side of the encoder; rows: (n,) which of them are asked; questions: (T,) int64
    """
    most = int(np.bincount(questions).max())
    width = min(k + most, len(train))
    corpus = encoder.some(side, train)
    scores, indices = ExactSearch(corpus, encoder.dim).search(encoder.matrix(side, train[rows]), width)
    own = questions[indices] == questions[rows][:, None]
    order = np.argsort(own, axis=1, kind="stable")[:, :k]  # other questions first, in their order
    lost = np.take_along_axis(own, order, axis=1)
    near = np.take_along_axis(indices, order, axis=1)
    far = np.take_along_axis(scores, order, axis=1)
    missing = ((0, 0), (0, k - order.shape[1]))
    return Neighbours(
        np.pad(np.where(lost, -np.inf, far), missing, constant_values=-np.inf).astype(np.float32),
        np.pad(np.where(lost, -1, near), missing, constant_values=-1),
    )


def shuffled_within(labels: np.ndarray, strata: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """labels (T,) in random order, each staying in its stratum; strata: (T,) int64, None for one stratum."""
    if strata is None:
        return rng.permutation(labels)
    shuffled = np.empty_like(labels)
    shuffled[np.argsort(strata, kind="stable")] = labels[np.lexsort((rng.random(len(labels)), strata))]
    return shuffled


def _pieces(n: int, n_labels: int) -> Iterator[slice]:
    """Rows that are counted at once."""
    step = max(1, _CELLS_AT_ONCE // n_labels)
    return (slice(start, start + step) for start in range(0, n, step))
