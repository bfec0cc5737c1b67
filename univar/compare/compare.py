"""How far the sources of a store are apart, beside how far each is from itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.compare.cells import PAIRINGS, Cells, cells_of, distances, matched
from univar.compare.detail import Detail, detail
from univar.compare.floor import Floor, floors, largest
from univar.compare.rows import Rows, rows_of
from univar.compare.variance import Consistency, Shares, consistencies, factors_of, variance_shares
from univar.errors import DataError, UsageError
from univar.statistics.centring import centre
from univar.statistics.distances import DistanceMatrix, paired_energy
from univar.statistics.intervals import MIN_CLUSTERS, Interval, smallest_detectable
from univar.statistics.permutation import PERMUTATIONS, holm, sign_flip, unresolvable

if TYPE_CHECKING:
    from univar.store import Store

CENTRES = ("none", "question", "language")
FLOORS = ("auto", "wording", "sample")


@dataclass(frozen=True)
class Pair:
    """Two sources: D2 with its interval, one of PAIRINGS, p and Holm's p if tested.

    detectable: D2 that so many propositions show with 80 % power; energy: the energy distance, if asked for
    """

    a: str
    b: str
    distance: Interval
    pairing: str
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    energy: Interval | None = None


@dataclass(frozen=True)
class Comparison:
    """Distances between sources.

    by, cluster, part, centre: what was asked for
    sources: names; rows: answers of each; propositions: answered by each
    pairs:   every pair, in the order of the sources
    floors:  what the data allow; floor: the one that counts, None: unknown
    shares:  of the variance; consistencies: of each model's languages; detail: where two sources differ
    notes:   how answers were paired, what was left out
    """

    by: tuple[str, ...]
    cluster: str | None
    part: str | None
    centre: str
    sources: tuple[str, ...]
    rows: tuple[int, ...]
    propositions: tuple[int, ...]
    pairs: tuple[Pair, ...]
    floors: tuple[Floor, ...]
    floor: Floor | None
    notes: tuple[str, ...]
    shares: Shares | None = None
    consistencies: tuple[Consistency, ...] = ()
    detail: Detail | None = None

    def matrix(self) -> np.ndarray:
        """(S, S) float64 D2, 0 on the diagonal, NaN where unknown."""
        number = {name: i for i, name in enumerate(self.sources)}
        found = np.full((len(number), len(number)), np.nan)
        np.fill_diagonal(found, 0.0)
        for pair in self.pairs:
            a, b = number[pair.a], number[pair.b]
            found[a, b] = found[b, a] = pair.distance.estimate
        return found


def compare(
    store: Store,
    by: Sequence[str] = ("model",),
    *,
    only: Sequence[str] = (),
    cluster: str | None = None,
    part: str | None = "values",
    centre: str = "none",
    floor: str = "auto",
    test: bool = False,
    family: Sequence[tuple[str, str]] = (),
    energy: bool = False,
) -> Comparison:
    """D2 between all pairs of sources, with intervals over propositions and the noise floor.

    by:      columns that make a source
    only:    names of sources to keep; none: all
    cluster: COLUMN or COLUMN:K, what counts once
    part:    of the embeddings; centre: one of CENTRES; floor: one of FLOORS
    test:    also give the sign-flip p-value of each pair, corrected for all
    family:  the pairs that are asked about: no other is given, and p is corrected for these alone
    energy:  also give each pair's energy distance, which sees differences of spread too
    Raises DataError for fewer than two sources, UsageError for names that the store lacks.
    """
    whole = rows_of(store, by, cluster=cluster, part=part)
    shares = variance_shares(whole.embeddings, factors_of(store, whole))
    alike, unlike = ([], None) if only else consistencies(store, whole)
    embeddings, note = centred(whole, store, centre)
    rows, taken = kept(_with_embeddings(whole, embeddings), only)
    cells = cells_of(rows)
    found, pairing = distances(cells)
    pairs = _chosen(_pairs(rows.sources, found, pairing), family)
    notes = [*rows.notes, *(it for it in (note, unlike) if it), *_coverage(found, pairing)]
    if test or family:
        pairs, tested = _tested(pairs, cells, rows.sources)
        notes += tested
    if energy:
        pairs = _with_energy(pairs, cells, rows.sources)
    known = floors(rows)
    return Comparison(
        tuple(by),
        cluster,
        part,
        centre,
        tuple(rows.sources),
        tuple(np.bincount(rows.source, minlength=len(rows.sources)).tolist()),
        tuple(np.diag(found.questions).tolist()),
        tuple(pairs),
        tuple(known),
        largest(known, None if floor == "auto" else floor),
        tuple(notes),
        shares,
        tuple(alike),
        detail(store, rows, part, taken) if len(rows.sources) == 2 and centre == "none" else None,
    )


def kept(rows: Rows, only: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """The rows of some sources, and which rows they are, (N,).

    Raises UsageError for unknown names, DataError where fewer than two are left.
    """
    from dataclasses import replace

    unknown = [name for name in only if name not in rows.sources]
    if unknown:
        raise UsageError(f"no source is called {unknown[0]!r}; there are {_listed(rows.sources)}")
    names = [name for name in rows.sources if not only or name in only]
    if len(names) < 2:
        raise DataError(
            f"there is one source, {names[0]!r}: a comparison needs two; choose other columns with --by"
        )
    if len(names) == len(rows.sources):
        return rows, np.arange(len(rows))
    numbers = np.full(len(rows.sources), -1, np.int64)
    for number, name in enumerate(names):
        numbers[rows.sources.index(name)] = number
    here = np.flatnonzero(numbers[rows.source] >= 0)
    arrays = {
        name: getattr(rows, name)[here]
        for name in ("embeddings", "cluster", "prompt", "wording", "rest", "text")
    }
    return replace(rows, sources=names, source=numbers[rows.source[here]], **arrays), here


def centred(rows: Rows, store: Store, how: str) -> tuple[np.ndarray, str | None]:
    """((N, D) embeddings minus the mean of other sources' answers, a sentence on the panel).

    how: "question": to the same proposition; "language": to the same proposition in the same language.
    Between sources with the same questions "question" only rescales D2; "language" takes the languages' own
    places out.
    """
    if how == "none":
        return rows.embeddings, None
    groups = rows.cluster
    if how == "language":
        languages, names = store.codes("language")
        groups = rows.cluster * max(len(names), 1) + languages
    found = centre(rows.embeddings, rows.source, groups)
    return found.embeddings, found.note()


def _with_embeddings(rows: Rows, embeddings: np.ndarray) -> Rows:
    from dataclasses import replace

    return rows if embeddings is rows.embeddings else replace(rows, embeddings=embeddings)


def _pairs(names: Sequence[str], found: DistanceMatrix, pairing: np.ndarray) -> list[Pair]:
    return [
        Pair(names[a], names[b], interval, PAIRINGS[pairing[a, b]], detectable=smallest_detectable(interval))
        for a in range(len(names))
        for b in range(a + 1, len(names))
        for interval in [found.interval(a, b)]
    ]


def _chosen(pairs: list[Pair], family: Sequence[tuple[str, str]]) -> list[Pair]:
    """Those of a family, in its order; all where there is none. UsageError for names that are no pair."""
    known = {frozenset((pair.a, pair.b)): pair for pair in pairs}
    chosen = []
    for a, b in family:
        if (pair := known.get(frozenset((a, b)))) is None:
            names = list(dict.fromkeys(name for each in pairs for name in (each.a, each.b)))
            raise UsageError(f"{a}={b} names no two of the sources; there are {_listed(names)}")
        if pair not in chosen:
            chosen.append(pair)
    return chosen or pairs


def _with_energy(pairs: list[Pair], cells: Cells, names: Sequence[str]) -> list[Pair]:
    """The pairs with their energy distances, NaN where fewer than two propositions are shared."""
    from dataclasses import replace

    sides = {name: cells.of(number) for number, name in enumerate(names)}
    found = []
    for pair in pairs:
        left, right, codes, _ = matched(sides[pair.a], sides[pair.b])
        distance = paired_energy(left, right) if len(codes) > 1 else Interval(np.nan, None, None, len(codes))
        found.append(replace(pair, energy=distance))
    return found


def _tested(pairs: list[Pair], cells: Cells, names: Sequence[str]) -> tuple[list[Pair], list[str]]:
    """The pairs with sign-flip p-values, Holm over all of them, and sentences on the family."""
    from dataclasses import replace

    sides = {name: cells.of(number) for number, name in enumerate(names)}
    p, fewest = [], 60
    for pair in pairs:
        left, right, codes, _ = matched(sides[pair.a], sides[pair.b])
        p.append(sign_flip(left, right) if len(codes) > 1 else np.nan)
        fewest = min(fewest, len(codes) or fewest)
    values = zip(pairs, p, holm(p).tolist(), strict=True)
    tested = [
        replace(pair, p=None if np.isnan(one) else one, p_holm=None if np.isnan(one) else corrected)
        for pair, one, corrected in values
    ]
    if len(pairs) == 1:
        return tested, []
    note = unresolvable(len(pairs), max(1 / (1 + PERMUTATIONS), 2.0 ** (1 - fewest)))
    return tested, [note or f"p by sign-flip, corrected for {len(pairs):,} pairs by Holm"]


def _coverage(found: DistanceMatrix, pairing: np.ndarray) -> list[str]:
    """What a reader must know of which propositions the pairs share."""
    upper = np.triu_indices(len(pairing), 1)
    shared, how = found.questions[upper], pairing[upper]
    loose, apart = (int((how == PAIRINGS.index(name)).sum()) for name in ("proposition", "unpaired"))
    notes = []
    if loose:
        notes.append(
            f"{loose:,} pairs were never given one prompt: their answers to a proposition are paired, "
            "whatever its wording"
        )
    if apart:
        notes.append(
            f"{apart:,} pairs share no question: their unpaired distance has several times the spread"
        )
    if shared.min() < shared.max():
        notes.append(f"pairs share {shared.min():,} to {shared.max():,} propositions")
    few = int((shared < MIN_CLUSTERS).sum())
    if few:
        notes.append(f"{few:,} pairs share fewer than {MIN_CLUSTERS} propositions: they have no interval")
    return notes


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
