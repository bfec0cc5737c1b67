"""A profile as tables and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.compare.profile import Profile, SourceProfile
from univar.heads.value_probes import Validity
from univar.statistics.intervals import Interval
from univar.tables import Table

FORMAT = "univar-profile/1"
FIRST = 3
MOST_COLUMNS = 8
"""Sources up to which the scores of all values are printed."""

NOT_MEASURABLE = "not measurable"


def tables(profile: Profile) -> list[Table | str]:
    """What a person reads: first values, differences, scores, validity, notes."""
    blocks: list[Table | str] = [_first(profile)]
    if profile.against is not None:
        blocks.append(_against(profile))
    if len(profile.sources) <= MOST_COLUMNS:
        blocks.append(_scores(profile))
    blocks.append(_validity(profile))
    if profile.notes:
        blocks.append("\n".join(profile.notes))
    return blocks


def _first(profile: Profile) -> Table:
    rows = []
    for source in profile.sources:
        named = [f"{name} [{low}-{high}]" for name, _, low, high in list(profile.first(source))[:FIRST]]
        agreement = "" if np.isnan(source.agreement) else f"{source.agreement:+.2f}"
        counts = f"{source.answers:,}", f"{source.questions:,}"
        rows.append([source.name, *counts, *named, *[""] * (FIRST - len(named)), agreement])
    what = (
        "beyond what other sources answered to the same question"
        if profile.centre == "question"
        else "as they are, topic included"
    )
    headers = [
        profile.by,
        "answers",
        "questions",
        "first [ranks]",
        "second [ranks]",
        "third [ranks]",
        "anchors",
    ]
    measurable = int(profile.probes.measurable.sum())
    notes = (
        f"In brackets: 95 % confidence set of the rank among the {measurable} measurable values.",
        "Anchors: rank correlation with the order that the anchor sentences give, a second opinion.",
    )
    return Table(headers, rows, f"values put first, {what} ({profile.encoder}, {profile.part})", 1, notes)


def _scores(profile: Profile) -> Table:
    probes = profile.probes
    rows = [
        [name, *(source.scores[v].text(2) for source in profile.sources)]
        if probes.validity[v].measurable
        else [name, *[NOT_MEASURABLE] * len(profile.sources)]
        for v, name in enumerate(probes.values)
    ]
    title = "scores, in standard deviations of the labelled answers [95 % over questions]"
    return Table(["value", *(source.name for source in profile.sources)], rows, title)


def _against(profile: Profile) -> Table:
    rows = []
    for source in profile.sources:
        if source.against is None:
            continue
        kept = [v for v in range(len(source.against)) if profile.probes.validity[v].measurable]
        kept.sort(key=lambda v: -source.against[v].interval.estimate)  # type: ignore[index]
        shown = kept if len(kept) <= 2 * FIRST else [*kept[:FIRST], *kept[-FIRST:]]
        for v in shown:
            found = source.against[v]
            p = "" if np.isnan(found.p) else f"{found.p:.4f}"
            rows.append([source.name, profile.probes.values[v], found.interval.text(2), p])
    title = f"minus {profile.against} in the same language, on shared questions: most and least"
    notes = ("p: t test of the jackknife, Holm over the values of a source.",)
    return Table([profile.by, "value", "difference [95 %]", "p (Holm)"], rows, title, 2, notes)


def _validity(profile: Profile) -> Table:
    probes = profile.probes
    rows = [
        [
            name,
            _text(found.within),
            _text(found.plain),
            _text(second.within),
            "yes" if found.measurable else "no",
        ]
        for name, found, second in zip(probes.values, probes.validity, probes.anchor_validity, strict=True)
    ]
    headers = [
        "value",
        "in-question AUC [95 %]",
        "other data AUC [95 %]",
        "anchors in-question",
        "measurable",
    ]
    data = probes.data
    notes = (
        f"Labels: {data.get('labels')}, {data.get('rows'):,} answers to {data.get('questions'):,} questions.",
        "In-question: pairs of answers to one question that was kept aside; the question alone has 0.5.",
        f"Other data: {data.get('other') or 'none'}; one answer a question, so topic counts.",
        "Not measurable: the interval of the in-question AUC includes 0.5.",
    )
    return Table(headers, rows, "how far each probe can be believed", 1, notes)


def _text(found: Interval | None) -> str:
    return "" if found is None else found.text(2)


def facts(profile: Profile) -> dict[str, Any]:
    """The profile as JSON; docs/formats.md describes it."""
    probes = profile.probes
    values = [
        {
            "value": name,
            "measurable": found.measurable,
            "validity": _validity_json(found),
            "anchor_validity": _validity_json(second),
        }
        for name, found, second in zip(probes.values, probes.validity, probes.anchor_validity, strict=True)
    ]
    return {
        "format": FORMAT,
        "store": profile.store,
        "encoder": profile.encoder,
        "part": profile.part,
        "by": profile.by,
        "centre": profile.centre,
        "against": profile.against,
        "labels": probes.data,
        "values": values,
        "sources": [_source_json(profile, source) for source in profile.sources],
        "notes": profile.notes,
    }


def _source_json(profile: Profile, source: SourceProfile) -> dict[str, Any]:
    place = {name: (rank, low, high) for name, rank, low, high in profile.first(source)}
    scores = []
    for v, name in enumerate(profile.probes.values):
        found: dict[str, Any] = {
            "value": name,
            "score": interval_json(source.scores[v]),
            "anchor_score": interval_json(source.anchors[v]),
        }
        if name in place:
            found["rank"], found["rank_low"], found["rank_high"] = place[name]
        if source.against is not None:
            difference = source.against[v]
            p = None if np.isnan(difference.p) else difference.p
            found["difference"] = {**interval_json(difference.interval), "p_holm": p}
        scores.append(found)
    return {
        "name": source.name,
        "language": source.language,
        "answers": source.answers,
        "questions": source.questions,
        "anchor_agreement": None if np.isnan(source.agreement) else source.agreement,
        "values": scores,
    }


def _validity_json(found: Validity) -> dict[str, Any]:
    return {
        "in_question": interval_json(found.within),
        "other_data": None if found.plain is None else interval_json(found.plain),
    }


def interval_json(found: Interval) -> dict[str, Any]:
    """value, low, high, clusters; what is not known is null."""
    value = found.estimate if np.isfinite(found.estimate) else None
    return {"value": value, "low": found.low, "high": found.high, "clusters": found.clusters}
