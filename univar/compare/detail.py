"""Where two sources differ: on which questions, on which values, and in which answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.compare.cells import cells_of, matched
from univar.compare.probes import ProbeShift, by_probe, probes_of
from univar.compare.rows import Rows
from univar.compare.traits import by_value, traits, value_of_cluster
from univar.statistics.distances import paired_energy
from univar.statistics.intervals import Interval

if TYPE_CHECKING:
    from univar.store import Store

ENDS = 5
"""Questions at either end whose answers are shown."""


@dataclass(frozen=True)
class QuestionPair:
    """The answers of both sources to one proposition.

    squared: |d|^2 of the two embeddings; like any single distance it holds noise, and only ranks
    """

    proposition: str
    squared: float
    question: str
    a: str
    b: str


@dataclass(frozen=True)
class MovedAnswer:
    """An answer of one source and the one of the other that it was carried to (`univar.compare.transport`).

    squared: how far, as |d|^2
    """

    proposition: str
    squared: float
    a: str
    b: str


@dataclass(frozen=True)
class Flips:
    """Propositions that one side declines, by most of its answers, and the other answers."""

    only_a: int
    only_b: int
    both: int
    neither: int


@dataclass(frozen=True)
class Detail:
    """Two sources in detail: questions from farthest to nearest, values, declined answers.

    moved:  answers of `a` that were carried farthest to those of `b`, where a side gave several
    energy: energy distance over the propositions, which also sees differences of spread
    """

    a: str
    b: str
    questions: tuple[QuestionPair, ...]
    values: tuple[tuple[str, Interval, float | None, float | None], ...]
    probes: tuple[ProbeShift, ...]
    flips: Flips
    energy: Interval
    notes: tuple[str, ...]
    moved: tuple[MovedAnswer, ...] = ()


def detail(store: Store, rows: Rows, part: str | None, codes: np.ndarray) -> Detail:
    """Compare the two sources of `rows`, whose rows are `codes` (N,) of the store."""
    sides = [cells_of(rows).of(n) for n in (0, 1)]
    left, right, clusters, _ = matched(*sides)
    squared = ((left.astype(np.float64) - right) ** 2).sum(axis=1)
    order = np.argsort(-squared, kind="stable")
    shown = order if len(order) <= 2 * ENDS else np.concatenate([order[:ENDS], order[-ENDS:]])
    first = {}
    for row in range(len(rows) - 1, -1, -1):
        first[int(rows.cluster[row]), int(rows.source[row])] = row
    pairs = []
    for place in shown.tolist():
        cluster = int(clusters[place])
        row, other = (int(codes[first[cluster, n]]) for n in (0, 1))
        question, answer = (store.text(name, [row])[0] for name in ("question", "answer"))
        against = store.text("answer", [other])[0]
        pairs.append(QuestionPair(rows.clusters[cluster], float(squared[place]), question, answer, against))
    declined = cells_of(rows, traits(store)[codes])
    of_a, of_b, _, _ = matched(declined.of(0), declined.of(1))
    no_a, no_b = of_a[:, 0] > 0.5, of_b[:, 0] > 0.5
    flips = Flips(*(int(n.sum()) for n in (no_a & ~no_b, no_b & ~no_a, no_a & no_b, ~no_a & ~no_b)))
    probes, note = probes_of(store, part)
    found = by_probe(probes, left, right) if probes is not None else []
    of = value_of_cluster(store, rows, codes)
    values = by_value(left, right, clusters, of)
    moved, unmoved = _moved(store, rows, codes)
    return Detail(
        rows.sources[0],
        rows.sources[1],
        tuple(pairs),
        tuple(values),
        tuple(found),
        flips,
        paired_energy(left, right),
        tuple(it for it in (note, unmoved) if it),
        moved,
    )


def _moved(store: Store, rows: Rows, codes: np.ndarray) -> tuple[tuple[MovedAnswer, ...], str | None]:
    """The answers that moved farthest, or a sentence on what is missing to say so."""
    from univar.compare import transport

    if not len(transport.several(rows)):
        return (), None
    if not transport.is_installed():
        return (), "which answers moved is found by optimal transport: pip install 'univar-embed[compare]'"
    found = transport.moves(rows)[: transport.SHOWN]
    texts = [store.text("answer", codes[[move.a, move.b]].tolist()) for move in found]
    return tuple(
        MovedAnswer(rows.clusters[move.proposition], move.cost, a, b)
        for move, (a, b) in zip(found, texts, strict=True)
    ), None
