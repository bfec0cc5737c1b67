"""Residuals of embeddings: what an answer says beyond what other sources answered to the same question.

A row is centred by the mean of the answers that *other sources* gave to its question, where there are at
least `LEAST`; else by the mean of those to its proposition (`clusters`), with the same least number; else it
is left as it is and counted. A source's own answers never enter its own mean, so a question that only one
source answered is not centred away to nothing. No label but the source's identity is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST = 3
"""Answers of other sources that a mean needs: one hurts, two change nothing, three help."""

LEVELS = ("none", "question", "cluster")
"""What `Centred.level` counts: not centred, by the question, by the proposition."""


@dataclass(frozen=True)
class Centred:
    """Embeddings minus their panel's mean.

    embeddings: (N, D) float32, not normalised
    level:      (N,) uint8, index into LEVELS: how each row was centred
    """

    embeddings: np.ndarray
    level: np.ndarray

    @property
    def is_centred(self) -> np.ndarray:
        """(N,) bool, rows that some mean was taken from."""
        return self.level > 0

    @property
    def share(self) -> float:
        """Share of rows that were centred; 0 for no rows."""
        return float(np.mean(self.is_centred)) if len(self.level) else 0.0

    def note(self) -> str:
        """The panel in one sentence, as every table that uses it prints."""
        counts = np.bincount(self.level, minlength=len(LEVELS))
        return (
            f"centred by at least {LEAST} answers of other sources: {counts[1]:,} rows by question, "
            f"{counts[2]:,} by proposition; {counts[0]:,} left as they are"
        )


def centre(
    embeddings: np.ndarray,
    sources: np.ndarray,
    questions: np.ndarray,
    clusters: np.ndarray | None = None,
    *,
    least: int = LEAST,
) -> Centred:
    """Centre each row by other sources' answers to its question, else to its cluster.

    embeddings: (N, D) float16 or float32
    sources:    (N,) integer codes of who answered; rows of one code never centre each other
    questions:  (N,) integer codes of the question, or of question and language together; -1: unknown
    clusters:   (N,) integer codes of the proposition; -1: unknown; None: questions alone
    least:      answers of other sources that a mean must rest on, > 0
    Raises ValueError where lengths differ.
    """
    out = embeddings.astype(np.float32)
    level = np.zeros(len(out), np.uint8)
    for code, groups in enumerate((questions, clusters), start=1):
        if groups is None:
            continue
        if not len(groups) == len(sources) == len(out):
            raise ValueError(f"{len(out)} rows, but {len(sources)} sources and {len(groups)} groups")
        panel = Panel(embeddings, sources, groups)
        rows = np.flatnonzero((level == 0) & (panel.others(sources, groups) >= least))
        out[rows] -= panel.means(sources[rows], groups[rows])
        level[rows] = code
    return Centred(out, level)


def centre_sparse(
    x: Any, sources: np.ndarray, questions: np.ndarray, clusters: np.ndarray | None = None
) -> Any:
    """The same of sparse rows, as a sparse matrix of float32: each is as long as its panel has terms.

    x: (n, F) scipy sparse; other arguments as in `centre`
    """
    from scipy import sparse

    n = len(sources)
    done = np.zeros(n, bool)
    out = x
    for groups in (questions, clusters):
        if groups is None:
            continue
        _, group = np.unique(groups, return_inverse=True)
        _, own = np.unique(np.stack([groups, sources], axis=1), axis=0, return_inverse=True)
        own = own.ravel()
        others = np.bincount(group)[group] - np.bincount(own)[own]
        now = ~done & (others >= LEAST) & (groups >= 0)
        done |= now
        weight = sparse.diags(np.where(now, 1 / np.maximum(others, 1), 0.0).astype(np.float32))
        every, mine = (
            sparse.csr_matrix((np.ones(n, np.float32), (np.arange(n), codes))) for codes in (group, own)
        )
        out = out - (weight @ every) @ (every.T @ x) + (weight @ mine) @ (mine.T @ x)
    return sparse.csr_matrix(out)


class Panel:
    """Sums of the embeddings of each group, and of each source within it.

    embeddings: (N, D) float16 or float32; sources, groups: (N,) integer codes; rows of a negative group are
    left out. Memory: one float32 row of D for each group and for each (group, source) that occurs.
    """

    def __init__(self, embeddings: np.ndarray, sources: np.ndarray, groups: np.ndarray) -> None:
        kept = np.flatnonzero(groups >= 0)
        self._groups, of_group = np.unique(groups[kept], return_inverse=True)
        pairs = np.stack([groups[kept], sources[kept]], axis=1)
        pairs, of_pair = np.unique(pairs, axis=0, return_inverse=True)
        self._pairs = {(int(group), int(source)): i for i, (group, source) in enumerate(pairs)}
        self._sums, self._counts = group_sums(embeddings, kept, of_group, len(self._groups))
        self._own_sums, self._own_counts = group_sums(embeddings, kept, of_pair.ravel(), len(pairs))

    def others(self, sources: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """(n,) int64, answers of other sources to each row's group; a source of -1 is nobody's own."""
        group, own = self._places(sources, groups)
        known, mine = group >= 0, own >= 0
        found = np.zeros(len(groups), np.int64)
        found[known] = self._counts[group[known]]
        found[mine] -= self._own_counts[own[mine]]
        return found

    def means(self, sources: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """(n, D) float32, mean of the answers of other sources to each row's group; `others` must be > 0."""
        group, own = self._places(sources, groups)
        mine = own >= 0
        total = self._sums[group]
        total[mine] -= self._own_sums[own[mine]]
        means: np.ndarray = total / self.others(sources, groups)[:, None].astype(np.float32)
        return means

    def _places(self, sources: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(self._groups):
            return np.full(len(groups), -1), np.full(len(groups), -1)
        at = np.minimum(np.searchsorted(self._groups, groups), len(self._groups) - 1)
        group = np.where(self._groups[at] == groups, at, -1)
        find = self._pairs.get
        pairs = zip(groups.tolist(), sources.tolist(), strict=True)
        return group, np.fromiter((find(pair, -1) for pair in pairs), np.int64, len(groups))


def group_sums(
    embeddings: np.ndarray, rows: np.ndarray, groups: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n, D) float32 sums and (n,) int64 counts of embeddings[rows] by group, in the order of the rows.

    embeddings: (N, D) float16 or float32; rows: (m,) row numbers; groups: (m,) codes in [0, n), each taken
    at least once
    """
    sums = np.zeros((n, embeddings.shape[1]), np.float32)
    order = np.argsort(groups, kind="stable")
    counts = np.bincount(groups, minlength=n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    for first in range(0, n, 1024):  # a stripe of groups at a time: no second copy of all rows
        last = min(first + 1024, n)
        stripe = order[starts[first] : starts[last]]
        taken = embeddings[rows[stripe]].astype(np.float32)
        sums[first:last] = np.add.reduceat(taken, starts[first:last] - starts[first], axis=0)
    return sums, counts
