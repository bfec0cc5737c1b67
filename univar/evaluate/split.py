"""Which rows are compared: no question on both sides, and neighbours only from the same group."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import DataError
from univar.evaluate.encoded import SIDES

if TYPE_CHECKING:
    from univar.store import Store


SEEN_ROWS = 4000
"""Rows of each group that the setting "seen" samples."""

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
class Group:
    """Rows that are evaluated together. name: the column's value, None for all; train, eval: row numbers."""

    name: str | None
    train: np.ndarray
    eval: np.ndarray


@dataclass(frozen=True)
class Setting:
    """One way to part the rows.

    name:   unseen_question, seen, unseen_model or paper
    stores: where the groups' train and eval rows are; sides: the same as "train" or "eval"
    """

    name: str
    stores: tuple[Store, Store]
    sides: tuple[str, str]
    groups: list[Group]


def check_comparable(train: Store, eval: Store) -> None:
    """Raise DataError unless both stores were made by one encoder from texts of one form."""
    from univar.store import encoder_differences

    for name, ours, theirs in encoder_differences(train.encoder, eval.encoder):
        raise DataError(
            f"{train.path} and {eval.path} differ in the encoder's {name}: {ours!r} and {theirs!r}; "
            "embed both with one encoder"
        )
    if train.text_format != eval.text_format:
        raise DataError(
            f"{train.path} holds texts of form {train.text_format!r}, {eval.path} of {eval.text_format!r}; "
            "embed both with one version of univar"
        )


def question_key(text: str) -> str:
    """A question without differences of case and spaces."""
    return " ".join(text.split()).casefold()


def leaked(train: Store, eval: Store) -> np.ndarray:
    """Rows of `eval` whose question, by id or by text, is in `train` too; (n,) bool."""
    ids = set(train.column("question_id")) - {""}
    texts = {question_key(text) for text in set(train.column("question"))}
    by_id = [question_id in ids for question_id in eval.column("question_id")]
    by_text = [question_key(text) in texts for text in eval.column("question")]
    return np.array(by_id, dtype=bool) | np.array(by_text, dtype=bool)


def unseen_questions(train: Store, eval: Store, within: str | None, kept: np.ndarray) -> Setting:
    """Rows of `eval` against all of `train`; only rows where `kept` (n,) bool count."""
    return Setting("unseen_question", (train, eval), SIDES, groups(train, eval, within, kept))


def seen(store: Store, within: str | None, seed: int) -> Setting:
    """Rows of `train` against other rows of it, of the same questions too: what the encoder may have seen."""
    rng = np.random.default_rng(seed)
    found = []
    for name, rows in _values(store, within):
        sample = np.sort(rng.permutation(rows)[:SEEN_ROWS])
        test = np.zeros(len(sample), dtype=bool)
        test[rng.permutation(len(sample))[: int(len(sample) * SEEN_TEST_SHARE)]] = True
        found.append(Group(name, sample[~test], sample[test]))
    return Setting("seen", (store, store), ("train", "train"), found)


def unseen_models(train: Store, eval: Store, within: str | None, seed: int) -> Setting:
    """Rows of models that `train` lacks, half of their questions against the other half."""
    known = set(train.codes("model")[1])
    unknown = np.array([model not in known for model in eval.column("model")], dtype=bool)
    rng = np.random.default_rng(seed)
    found = []
    for name, rows in _values(eval, within):
        rows = rows[unknown[rows]]
        if len(rows):
            first = first_half(np.array(eval.text("question_id", rows), dtype=object), rng)
            found.append(Group(name, rows[first], rows[~first]))
    return Setting("unseen_model", (eval, eval), ("eval", "eval"), found)


def paper_rows(store: Store, within: str | None, seed: int) -> Setting:
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
        found.append(Group(name, rows[~test], rows[test]))
    return Setting("paper", (store, store), ("train", "train"), found)


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


def groups(train: Store, eval: Store, within: str | None, kept: np.ndarray) -> list[Group]:
    """The groups that rows of `eval` are in, in order of names; only rows where `kept` (n,) bool count."""
    if within is None:
        return [Group(None, np.arange(len(train)), np.flatnonzero(kept))]
    train_codes, train_names = train.codes(within)
    eval_codes, eval_names = eval.codes(within)
    number_of = {name: number for number, name in enumerate(train_names)}
    found = []
    for code, name in enumerate(eval_names):
        rows = np.flatnonzero((eval_codes == code) & kept)
        found.append(Group(name, np.flatnonzero(train_codes == number_of.get(name, -1)), rows))
    return found


def shared_labels(
    stores: tuple[Store, Store], target: str, group: Group
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
