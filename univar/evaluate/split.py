"""Which rows are compared: no question on both sides, and neighbours only from the same group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import DataError

if TYPE_CHECKING:
    from univar.store import Store


@dataclass(frozen=True)
class Group:
    """Rows that are evaluated together. name: the column's value, None for all; train, eval: row numbers."""

    name: str | None
    train: np.ndarray
    eval: np.ndarray


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
    train: Store, eval: Store, target: str, group: Group
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels of a group as numbers that both sides share.

    returns: the labels of the group's train rows in order, (T,) int64 labels of its train rows, and (E,)
             int64 labels of its eval rows, -1 for a label that no train row has
    """
    train_codes, train_names = train.codes(target)
    eval_codes, eval_names = eval.codes(target)
    present, labels = np.unique(train_codes[group.train], return_inverse=True)
    names = [train_names[code] for code in present.tolist()]
    number_of = {name: number for number, name in enumerate(names)}
    renumbered = np.array([number_of.get(name, -1) for name in eval_names] or [-1], dtype=np.int64)
    return names, labels.astype(np.int64), renumbered[eval_codes[group.eval]]
