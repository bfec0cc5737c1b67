"""What answers to a question have in common: means that an index keeps, so that queries can be centred too.

A row of the index is centred by the answers of *other* sources (`univar.statistics.centring`). Who wrote a
query is unknown, so a query is centred by all of the index's answers to its question, at least LEAST of them,
or not at all. A question is found by its id and language where the input has them, else by its text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import UsageError
from univar.statistics.centring import LEAST

if TYPE_CHECKING:
    from univar.store import Store

CENTRES = ("none", "question", "language", "language-question")
UNKNOWN = -1


def question_key(text: str) -> str:
    """A question without differences of case and spaces."""
    return " ".join(text.split()).casefold()


def keys(*columns: Iterable[str]) -> np.ndarray:
    """(n,) uint64, one number for the texts of each row in all columns."""
    rows = zip(*columns, strict=True)
    digests = (hashlib.blake2b("\x1f".join(row).encode(), digest_size=8).digest() for row in rows)
    return np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)


def cluster_texts(store: Store, spec: str) -> list[str]:
    """The cluster of each row of a store.

    spec: a column, or COLUMN:N for its first N fields between colons. Raises UsageError for another one.
    """
    column, _, fields_kept = spec.partition(":")
    if fields_kept and not (fields_kept.isdecimal() and int(fields_kept)):
        raise UsageError(f"--cluster {spec!r} is not COLUMN or COLUMN:N, such as question_id:2")
    texts = [str(text) for text in store.column(column)]
    return [cluster_of(text, spec) for text in texts]


def cluster_of(text: str, spec: str) -> str:
    """The cluster that a column's text stands for: the text, or its first fields with COLUMN:N."""
    fields_kept = spec.partition(":")[2]
    return ":".join(text.split(":")[: int(fields_kept)]) if fields_kept else text


@dataclass(frozen=True)
class Groups:
    """Which answers are centred together, and which are left out together.

    questions: (N,) codes by which rows are centred first, -1 for none; clusters: (N,) propositions, by which
    the others are centred and which calibration leaves out whole
    centred_clusters: (N,) codes for the second step of centring
    """

    questions: np.ndarray
    clusters: np.ndarray
    centred_clusters: np.ndarray

    @classmethod
    def of(cls, store: Store, centre: str, cluster: str | None) -> Groups:
        """centre: one of CENTRES; cluster: as in `cluster_texts`; None: the question."""
        ids, languages = _ids(store), [str(language) for language in store.column("language")]
        propositions = ids if cluster is None else cluster_texts(store, cluster)
        _, clusters = np.unique(keys(propositions), return_inverse=True)
        nothing = np.full(len(ids), UNKNOWN)
        if centre == "none":
            return cls(nothing, clusters, nothing)
        if centre == "language":
            return cls(_codes(languages), clusters, nothing)
        by_language = centre == "language-question"
        first = _codes(ids, languages) if by_language else _codes(ids)
        second = _codes(propositions, languages) if by_language else _codes(propositions)
        return cls(first, clusters, nothing if cluster is None else second)


def _ids(store: Store) -> list[str]:
    """The question of each row: its id, else its text."""
    ids, texts = store.column("question_id"), store.column("question")
    return [str(own) or question_key(str(text)) for own, text in zip(ids, texts, strict=True)]


def _codes(*columns: Sequence[str]) -> np.ndarray:
    codes: np.ndarray = np.unique(keys(*columns), return_inverse=True)[1]
    return codes


@dataclass(frozen=True)
class QuestionMeans:
    """Means of the answers to each question that at least LEAST answers of the index are to.

    centre: what rows were centred by; means: (G, D) float32; by_id, by_text: sorted (n,) uint64 keys and the
    (n,) int64 group of each; with centre "language", by_id holds the languages
    """

    centre: str
    means: np.ndarray
    by_id: tuple[np.ndarray, np.ndarray]
    by_text: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, store: Store, x: np.ndarray, groups: Groups, centre: str) -> QuestionMeans:
        """x: (N, D) rows before centring; groups: what they were centred by."""
        codes, counts = np.unique(groups.questions[groups.questions >= 0], return_counts=True)
        big = codes[counts >= LEAST]
        kept = np.flatnonzero(np.isin(groups.questions, big))
        place = np.searchsorted(big, groups.questions[kept])
        means = np.zeros((len(big), x.shape[1]), np.float32)
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(len(big) + 1))
        for group in range(len(big)):
            means[group] = x[kept[order[starts[group] : starts[group + 1]]]].mean(axis=0)
        ids, texts, languages = (
            store.column(name)[kept].tolist() for name in ("question_id", "question", "language")
        )
        nothing = np.empty(0, np.uint64), np.empty(0, np.int64)
        by_text = nothing if centre == "language" else _lookup(keys(map(question_key, texts)), place)
        return cls(centre, means, _lookup(_id_keys(centre, ids, languages), place), by_text)

    def find(self, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str]) -> np.ndarray:
        """(n,) int64 group of each query, UNKNOWN where the index holds too few answers to its question.

        ids, texts, languages: of each query, "" where unknown
        """
        group = _found(self.by_text, keys([question_key(text) for text in texts]))
        by_id = _found(self.by_id, _id_keys(self.centre, ids, languages))
        return np.where(group == UNKNOWN, by_id, group)


def _id_keys(centre: str, ids: Sequence[str], languages: Sequence[str]) -> np.ndarray:
    if centre == "language":
        return keys(languages)
    return keys(ids, languages) if centre == "language-question" else keys(ids)


def _lookup(names: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted names and the group of each; a name that stands for several groups is left out."""
    pairs = np.unique(np.stack([names, groups.astype(np.uint64)], axis=1), axis=0)
    values, first, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    once = counts == 1
    return values[once], pairs[first[once], 1].astype(np.int64)


def _found(table: tuple[np.ndarray, np.ndarray], names: np.ndarray) -> np.ndarray:
    values, groups = table
    if not len(values):
        return np.full(len(names), UNKNOWN, np.int64)
    at = np.minimum(np.searchsorted(values, names), len(values) - 1)
    return np.where(values[at] == names, groups[at], UNKNOWN)
