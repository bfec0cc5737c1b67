"""What `univar culture` found, as tables, as sentences and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.compare.culture import Culture, TableResult
from univar.questions.cultures import languages
from univar.statistics.intervals import Interval
from univar.tables import Table

FORMAT = "univar-culture/1"
LEVEL = 0.05


def tables(found: Culture) -> list[Table | str]:
    """Distances, kinship, agreement, and in words what may be said of it."""
    blocks: list[Table | str] = [_distances(found), _kinship(found)]
    if found.tables:
        blocks.append(_agreement(found))
    blocks.append("\n".join([*sentences(found), *found.notes]))
    return blocks


def _distances(found: Culture) -> Table:
    rows = [
        [code, *("" if a == b else f"{found.distances.d2[a, b]:.4f}" for b in range(len(found.languages)))]
        for a, code in enumerate(found.languages)
    ]
    title = (
        f"D2 between languages over {found.questions:,} questions of {len(found.models):,} models "
        f"({found.encoder}, {found.part})"
    )
    return Table(
        ["language", *found.languages], rows, title, 1, ("Unbiased: may be below 0. --json has intervals.",)
    )


def _kinship(found: Culture) -> Table:
    rows = [[name, f"{r:+.2f}", f"{p:.4f}"] for name, (r, p) in found.kinship.items()]
    rows += [
        [name, "", "all alike"] for name in ("family", "script", "geography") if name not in found.kinship
    ]
    explained = (
        "" if np.isnan(found.explained) else f"Together they explain {found.explained:.0%} of the variance."
    )
    notes = (explained,) if explained else ("Too few pairs of languages to say what they explain together.",)
    return Table(["kinship of languages", "r", "p (shuffled)"], rows, "does kinship explain it?", 1, notes)


def _agreement(found: Culture) -> Table:
    rows = [
        [
            it.table,
            str(len(it.languages)),
            f"{it.found.r:+.2f}",
            f"{it.found.p:.4f}",
            _number(it.found.partial, "+.2f"),
            _number(it.found.partial_p, ".4f"),
            _number(it.p_holm, ".4f"),
            f"{it.found.procrustes:.2f}",
            f"{it.found.procrustes_p:.4f}",
        ]
        for it in found.tables
    ]
    headers = [
        "table",
        "languages",
        "r",
        "p",
        "partial r",
        "p partial",
        "p (Holm)",
        "Procrustes",
        "p Procrustes",
    ]
    notes = (
        "p: one-sided, against random tables that follow family and neighbourhood as much.",
        "Partial: without family, script, geography. Procrustes: share of a layout that the other explains.",
    )
    return Table(headers, rows, "agreement with human values", 1, notes)


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)


def sentences(found: Culture) -> list[str]:
    """What may be said, and no more."""
    lines = [_claim(it) for it in found.tables]
    lines += [f"{name}: not tested, {why}." for name, why in found.skipped.items()]
    lines += [f"{name} is left out: {why}." for name, why in found.dropped.items()]
    if not found.tables and not found.skipped:
        lines.append("No table of human values was given (--tables DIR): nothing is said about cultures.")
    return lines


def _claim(it: TableResult) -> str:
    n, found = len(it.languages), it.found
    if np.isnan(found.partial):
        return f"{it.table}: {n} languages are too few to take kinship out; nothing can be concluded."
    if found.least_p > LEVEL:
        return (
            f"{it.table}: with {n} languages p cannot be below {found.least_p:.2g}, so nothing can be "
            f"concluded (partial r = {found.partial:+.2f})."
        )
    if it.p_holm <= LEVEL and found.partial > 0:
        return (
            f"{it.table}: compatible with answers being more alike where speakers' values are, beyond "
            f"family, script and geography (partial r = {found.partial:+.2f}, "
            f"p = {it.p_holm:.4f} after Holm, {n} languages). It does not show why."
        )
    return (
        f"{it.table}: no sign of agreement beyond kinship (partial r = {found.partial:+.2f}, "
        f"p = {it.p_holm:.4f} after Holm, {n} languages). That is no proof of its absence."
    )


def facts(found: Culture) -> dict[str, Any]:
    """The result as JSON; docs/formats.md describes it."""
    table = languages()
    pairs = [
        {"languages": [found.languages[a], found.languages[b]], **_interval(found.distances.interval(a, b))}
        for a in range(len(found.languages))
        for b in range(a + 1, len(found.languages))
    ]
    return {
        "format": FORMAT,
        "store": found.store,
        "encoder": found.encoder,
        "part": found.part,
        "languages": [
            {
                "code": code,
                "name": table[code].name,
                "family": list(table[code].family),
                "script": table[code].script,
            }
            for code in found.languages
        ],
        "models": found.models,
        "questions": found.questions,
        "distances": pairs,
        "kinship": {name: {"r": r, "p": p} for name, (r, p) in found.kinship.items()},
        "kinship_explains": _or_none(found.explained),
        "tables": [
            {
                "table": it.table,
                "languages": it.languages,
                **{name: _or_none(value) for name, value in vars(it.found).items()},
                "p_holm": _or_none(it.p_holm),
                "sentence": _claim(it),
            }
            for it in found.tables
        ],
        "skipped": found.skipped,
        "dropped": found.dropped,
        "notes": found.notes,
    }


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _interval(found: Interval) -> dict[str, Any]:
    return {"d2": _or_none(found.estimate), "low": found.low, "high": found.high, "questions": found.clusters}
