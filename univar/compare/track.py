"""Whether releases moved away from a baseline: how far, since when, on which values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from univar.compare.cells import Cells, cells_of, distance, matched
from univar.compare.floor import Floor, floors, largest
from univar.compare.probes import ProbeShift, by_probe, probes_of
from univar.compare.questions import QuestionShift, by_question
from univar.compare.releases import RELEASE, Releases
from univar.compare.rows import Rows, rows_of
from univar.compare.traits import TRAITS, Trait, by_value, traits, value_of_cluster
from univar.compare.verdict import BEYOND, EXIT_CODES, UNSURE, verdict, worst
from univar.errors import DataError, UsageError
from univar.statistics.intervals import Interval, smallest_detectable
from univar.statistics.permutation import holm, sign_flip

ALPHA = 0.05


@dataclass(frozen=True)
class ValueShift:
    """How far answers to the questions of one value moved."""

    value: str
    distance: Interval
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class Shift:
    """One model's answers in a release, against its answers in another.

    model:      "" where every store holds one model
    distance:   D2 at level 1 - alpha of the look; pairing: one of PAIRINGS
    floors:     of these two, over these propositions; floor: the one that counts, None: unknown
    tolerance:  what the verdict is against; None: nothing known
    detectable: D2 that this study would find with 80 % power; None: unknown
    traits:     change of the share of declined answers, and of the answers' length
    values:     the same by the value that the questions are about
    probes:     change of the score of each value that the encoder's probes can tell
    questions:  each proposition, the surest first, and what cannot be told of them
    """

    model: str
    against: str
    distance: Interval
    pairing: str
    floors: tuple[Floor, ...]
    floor: Floor | None
    tolerance: float | None
    p: float | None
    p_holm: float | None
    verdict: str
    why: str
    detectable: float | None
    traits: tuple[Trait, ...]
    values: tuple[ValueShift, ...] = ()
    probes: tuple[ProbeShift, ...] = ()
    questions: tuple[QuestionShift, ...] = ()
    questions_note: str | None = None


@dataclass(frozen=True)
class Look:
    """A release: against the baseline, and from the second on also against the release before it."""

    release: str
    verdict: str
    baseline: tuple[Shift, ...]
    previous: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class Tracking:
    """Releases against a baseline.

    alpha: error rate of the whole series; looks: how many it is spent over, equally
    first: the first release that lies beyond the tolerance, per model; None: none does
    """

    baseline: str
    part: str | None
    cluster: str | None
    alpha: float
    planned: int
    looks: tuple[Look, ...]
    first: dict[str, str | None]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Of the last release, which is the one under test."""
        return self.looks[-1].verdict

    @property
    def exit_code(self) -> int:
        """0 within, 10 beyond, 11 could not tell."""
        return EXIT_CODES[self.verdict]


def track(
    releases: Releases,
    *,
    cluster: str | None = None,
    part: str | None = "values",
    tolerance: float | None = None,
    floor: str = "auto",
    looks: int | None = None,
    alpha: float = ALPHA,
) -> Tracking:
    """Compare each release with the first one, and with the one before it.

    tolerance: D2 that may be; None: the floor
    looks:     releases that will be looked at in all; alpha is spent equally over them. None: those given
    Raises DataError where no model or no question is in two releases, UsageError for fewer looks than given.
    """
    given = len(releases.names) - 1
    planned = given if looks is None else looks
    if planned < given:
        raise UsageError(f"--looks {planned}, but {given} releases are given: each is a look")
    by, notes = _sources(releases)
    rows = rows_of(releases, by, cluster=cluster, part=part, beside=("language",))
    study = _Study(releases, rows, part, floor, tolerance, alpha / planned)
    found = []
    for number in range(1, given + 1):
        baseline = study.shifts(0, number)
        previous = study.shifts(number - 1, number) if number > 1 else ()
        found.append(Look(releases.names[number], worst([s.verdict for s in baseline]), baseline, previous))
    if not any(look.baseline for look in found):
        raise DataError(
            f"no model of {releases.names[0]} is in another release: rename models so that they agree, or "
            "give stores of one model each"
        )
    if all(s.pairing == "unpaired" for look in found for s in look.baseline):
        raise DataError(
            f"{releases.names[0]} and {releases.names[1]} share no question: ask the same questions, or name "
            "what they share with --cluster, e.g. question_id:2"
        )
    models = [shift.model for shift in found[-1].baseline]
    return Tracking(
        releases.names[0],
        part,
        cluster,
        alpha,
        planned,
        tuple(found),
        {model: _first(found, model) for model in models},
        (*rows.notes, *notes, *((study.note,) if study.note else ())),
    )


