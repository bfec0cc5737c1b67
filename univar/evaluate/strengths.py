"""Classifiers of answers: each says how strongly an answer speaks for each label.

A classifier is made for one group of rows and asked for one target after the other. Targets that part the
rows in the same way (source and model within one language) are trained once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from univar.errors import UsageError

LENGTH_BINS = 20
PROBE_C = 10.0
PROBE_ITERATIONS = 200
PROBE_ROWS = 50_000
"""More train rows than these are sampled before a linear probe is fitted."""


class Rows(Protocol):
    """A matrix of which rows can be taken: an array, or rows on the disk."""

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


class Classifier:
    """fit(labels (T,), L, seed) -> (E, L) float, how strongly each eval row speaks for each label."""

    def __init__(self, fit: Callable[[np.ndarray, int, int], np.ndarray]) -> None:
        self._fit = fit
        self._known: dict[bytes, np.ndarray] = {}

    def strength(self, labels: np.ndarray, n_labels: int, rows: np.ndarray, seed: int) -> np.ndarray:
        """How strongly each answer speaks for each label: (n, L), higher is better, sums over answers.

        labels: (T,) int64 of the answers to train on, each of [0, L) at least once; L >= 2
        rows:   (n,) int64, which of the answers to judge
        """
        _, first, partition = np.unique(labels, return_index=True, return_inverse=True)
        by_appearance = np.argsort(np.argsort(first))  # label -> its number in order of first appearance
        partition = by_appearance[partition]
        key = partition.tobytes()
        if key not in self._known:
            self._known[key] = self._fit(partition, n_labels, seed)
        return self._known[key][rows][:, by_appearance]


def linear_probe(train: Rows, eval: np.ndarray) -> Classifier:
    """Multinomial logistic regression with L2 of strength 1/10; log-probabilities.

    train: (T, D) embeddings; eval: (E, D) float32. Above PROBE_ROWS train rows it sees a random sample of
    them. Raises UsageError where scikit-learn is not installed.
    """

    def fit(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        linear_model = scikit_learn("sklearn.linear_model")
        seen = sampled_rows(labels, PROBE_ROWS, seed)
        model = linear_model.LogisticRegression(C=PROBE_C, max_iter=PROBE_ITERATIONS)
        with quiet_about_convergence():
            model.fit(np.ascontiguousarray(train[seen], dtype=np.float32), labels[seen])
        return model.predict_log_proba(eval)

    return Classifier(fit)


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
            return torch.log_softmax(torch.from_numpy(eval) @ weight.T + bias, dim=1).numpy()

    return Classifier(fit)


PAPER_EPOCHS = 20
PAPER_BATCH = 512


def by_category(train: np.ndarray, eval: np.ndarray) -> Classifier:
    """What one category of each answer tells alone: log-probability of each label in the category.

    train, eval: (T,) and (E,) int64 categories. A category without train rows tells the labels' frequencies.
    """

    def fit(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
        n_categories = 1 + int(max(train.max(initial=0), eval.max(initial=0)))
        prior = np.bincount(labels, minlength=n_labels) / max(1, len(labels))
        counts = np.bincount(train * n_labels + labels, minlength=n_categories * n_labels)
        shares = counts.reshape(n_categories, n_labels) + prior
        return np.log(np.maximum(shares / shares.sum(axis=1, keepdims=True), 1e-12))[eval]

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
