"""Comparisons as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from univar.compare.compare import Comparison, Pair
from univar.compare.detail import Detail
from univar.compare.floor import Floor
from univar.compare.probes import ProbeShift
from univar.statistics.intervals import Interval

FORMAT = "univar-comparison/1"


def comparison_json(found: Comparison) -> dict[str, Any]:
    """What `json.dumps` takes: numbers that are unknown are null."""
    return {
        "format": FORMAT,
        "by": list(found.by),
        "cluster": found.cluster,
        "part": found.part,
        "centre": found.centre,
        "sources": [
            {"name": name, "rows": rows, "propositions": propositions}
            for name, rows, propositions in zip(found.sources, found.rows, found.propositions, strict=True)
        ],
        "floor": floor_json(found.floor),
        "floors": [floor_json(floor) for floor in found.floors],
        "pairs": [_pair(pair) for pair in found.pairs],
        "variance": None if found.shares is None else found.shares.shares,
        "consistency": [
            {"model": each.model, "languages": [each.one, each.other], **interval_json(each.value)}
            for each in found.consistencies
        ],
        "detail": None if found.detail is None else _detail(found.detail),
        "notes": list(found.notes),
    }


def _detail(found: Detail) -> dict[str, Any]:
    return {
        "questions": [asdict(each) for each in found.questions],
        "values": [
            {"name": name, **interval_json(d2), "p": p, "p_holm": p_holm}
            for name, d2, p, p_holm in found.values
        ],
        "probes": [probe_json(each) for each in found.probes],
        "declined": asdict(found.flips),
        "energy": interval_json(found.energy),
        "moved": [asdict(each) for each in found.moved],
    }


def probe_json(found: ProbeShift) -> dict[str, Any]:
    """A value's change with its interval, propositions up and down, p and t."""
    own = {"up": found.up, "down": found.down, "p": found.p, "p_holm": found.p_holm, "t": found.t}
    return {"name": found.value, **interval_json(found.change), **own}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        **interval_json(pair.distance),
        "pairing": pair.pairing,
        "p": pair.p,
        "p_holm": pair.p_holm,
        "detectable": pair.detectable,
        "energy": None if pair.energy is None else interval_json(pair.energy),
    }


def interval_json(found: Interval) -> dict[str, Any]:
    """`value`, `low`, `high`, `se` and `propositions`."""
    known = found.estimate == found.estimate
    return {
        "value": found.estimate if known else None,
        "low": found.low,
        "high": found.high,
        "se": found.se,
        "propositions": found.clusters,
    }


def floor_json(floor: Floor | None) -> dict[str, Any] | None:
    """A floor's fields, or null."""
    return None if floor is None else asdict(floor)
