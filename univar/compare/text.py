"""Tables of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from univar.compare.compare import Comparison, Pair
from univar.compare.detail import Detail, MovedAnswer, QuestionPair
from univar.compare.floor import Floor
from univar.compare.probes import ProbeShift
from univar.compare.variance import Consistency
from univar.statistics.intervals import Interval
from univar.tables import Column, Table

DIGITS = 4
WITH_INTERVALS = 6
"""Sources up to which the matrix shows intervals."""
MATRIX_SOURCES = 30
"""Sources up to which the matrix is printed: a wider one is read in no terminal."""
FEW_PAIRS = 40
"""Pairs up to which all are listed."""
ENDS = 10
"""Nearest and farthest pairs that are listed otherwise."""


def distance_text(distance: Interval, floor: Floor | None) -> str:
    """`0.0210 [0.0140, 0.0280], floor 0.0060`."""
    return f"{distance.text(DIGITS)}, floor {'unknown' if floor is None else f'{floor.value:.{DIGITS}f}'}"


def tables(found: Comparison, *, all_pairs: bool = False) -> list[Table]:
    """The matrix and the pairs: all of them where they are few or asked for, else the ends."""
    blocks = [_matrix(found)] if 3 <= len(found.sources) <= MATRIX_SOURCES else []
    blocks += [_consistencies(found)] if found.consistencies else []
    blocks += _details(found.detail) if found.detail else []
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
        Column("detectable", lambda pair: "" if pair.detectable is None else f"{pair.detectable:.{DIGITS}f}"),
        Column("energy", lambda pair: "" if pair.energy is None else _cell(pair.energy, True)),
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
    shares = (found.shares.note(),) if found.shares else ()
    wide = (
        f"the matrix of {len(found.sources)} sources is left out: --json and --picture have it, "
        "--all-pairs lists its pairs",
    ) * (len(found.sources) > MATRIX_SOURCES)
    return (first, *wide, *known, *shares, *found.notes)


def _consistencies(found: Comparison) -> Table:
    columns: list[Column[Consistency]] = [
        Column("model", lambda each: each.model),
        Column("languages", lambda each: f"{each.one}, {each.other}"),
        Column("consistency", lambda each: each.value.text(2)),
        Column("propositions", lambda each: str(each.value.clusters)),
    ]
    known = [each for each in found.consistencies if each.value.estimate == each.value.estimate]
    left = len(found.consistencies) - len(known)
    note = "1: the model differs from the others in the same way in both languages; 0: in unrelated ways"
    few = (f"{left} pairs of languages left out: the model does not differ from the others there",)
    return Table.of(
        known, columns, "Languages of each model, least alike first", 2, (note, *few * bool(left))
    )


def _details(found: Detail) -> list[Table]:
    flips = found.flips
    asked: list[Column[QuestionPair]] = [
        Column("proposition", lambda each: each.proposition),
        Column("squared", lambda each: f"{each.squared:.3f}"),
        Column(found.a, lambda each: _start(each.a)),
        Column(found.b, lambda each: _start(each.b)),
    ]
    note = (
        f"declined by {found.a} alone {flips.only_a}, by {found.b} alone {flips.only_b}, by both "
        f"{flips.both}, by neither {flips.neither} propositions"
    )
    energy = f"energy distance {found.energy.text(DIGITS)}: also sees differences of spread"
    notes = (note, energy, *found.notes)
    blocks = [Table.of(found.questions, asked, "Questions, farthest to nearest", 1, notes)]
    if found.moved:
        carried: list[Column[MovedAnswer]] = [
            Column("proposition", lambda each: each.proposition),
            Column("squared", lambda each: f"{each.squared:.3f}"),
            Column(found.a, lambda each: _start(each.a)),
            Column(f"carried to, {found.b}", lambda each: _start(each.b)),
        ]
        blocks.append(Table.of(found.moved, carried, "Answers that moved farthest (optimal transport)", 1))
    if found.values:
        rows = [
            [name, d2.text(DIGITS), str(d2.clusters), *("" if it is None else f"{it:.4f}" for it in both)]
            for name, d2, *both in found.values
        ]
        headers = ["value asked about", "distance", "propositions", "p", "p (Holm)"]
        blocks.append(Table(headers, rows, "By the value that a question is about"))
    if found.probes:
        blocks.append(probe_table(found.probes, f"Values, {found.b} minus {found.a}"))
    return blocks


def probe_table(probes: Sequence[ProbeShift], title: str) -> Table:
    """One line a value, in standard deviations of its score."""
    columns: list[Column[ProbeShift]] = [
        Column("value", lambda each: each.value),
        Column("change (sd)", lambda each: each.change.text(2)),
        Column("up", lambda each: str(each.up)),
        Column("down", lambda each: str(each.down)),
        Column("p", lambda each: "" if each.p is None else f"{each.p:.4f}"),
        Column("p (Holm)", lambda each: "" if each.p_holm is None else f"{each.p_holm:.4f}"),
    ]
    return Table.of(probes, columns, title, 1)


def _start(text: str, limit: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
