"""Tables and JSON of a tracking."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from univar.compare.as_json import floor_json, interval_json, probe_json
from univar.compare.text import DIGITS, distance_text, probe_table
from univar.compare.track import ALPHA, Look, Shift, Tracking, ValueShift
from univar.compare.traits import Trait
from univar.compare.verdict import BEYOND, UNSURE, WITHIN
from univar.tables import Column, Table

FORMAT = "univar-tracking/1"
SAYS = {WITHIN: "within tolerance", BEYOND: "moved", UNSURE: "could not tell"}

Line = tuple[Look, Shift]


def tables(found: Tracking) -> list[Table]:
    """The releases; what else moved; one line a value."""
    lines = [(look, shift) for look in found.looks for shift in (*look.baseline, *look.previous)]
    blocks = [Table.of(lines, _SHIFTS, f"Releases against {found.baseline}", keys=1, notes=_notes(found))]
    formed = [
        (look, shift, trait) for look in found.looks for shift in look.baseline for trait in shift.traits
    ]
    blocks.append(Table.of(formed, _TRAITS, "Form of the answers", keys=1))
    last = [(shift, value) for shift in found.looks[-1].baseline for value in shift.values]
    if last:
        blocks.append(Table.of(last, _VALUES, f"Values, {found.looks[-1].release}", keys=1))
    blocks += [_questions(found.looks[-1].release, shift) for shift in found.looks[-1].baseline]
    blocks += [
        probe_table(shift.probes, f"Values by their probes, {found.looks[-1].release} {shift.model}".strip())
        for shift in found.looks[-1].baseline
        if shift.probes
    ]
    return blocks


_SHIFTS: list[Column[Line]] = [
    Column("release", lambda line: line[0].release),
    Column("model", lambda line: line[1].model),
    Column("against", lambda line: line[1].against),
    Column("distance", lambda line: distance_text(line[1].distance, line[1].floor)),
    Column("propositions", lambda line: str(line[1].distance.clusters)),
    Column("paired by", lambda line: "" if line[1].pairing == "prompt" else line[1].pairing),
    Column("p (Holm)", lambda line: _p(line[1].p_holm)),
    Column("detectable", lambda line: _number(line[1].detectable)),
    Column("verdict", lambda line: SAYS[line[1].verdict]),
]

_TRAITS: list[Column[tuple[Look, Shift, Trait]]] = [
    Column("release", lambda line: line[0].release),
    Column("model", lambda line: line[1].model),
    Column("what", lambda line: line[2].name if line[2].name == "declined" else "length (log characters)"),
    Column("before", lambda line: _number(line[2].before, 3)),
    Column("after", lambda line: _number(line[2].after, 3)),
    Column("change", lambda line: line[2].change.text(3)),
    Column("p", lambda line: _p(line[2].p)),
]

_VALUES: list[Column[tuple[Shift, ValueShift]]] = [
    Column("value", lambda line: line[1].value),
    Column("model", lambda line: line[0].model),
    Column("distance", lambda line: line[1].distance.text(DIGITS)),
    Column("propositions", lambda line: str(line[1].distance.clusters)),
    Column("p", lambda line: _p(line[1].p)),
    Column("p (Holm)", lambda line: _p(line[1].p_holm)),
]


QUESTIONS = 10
"""Questions that are listed."""


def _questions(release: str, shift: Shift) -> Table:
    rows = [
        [each.proposition, f"{each.squared:.4f}", _p(each.p), _p(each.p_holm)]
        for each in shift.questions[:QUESTIONS]
    ]
    moved = sum(each.p_holm is not None and each.p_holm <= ALPHA for each in shift.questions)
    notes = (f"{moved} of {len(shift.questions)} questions moved by themselves, after Holm's correction",)
    title = " ".join(filter(None, ("Questions,", release, shift.model)))
    told = (shift.questions_note,) if shift.questions_note else ()
    return Table(["question", "squared", "p", "p (Holm)"], rows, title, 1, (*notes, *told))


def _p(p: float | None) -> str:
    return "" if p is None else f"{p:.4f}"


def _number(value: float | None, digits: int = DIGITS) -> str:
    return "" if value is None or value != value else f"{value:.{digits}f}"


_WHICH = {
    "sample": "the floor by sample counts: both releases were given the same prompts",
    "wording": "the floor by wording counts, since no prompt was sampled twice",
}


def _notes(found: Tracking) -> tuple[str, ...]:
    each = found.alpha / found.planned
    level = 100 * (1 - each)
    spent = (
        f"{found.alpha:g} is spent over {found.planned} looks, {each:.2g} each: intervals are "
        f"at {level:.4g} %"
        if found.planned > 1
        else f"intervals are at {level:g} %"
    )
    known = {floor.note() for shift in found.looks[-1].baseline for floor in shift.floors}
    counting = {shift.floor.kind for shift in found.looks[-1].baseline if shift.floor}
    which = [_WHICH[kind] for kind in sorted(counting)]
    unknown = [] if known else ["floor unknown: the releases hold neither two wordings nor two samples"]
    since = [
        f"first release beyond the tolerance{f', {model}' if model else ''}: {release or 'none'}"
        for model, release in found.first.items()
    ]
    told = [
        f"{found.looks[-1].release}{f', {shift.model}' if shift.model else ''}: {SAYS[shift.verdict]}, since "
        f"{shift.why}"
        for shift in found.looks[-1].baseline
    ] or [f"{found.looks[-1].release} holds no model of {found.baseline}: {SAYS[UNSURE]}"]
    return (*told, spent, *sorted(known), *which, *unknown, *since, *found.notes)


def tracking_json(found: Tracking) -> dict[str, Any]:
    """What `json.dumps` takes: numbers that are unknown are null."""
    return {
        "format": FORMAT,
        "baseline": found.baseline,
        "part": found.part,
        "cluster": found.cluster,
        "alpha": found.alpha,
        "looks": found.planned,
        "verdict": found.verdict,
        "exit_code": found.exit_code,
        "first": found.first,
        "releases": [
            {
                "release": look.release,
                "verdict": look.verdict,
                "baseline": [_shift(shift) for shift in look.baseline],
                "previous": [_shift(shift) for shift in look.previous],
            }
            for look in found.looks
        ],
        "notes": list(found.notes),
    }


def _shift(shift: Shift) -> dict[str, Any]:
    return {
        "model": shift.model or None,
        "against": shift.against,
        **interval_json(shift.distance),
        "pairing": shift.pairing,
        "floor": floor_json(shift.floor),
        "tolerance": shift.tolerance,
        "p": shift.p,
        "p_holm": shift.p_holm,
        "verdict": shift.verdict,
        "why": shift.why,
        "detectable": shift.detectable,
        "questions": [asdict(each) for each in shift.questions],
        "probes": [probe_json(each) for each in shift.probes],
        **{trait.name: _trait(trait) for trait in shift.traits},
        "values": [
            {"name": each.value, **interval_json(each.distance), "p": each.p, "p_holm": each.p_holm}
            for each in shift.values
        ],
    }


def _trait(trait: Trait) -> dict[str, Any]:
    facts = asdict(trait)
    facts["change"] = interval_json(trait.change)
    del facts["name"]
    return {key: None if value != value else value for key, value in facts.items()}
