"""Which rows the views of a pair have: a function of seed and step, so that any step can be drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from univar.errors import DataError
from univar.train.corpus import TokenCorpus
from univar.train.options import ViewSettings

_TRIES = 64
"""Blocks drawn in vain before a corpus counts as one that cannot fill a batch."""


@dataclass(frozen=True)
class PairBatch:
    """B pairs of views: rows of each anchor and each positive, and the source of each pair, (B,) int64.

    rivals: (B, n_sources) bool, the sources that a pair's own is to be told from, and itself: those that
            answered the same wordings, or all where batches are not matched
    """

    anchors: list[np.ndarray]
    positives: list[np.ndarray]
    sources: np.ndarray
    rivals: np.ndarray

    def __len__(self) -> int:
        return len(self.sources)

    def part(self, rank: int, world: int) -> PairBatch:
        """The consecutive pairs of process `rank` of `world`."""
        cut = slice(rank * len(self) // world, (rank + 1) * len(self) // world)
        return PairBatch(self.anchors[cut], self.positives[cut], self.sources[cut], self.rivals[cut])


class ViewSampler:
    """Draws batches from the rows of a corpus that are in `rows` (m,) int64.

    Every batch is a function of seed and step: nothing has to be stored to continue in the middle of an
    epoch. Raises DataError where there are no pairs: one source only, or no source with two questions.
    """

    def __init__(
        self, corpus: TokenCorpus, rows: np.ndarray, settings: ViewSettings, batch: int, seed: int
    ) -> None:
        self._corpus, self._settings, self._batch, self._seed = corpus, settings, batch, seed
        self._pool = _Pool(corpus, rows)
        self._usable = self._usable_rows()
        self._epoch: tuple[int, np.ndarray] = (-1, self._usable)

    @property
    def steps_per_epoch(self) -> int:
        """Batches with as many pairs as there are rows."""
        return max(1, len(self._usable) // self._batch)

    def batch(self, step: int) -> PairBatch:
        """The pairs of step `step`, counted from 0."""
        rng = np.random.Generator(np.random.Philox(key=[self._seed, step]))
        return self._matched(rng) if self._settings.matched else self._plain(rng, step)

    def _usable_rows(self) -> np.ndarray:
        pool, names = self._pool, self._corpus.source_names
        present = pool.counts > 0
        if present.sum() < 2:
            only = names[int(present.argmax())]
            raise DataError(f"all answers are of one source, {only}: training needs at least two")
        enough = pool.counts >= 2 if self._settings.overlap else pool.n_questions >= 2
        if enough.sum() < 2:
            raise DataError(
                f"only {enough.sum()} of {present.sum()} sources have answers to two different questions: "
                "training needs at least two such sources"
            )
        return pool.rows[enough[pool.sources]]

    @cached_property
    def left_out_sources(self) -> list[str]:
        """Sources with too few answers for a pair."""
        used = np.unique(self._corpus.sources[self._usable])
        present = np.flatnonzero(self._pool.counts)
        return [self._corpus.source_names[source] for source in np.setdiff1d(present, used)]

    def _plain(self, rng: np.random.Generator, step: int) -> PairBatch:
        """As in the paper: a shuffled epoch of rows gives the sources; each view is drawn on its own."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            shuffle = np.random.Generator(np.random.Philox(key=[self._seed, (1 << 62) + epoch]))
            self._epoch = (epoch, shuffle.permutation(self._usable))
        rows = self._epoch[1][place * self._batch : (place + 1) * self._batch]
        sources = self._corpus.sources[rows].astype(np.int64)
        pairs = [self._pair(rng, int(source)) for source in sources]
        rivals = np.tile(self._pool.counts > 0, (len(pairs), 1))
        return PairBatch([pair[0] for pair in pairs], [pair[1] for pair in pairs], sources, rivals)

    def _pair(self, rng: np.random.Generator, source: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = self._settings.qa_per_view
        sizes = rng.integers(low, high + 1, 2)
        own = self._pool.rows_of(source)
        if self._settings.overlap:
            first, second = (rng.choice(own, min(int(size), len(own)), replace=False) for size in sizes)
            return first, second
        questions = rng.permutation(np.unique(self._corpus.questions[own]))
        parts = _two_parts(questions, sizes)
        first, second = (np.array([self._any_row(rng, own, question) for question in part]) for part in parts)
        return first, second

    def _any_row(self, rng: np.random.Generator, own: np.ndarray, question: int) -> int:
        return int(rng.choice(own[self._corpus.questions[own] == question]))

    @cached_property
    def _row_weights(self) -> np.ndarray:
        """Cumulative probability that a usable row starts a block: see `ViewSettings.balance`."""
        corpus, rows = self._corpus, self._usable
        sources = corpus.sources[rows].astype(np.int64)
        together = self._pool.sources_of_wording[corpus.wordings[rows]]
        if self._settings.weigh == "rows":
            rows_of_group = self._pool.counts[sources] * together.astype(float)
            weights = rows_of_group**-self._settings.balance
        else:
            questions, rows_of_source = _of_groups(sources, corpus.questions[rows])
            weights = questions ** (1 - self._settings.balance) / (rows_of_source * together)
        weights = weights / np.minimum(together, self._settings.block)
        cumulated = np.cumsum(weights)
        return cumulated / cumulated[-1]

    def _matched(self, rng: np.random.Generator) -> PairBatch:
        anchors: list[np.ndarray] = []
        positives: list[np.ndarray] = []
        sources: list[int] = []
        rivals = np.zeros((self._batch, len(self._pool.counts)), bool)
        tries = 0
        while len(sources) < self._batch:
            block, sharing = self._block(rng)
            tries = 0 if block else tries + 1
            if tries > _TRIES:
                raise DataError(
                    "no question was answered by two sources: train with --set views.matched=false"
                )
            for source, anchor, positive in block[: self._batch - len(sources)]:
                rivals[len(sources), sharing] = True
                sources.append(source)
                anchors.append(anchor)
                positives.append(positive)
        return PairBatch(anchors, positives, np.array(sources, np.int64), rivals)

    def _block(self, rng: np.random.Generator) -> tuple[list[tuple[int, np.ndarray, np.ndarray]], np.ndarray]:
        """(source, anchor, positive) of sources that answered the same wordings; none if fewer than two did.

        Second, all sources that answered them: there may be more than a block has.
        """
        start = int(self._usable[np.searchsorted(self._row_weights, rng.random(), side="right")])
        own = self._pool.rows_of(int(self._corpus.sources[start]))
        low, high = self._settings.qa_per_view
        sizes = rng.integers(low, high + 1, 2)
        wordings = self._wordings(rng, own, start, int(sizes.sum()))
        sharing = self._pool.sources_with(wordings)
        if len(sharing) < 2:
            return [], sharing
        chosen = rng.permutation(sharing)[: self._settings.block]
        block = []
        for source in chosen.tolist():
            rows = np.array([self._pool.draw(rng, source, wording) for wording in wordings])
            anchor, positive = _two_parts(rows, sizes)
            block.append((source, anchor, positive))
        return block, sharing

    def _wordings(self, rng: np.random.Generator, own: np.ndarray, start: int, n: int) -> np.ndarray:
        """n wordings of different questions that the source of row `start` answered; that of `start` first.

        If there are enough, they are drawn from questions that equally many sources answered.
        """
        corpus, together = self._corpus, self._pool.sources_of_wording
        like = together[corpus.wordings[own]] == together[corpus.wordings[start]]
        picked = [start]
        seen = {int(corpus.questions[start])}
        for candidates in (own[like], own[~like]):
            for row in rng.permutation(candidates)[: 8 * n].tolist():
                if len(picked) < n and int(corpus.questions[row]) not in seen:
                    seen.add(int(corpus.questions[row]))
                    picked.append(row)
        return corpus.wordings[np.array(picked)]


def _of_groups(sources: np.ndarray, questions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of questions and of rows in each row's group, both (m,) float64.

    A group is the rows of one source whose questions were answered by about equally many sources, to a power
    of two: a few missing answers do not split a corpus, and corpora that share a source are seldom joined.
    """
    asked = np.bincount(np.unique(np.stack([questions, sources]), axis=1)[0])[questions]
    _, group, rows = np.unique(sources * 64 + np.frexp(asked)[1], return_inverse=True, return_counts=True)
    of_group = np.bincount(np.unique(np.stack([group, questions]), axis=1)[0])
    return of_group[group].astype(float), rows[group].astype(float)


def _two_parts(items: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two parts of the given sizes, smaller if there are too few items, but of at least one each."""
    first = max(1, min(int(sizes[0]), len(items) * int(sizes[0]) // int(sizes.sum()) or 1, len(items) - 1))
    if len(items) >= sizes.sum():
        first = int(sizes[0])
    return items[:first], items[first : first + int(sizes[1])]


class _Pool:
    """The rows to draw from, sorted to find those of a source, the sources of a wording, and rows of both."""

    def __init__(self, corpus: TokenCorpus, rows: np.ndarray) -> None:
        self._n_wordings = int(corpus.wordings.max()) + 1
        n_sources = len(corpus.source_names)
        keys = corpus.sources[rows].astype(np.int64) * self._n_wordings + corpus.wordings[rows]
        order = np.argsort(keys, kind="stable")
        self.rows = rows[order]
        self._keys = keys[order]
        self.sources = corpus.sources[self.rows].astype(np.int64)
        self.counts = np.bincount(self.sources, minlength=n_sources)
        self._ends = np.cumsum(self.counts)
        both = np.unique(self.sources * (int(corpus.questions.max()) + 1) + corpus.questions[self.rows])
        self.n_questions = np.bincount(both // (int(corpus.questions.max()) + 1), minlength=n_sources)
        pairs = np.unique(self._keys)
        by_wording = pairs[np.argsort(pairs % self._n_wordings, kind="stable")]
        self._sources_by_wording = by_wording // self._n_wordings
        self.sources_of_wording = np.bincount(by_wording % self._n_wordings, minlength=self._n_wordings)
        self._wording_ends = np.cumsum(self.sources_of_wording)

    def rows_of(self, source: int) -> np.ndarray:
        """Rows of a source."""
        return self.rows[self._ends[source] - self.counts[source] : self._ends[source]]

    def sources_with(self, wordings: np.ndarray) -> np.ndarray:
        """Sources that answered all of these wordings; (s,) int64, sorted."""
        found: np.ndarray | None = None
        for wording in wordings:
            end = self._wording_ends[wording]
            own = self._sources_by_wording[end - self.sources_of_wording[wording] : end]
            found = own if found is None else np.intersect1d(found, own, assume_unique=True)
        assert found is not None
        return found

    def draw(self, rng: np.random.Generator, source: int, wording: int) -> int:
        """One row of that source and wording."""
        key = source * self._n_wordings + wording
        first, last = np.searchsorted(self._keys, [key, key + 1])
        return int(self.rows[rng.integers(first, last)])
