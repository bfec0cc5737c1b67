"""Settings of an evaluation, and how its rows are split: no question is on both sides."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    from univar.store import Store

TARGETS = ("source", "model", "language")
HEADLINE_K = 50
PROTOCOLS = ("questions", "paper")
SIDES = ("train", "eval")
CENTRES = ("none", "question", "language", "language-question")

SEEN_ROWS = 4000
"""Rows of each group that the split "seen" samples."""

SEEN_TEST_SHARE = 0.25

PAPER_TEST_ROWS = {
    "valueprism": (1250, 250),
    "pvqrr": (168, 40),
    "globe": (84, 30),
    "wvs": (251, 50),
    "lima": (985, 250),
}
"""Rows of each source in the paper's corpora, and how many of them it tests on."""

PAPER_TEST_SHARE = 0.2


@dataclass(frozen=True)
class EvalSettings:
    """Options of `evaluate`, part of its report.

    k:            numbers of neighbours; one-line figures use the one nearest to 50
    targets:      columns to predict: "source", "model", "language" or another
    within:       a column; rows are compared only with train rows of the same value (models of one corpus)
    protocol:     "questions": no question on both sides. "paper": UniVaR's split by row of one store
    non_value:    values of `within` that are not about values; the gain over other encoders is compared there
    bags:         numbers of answers of one source that are attributed together
    cluster:      what intervals are over: a column, or "question_id:2", its first two fields between colons
    bootstrap:    without effect since intervals are jackknife-t; kept for callers that give it
    permutations: shuffles of the train labels
    baselines:    linear probes, TF-IDF, and what length, declining and language tell (needs scikit-learn)
    seed:         random seed
    centre:       what other sources' mean answer is taken from each row: by question, language, both, or none
    folds:        folds of one store that share no question; 0 for two stores
    Raises UsageError for values that make no sense.
    """

    k: tuple[int, ...] = (5, 20, 50)
    targets: tuple[str, ...] = TARGETS
    within: str | None = None
    protocol: str = "questions"
    non_value: tuple[str, ...] = ()
    bags: tuple[int, ...] = (1, 5, 20)
    cluster: str | None = None
    bootstrap: int = 1000
    permutations: int = 100
    baselines: bool = True
    seed: int = 0
    centre: str = "none"
    folds: int = 0

    def __post_init__(self) -> None:
        if not self.k or min(self.k) < 1:
            raise UsageError(f"k must be numbers of neighbours of at least 1, got {list(self.k)}")
        if not self.targets:
            raise UsageError("no target to predict: choose source, model, language or another column")
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol {self.protocol!r}: choose {' or '.join(PROTOCOLS)}")
        if self.bootstrap < 1 or self.permutations < 0:
            raise UsageError("bootstrap must be at least 1 and permutations at least 0")
        if self.centre not in CENTRES:
            raise UsageError(f"unknown centring {self.centre!r}: choose {', '.join(CENTRES)}")
        if self.folds < 0 or self.folds == 1:
            raise UsageError(f"a store is parted into at least 2 folds, got {self.folds}")
        if self.folds and self.protocol == "paper":
            raise UsageError("--folds parts by question, --protocol paper by rows: choose one")
        if any(size < 1 for size in self.bags):
            raise UsageError(f"a bag holds at least 1 answer, got {list(self.bags)}")
        if self.non_value and self.within is None:
            raise UsageError("non-value corpora need --within COLUMN: name the column of the corpora")

    @classmethod
    def of(cls, options: dict[str, Any]) -> EvalSettings:
        """Settings from keyword arguments; lists become tuples. Raises UsageError for unknown names."""
        unknown = set(options) - {field.name for field in fields(cls)}
        if unknown:
            raise UsageError(f"evaluate has no option {', '.join(sorted(unknown))}")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
        }
        return cls(**given)

    @property
    def headline_k(self) -> int:
        """The k of one-line figures: the one nearest to 50."""
        return min(self.k, key=lambda n: abs(n - HEADLINE_K))

    def check_non_value(self, groups: list[GroupRows]) -> None:
        """Raise UsageError where `non_value` names no group, or all of them."""
        names = {str(group.name) for group in groups}
        if self.non_value and (set(self.non_value) - names or names <= set(self.non_value)):
            raise UsageError(
                f"non-value corpora must be some of {', '.join(sorted(names))}, not all, "
                f"got {', '.join(self.non_value)}"
            )


@dataclass(frozen=True)
class GroupRows:
    """Rows that are evaluated together. name: the column's value, None for all; train, eval: row numbers."""

    name: str | None
    train: np.ndarray
    eval: np.ndarray


@dataclass(frozen=True)
class Split:
    """One way to part the rows.

    name:   unseen_question, seen, unseen_model or paper
    stores: where the groups' train and eval rows are; sides: the same as "train" or "eval"
    """

    name: str
    stores: tuple[Store, Store]
    sides: tuple[str, str]
    groups: list[GroupRows]


def check_comparable(train: Store, eval: Store) -> None:
    """Raise DataError unless both stores were made by one encoder from texts of one format."""
    from univar.store import encoder_differences

    for name, ours, theirs in encoder_differences(train.encoder, eval.encoder):
        raise DataError(
            f"{train.path} and {eval.path} differ in the encoder's {name}: {ours!r} and {theirs!r}; "
            "embed both with one encoder"
        )
    if train.text_format != eval.text_format:
        raise DataError(
            f"{train.path} holds texts of format {train.text_format!r}, {eval.path} of {eval.text_format!r}; "
            "embed both with one version of univar"
        )


def question_key(text: str) -> str:
    """A question without differences of case and spaces."""
    return " ".join(text.split()).casefold()


