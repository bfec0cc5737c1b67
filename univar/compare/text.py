"""Tables of a comparison."""

from __future__ import annotations

from univar.compare.compare import Comparison, Pair
from univar.compare.floor import Floor
from univar.statistics.intervals import Interval
from univar.tables import Column, Table

DIGITS = 4
WITH_INTERVALS = 6
"""Sources up to which the matrix shows intervals."""
FEW_PAIRS = 40
"""Pairs up to which all are listed."""
ENDS = 10
"""Nearest and farthest pairs that are listed otherwise."""


def distance_text(distance: Interval, floor: Floor | None) -> str:
    """`0.0210 [0.0140, 0.0280], floor 0.0060`."""
    return f"{distance.text(DIGITS)}, floor {'unknown' if floor is None else f'{floor.value:.{DIGITS}f}'}"


def tables(found: Comparison, *, all_pairs: bool = False) -> list[Table]:
    """The matrix and the pairs: all of them where they are few or asked for, else the ends."""
    blocks = [] if len(found.sources) < 3 else [_matrix(found)]
    if all_pairs or len(found.pairs) <= FEW_PAIRS:
        return [*blocks, _pairs(found, found.pairs, "Pairs")]
    order = sorted(
        (pair for pair in found.pairs if pair.distance.estimate == pair.distance.estimate),
        key=lambda pair: pair.distance.estimate,
    )
    near = _pairs(found, order[:ENDS], f"The {ENDS} nearest of {len(found.pairs):,} pairs", with_notes=False)
    return [*blocks, near, _pairs(found, order[: -ENDS - 1 : -1], f"The {ENDS} farthest pairs")]


def _matrix(found: Comparison) -> Table:
    shown = {(pair.a, pair.b): pair for pair in found.pairs}
    wide = len(found.sources) <= WITH_INTERVALS
    rows = []
    for a in found.sources:
        cells = [a]
        for b in found.sources:
            pair = shown.get((a, b)) or shown.get((b, a))
            cells.append("" if pair is None else _cell(pair.distance, wide))
        rows.append(cells)
    return Table(["D2", *found.sources], rows, "Distances" + (" [95 % interval]" if wide else ""))


def _cell(distance: Interval, wide: bool) -> str:
    if distance.estimate != distance.estimate:
        return "-"
    return distance.text(DIGITS) if wide else f"{distance.estimate:.{DIGITS}f}"


def _pairs(
    found: Comparison, pairs: tuple[Pair, ...] | list[Pair], title: str, with_notes: bool = True
) -> Table:
    columns: list[Column[Pair]] = [
        Column("source", lambda pair: pair.a),
        Column("and", lambda pair: pair.b),
        Column("distance", lambda pair: _cell(pair.distance, True)),
        Column("floor", lambda _: "unknown" if found.floor is None else f"{found.floor.value:.{DIGITS}f}"),
        Column("propositions", lambda pair: str(pair.distance.clusters)),
        Column("p", lambda pair: "" if pair.p is None else f"{pair.p:.4f}"),
        Column("p (Holm)", lambda pair: "" if pair.p_holm is None else f"{pair.p_holm:.4f}"),
        Column(
            "paired by", lambda pair: {"prompt": "", "unpaired": "nothing"}.get(pair.pairing, pair.pairing)
        ),
    ]
    return Table.of(pairs, columns, title, keys=2, notes=notes(found) if with_notes else ())


def notes(found: Comparison) -> tuple[str, ...]:
    """What stands beneath the tables."""
    first = "D2: squared distance without the noise that few answers bring; it may be negative."
    known = [floor.note() for floor in found.floors] or [
        "floor unknown: no source was asked in two wordings or sampled twice"
    ]
    return (first, *known, *found.notes)
