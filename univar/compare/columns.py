"""Columns of a store as codes: what is compared, what counts once, what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import UsageError

if TYPE_CHECKING:
    from univar.compare.releases import Releases
    from univar.store import Store


def column_codes(store: Store | Releases, spec: str) -> tuple[np.ndarray, list[str]]:
    """(codes (N,) int64, labels) of COLUMN, or of COLUMN:K, its first K fields between colons.

    Raises UsageError for a column that the store lacks and for a K that is no number.
    """
    name, _, kept = spec.partition(":")
    if kept and not (kept.isdecimal() and int(kept) > 0):
        raise UsageError(f"{spec!r} is not COLUMN or COLUMN:K, such as question_id:2")
    codes, labels = store.codes(name.replace("-", "_"))
    if not kept:
        return codes.astype(np.int64), labels
    return _renamed(codes, [":".join(label.split(":")[: int(kept)]) for label in labels])


def rest_codes(store: Store | Releases, spec: str) -> tuple[np.ndarray, list[str]]:
    """(codes (N,), labels) of what COLUMN:K leaves out: the fields after the first K; "" where none is."""
    name, _, kept = spec.partition(":")
    codes, labels = store.codes(name.replace("-", "_"))
    fields = int(kept) if kept else 10**6
    return _renamed(codes, [":".join(label.split(":")[fields:]) for label in labels])


def joined(parts: Sequence[tuple[np.ndarray, list[str]]], sign: str = "/") -> tuple[np.ndarray, list[str]]:
    """(codes (N,) int64, labels) of several columns together; only combinations that occur."""
    codes, labels = parts[0][0].astype(np.int64), list(parts[0][1])
    for more, names in parts[1:]:
        pairs, codes = np.unique(codes * max(len(names), 1) + more, return_inverse=True)
        labels = [
            sign.join((labels[first], names[second]))
            for first, second in (divmod(pair, max(len(names), 1)) for pair in pairs.tolist())
        ]
    return _renamed(codes.astype(np.int64), labels)


def question_codes(store: Store | Releases) -> tuple[np.ndarray, list[str]]:
    """(codes (N,), labels) of what was asked: `question_id`, and the question's text where it is empty."""
    ids = store.codes("question_id") if "question_id" in store.columns else None
    if ids is not None and "" not in ids[1]:
        return ids[0].astype(np.int64), ids[1]
    texts, names = store.codes("question")
    if ids is None:
        return texts.astype(np.int64), names
    empty = ids[0] == ids[1].index("")
    return _renamed(np.where(empty, len(ids[1]) + texts, ids[0]), [*ids[1], *names])


def _renamed(codes: np.ndarray, labels: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Codes and labels where equal labels share a code and every label occurs; labels sorted."""
    used = np.unique(codes)
    names = sorted({labels[code] for code in used.tolist()})
    number = {name: i for i, name in enumerate(names)}
    renumbered = np.full(len(labels), -1, np.int64)
    for code in used.tolist():
        renumbered[code] = number[labels[code]]
    return renumbered[codes], names