def clusters(store: Store, rows: np.ndarray, spec: str | None) -> np.ndarray:
    """(n,) the cluster of some rows: what repeats at the highest level, by default the question.

    spec: None, a column, or COLUMN:N for the first N fields of the column between colons
    """
    column, _, fields_kept = (spec or "question_id").partition(":")
    if fields_kept and not fields_kept.isdecimal():
        raise UsageError(f"--cluster {spec!r} is not COLUMN or COLUMN:N, such as question_id:2")
    texts = np.array(store.text(column, rows), dtype=object)
    if not fields_kept:
        return texts
    return np.array([":".join(text.split(":")[: int(fields_kept)]) for text in texts], dtype=object)


def overlapping(train: Store, eval: Store) -> np.ndarray:
    """(n,) bool, rows of `eval` whose question, by id or by text, is in `train` too."""
    ids = set(train.column("question_id")) - {""}
    texts = {question_key(text) for text in set(train.column("question"))}
    by_id = [question_id in ids for question_id in eval.column("question_id")]
    by_text = [question_key(text) in texts for text in eval.column("question")]
    return np.array(by_id, dtype=bool) | np.array(by_text, dtype=bool)


def unseen_questions(train: Store, eval: Store, within: str | None, kept: np.ndarray) -> Split:
    """Rows of `eval` against all of `train`; only rows where `kept` (n,) bool count."""
    return Split("unseen_question", (train, eval), SIDES, groups(train, eval, within, kept))


def seen(store: Store, within: str | None, seed: int) -> Split:
    """Rows of `train` against other rows of it, of the same questions too: what the encoder may have seen."""
    rng = np.random.default_rng(seed)
    found = []
    for name, rows in _values(store, within):
        sample = np.sort(rng.permutation(rows)[:SEEN_ROWS])
        test = np.zeros(len(sample), dtype=bool)
        test[rng.permutation(len(sample))[: int(len(sample) * SEEN_TEST_SHARE)]] = True
        found.append(GroupRows(name, sample[~test], sample[test]))
    return Split("seen", (store, store), ("train", "train"), found)


def unseen_models(train: Store, eval: Store, within: str | None, seed: int) -> Split:
    """Rows of models that `train` lacks, half of their questions against the other half."""
    known = set(train.codes("model")[1])
    unknown = np.array([model not in known for model in eval.column("model")], dtype=bool)
    rng = np.random.default_rng(seed)
    found = []
    for name, rows in _values(eval, within):
        rows = rows[unknown[rows]]
        if len(rows):
            first = first_half(np.array(eval.text("question_id", rows), dtype=object), rng)
            found.append(GroupRows(name, rows[first], rows[~first]))
    return Split("unseen_model", (eval, eval), ("eval", "eval"), found)


def paper_rows(store: Store, within: str | None, seed: int) -> Split:
    """The paper's split: by row inside each source, so that every question is on both sides."""
    sources, _ = store.codes("source")
    rng = np.random.default_rng(seed)
    found = []
    for name, rows in _values(store, within):
        test = np.zeros(len(rows), dtype=bool)
        corpus = re.sub("[^a-z]", "", (name or "").lower())
        total, held_out = PAPER_TEST_ROWS.get(corpus, (1, PAPER_TEST_SHARE))
        for source in np.unique(sources[rows]):
            own = rng.permutation(np.flatnonzero(sources[rows] == source))
            test[own[: max(1, round(len(own) * held_out / total))]] = len(own) > 1
        found.append(GroupRows(name, rows[~test], rows[test]))
    return Split("paper", (store, store), ("train", "train"), found)


def first_half(questions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows (n,) bool of a random half of the questions (n,)."""
    names, number = np.unique(questions, return_inverse=True)
    return np.isin(number, rng.permutation(len(names))[: len(names) // 2])


def _values(store: Store, within: str | None) -> list[tuple[str | None, np.ndarray]]:
    """Each value of a column and its rows; all rows without a column."""
    if within is None:
        return [(None, np.arange(len(store)))]
    codes, names = store.codes(within)
    return [(name, np.flatnonzero(codes == code)) for code, name in enumerate(names)]


def groups(train: Store, eval: Store, within: str | None, kept: np.ndarray) -> list[GroupRows]:
    """The groups that rows of `eval` are in, in order of names; only rows where `kept` (n,) bool count."""
    if within is None:
        return [GroupRows(None, np.arange(len(train)), np.flatnonzero(kept))]
    train_codes, train_names = train.codes(within)
    eval_codes, eval_names = eval.codes(within)
    number_of = {name: number for number, name in enumerate(train_names)}
    found = []
    for code, name in enumerate(eval_names):
        rows = np.flatnonzero((eval_codes == code) & kept)
        found.append(GroupRows(name, np.flatnonzero(train_codes == number_of.get(name, -1)), rows))
    return found


def shared_labels(
    stores: tuple[Store, Store], target: str, group: GroupRows
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels of a group as numbers that both sides share.

    returns: the labels of the group's train rows in order, (T,) int64 labels of its train rows, and (E,)
             int64 labels of its eval rows, -1 for a label that no train row has
    """
    (train_codes, train_names), (eval_codes, eval_names) = (store.codes(target) for store in stores)
    present, labels = np.unique(train_codes[group.train], return_inverse=True)
    names = [train_names[code] for code in present.tolist()]
    number_of = {name: number for number, name in enumerate(names)}
    renumbered = np.array([number_of.get(name, -1) for name in eval_names] or [-1], dtype=np.int64)
    return names, labels.astype(np.int64), renumbered[eval_codes[group.eval]]