def _first(looks: Sequence[Look], model: str) -> str | None:
    for look in looks:
        if any(shift.model == model and shift.verdict == BEYOND for shift in look.baseline):
            return look.release
    return None


def _sources(releases: Releases) -> tuple[tuple[str, ...], list[str]]:
    """What makes a source: the release alone where each holds one model, else release and model."""
    models, names = releases.codes("model")
    own = [set(models[releases.release == n].tolist()) for n in range(len(releases.names))]
    if all(len(each) == 1 for each in own):
        return (RELEASE,), []
    dropped = sorted(names[m] for m in set().union(*own) if sum(m in each for each in own) == 1)
    left = f"models of one release alone are left out: {', '.join(dropped[:8])}" if dropped else ""
    return (RELEASE, "model"), [left] if left else []


class _Study:
    """All sources' answers, made once; `shifts` compares two releases."""

    def __init__(
        self,
        releases: Releases,
        rows: Rows,
        part: str | None,
        floor: str,
        tolerance: float | None,
        alpha: float,
    ) -> None:
        self._rows, self._tolerance, self._alpha = rows, tolerance, alpha
        self._kind = None if floor == "auto" else floor
        self._names = releases.names
        self._cells = cells_of(rows)
        self._traits: Cells = cells_of(rows, traits(releases))
        self._values = value_of_cluster(releases, rows)
        self._probes, self.note = probes_of(releases, part)
        self._number = {name: number for number, name in enumerate(rows.sources)}

    def shifts(self, old: int, new: int) -> tuple[Shift, ...]:
        """Every model of both releases, with Holm's correction over them."""
        found = [self._shift(model, *pair) for model, pair in self._pairs(old, new)]
        against = self._names[old]
        corrected = holm([np.nan if shift.p is None else shift.p for shift in found])
        out = []
        for shift, p in zip(found, corrected.tolist(), strict=True):
            p_holm = None if np.isnan(p) else p
            told, why = UNSURE, "no question is shared"
            if shift.pairing != "unpaired":
                told, why = verdict(shift.distance, shift.tolerance, p_holm, self._alpha)
            out.append(replace(shift, against=against, p_holm=p_holm, verdict=told, why=why))
        return tuple(out)

    def _counting(self, known: list[Floor]) -> Floor | None:
        """The floor by sample, else by wording: both releases were given the same prompts."""
        if self._kind is not None:
            return largest(known, self._kind)
        return largest(known, "sample") or largest(known, "wording")

    def _pairs(self, old: int, new: int) -> list[tuple[str, tuple[int, int]]]:
        before, after = self._names[old], self._names[new]
        if before in self._number and after in self._number:
            return [("", (self._number[before], self._number[after]))]
        models = [name[len(before) + 1 :] for name in self._rows.sources if name.startswith(f"{before}/")]
        numbers = [(m, self._number[f"{before}/{m}"], self._number.get(f"{after}/{m}")) for m in models]
        return [(model, (one, other)) for model, one, other in numbers if other is not None]

    def _shift(self, model: str, old: int, new: int) -> Shift:
        sides = self._cells.of(old), self._cells.of(new)
        found, pairing = distance(*sides)
        found = found.at(1 - self._alpha)
        left, right, codes, _ = matched(*sides)
        known = floors(self._rows, np.array([old, new]), codes) if len(codes) else []
        floor = self._counting(known)
        p = sign_flip(left, right) if len(codes) > 1 and pairing != "unpaired" else None
        tolerance = self._tolerance if self._tolerance is not None else floor.value if floor else None
        questions, told = by_question(self._rows, old, new, sides, codes) if len(codes) else ([], None)
        features = matched(self._traits.of(old), self._traits.of(new))[:2]
        return Shift(
            model,
            "",
            found,
            pairing,
            tuple(known),
            floor,
            tolerance,
            p,
            None,
            UNSURE,
            "",
            smallest_detectable(found),
            tuple(Trait.of(name, *(side[:, n] for side in features)) for n, name in enumerate(TRAITS)),
            tuple(ValueShift(*each) for each in by_value(left, right, codes, self._values)),
            tuple(by_probe(self._probes, left, right)) if self._probes is not None and len(codes) else (),
            tuple(questions),
            told,
        )
