"""Tables of the studies and controls: gain on values, value content, cultures, style, translations."""

from __future__ import annotations

from univar.evaluate.cells import at_1, interval, signed
from univar.evaluate.head_scores import BagScores, HeadScores, UnknownScores
from univar.evaluate.report import Change, Compared, Fulcra, Report, StyleScores, ValueContent, ValueGap
from univar.heads.source import LEVELS
from univar.tables import Column, Table


def study_tables(report: Report) -> list[Table]:
    """Those that have a row or not, in the order they are shown."""
    return [
        gap(report),
        fulcra(report),
        value_content(report),
        *heads(report),
        culture(report),
        style(report),
        translationese(report),
        compared(report.compared),
    ]


def gap(report: Report) -> Table:
    columns: list[Column[tuple[str, str, str, ValueGap]]] = [
        Column("target", lambda it: it[0]),
        Column("against", lambda it: it[1]),
        Column("by", lambda it: it[2]),
        Column("value gain [95 %]", lambda it: interval(it[3].value)),
        Column("non-value gain [95 %]", lambda it: interval(it[3].non_value)),
        Column("ratio [95 %]", lambda it: interval(it[3].ratio)),
        Column("<= 0.5", lambda it: "yes" if it[3].holds else "no"),
    ]
    items = [
        (target, name, kind, gap)
        for target, encoders in (report.non_value or {}).items()
        for name, kinds in encoders.items()
        for kind, gap in kinds.items()
    ]
    control = ", ".join(report.settings.non_value)
    return Table.of(
        items, columns, f"control: gain on corpora that are not about values ({control}), two sources", 3
    )


def fulcra(report: Report) -> Table:
    return _values(report.fulcra, "Schwartz values in {rows:,} labelled answers, {labels} labels", ())


def value_content(report: Report) -> Table:
    title = "value content where topic tells nothing: {rows:,} labelled answers, {labels} values"
    note = "Macro AUC over pairs of answers to one question that was kept aside; the question alone has 0.5."
    return _values(report.value_content, title, (note,))


def _values(found: Fulcra | None, title: str, notes: tuple[str, ...]) -> Table:
    if found is None:
        return Table([], [])
    columns: list[Column[tuple[str, ValueContent]]] = [
        Column("representation", lambda it: it[0]),
        Column("macro AUC [95 %]", lambda it: interval(it[1].macro_auc)),
        Column("behind the first by [95 %]", lambda it: signed(it[1].difference)),
        Column("p", lambda it: _p(it[1].difference.p) if it[1].difference else ""),
    ]
    title = title.format(rows=found.rows, labels=len(found.labels))
    return Table.of(found.representations.items(), columns, title, notes=notes)


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def heads(report: Report) -> list[Table]:
    """Probabilities of single answers, bags by size (READER's curve), and whether a source is known."""
    found = report.heads or []
    singles: list[Column[HeadScores]] = [
        Column("head", lambda it: it.head),
        Column("rows", lambda it: f"{it.rows:,}"),
        Column("accuracy [95 %]", lambda it: interval(it.accuracy)),
        Column("NLL [95 %]", lambda it: interval(it.nll)),
        Column("Brier", lambda it: f"{it.brier:.3f}"),
        Column("ECE", lambda it: f"{it.ece:.3f}"),
        *(_coverage(level) for level in LEVELS),
    ]
    bags = [(it, bag) for it in found for bag in it.bags]
    curve: list[Column[tuple[HeadScores, BagScores]]] = [
        Column("head", lambda it: it[0].head),
        Column("answers", lambda it: str(it[1].size)),
        Column("summed log posteriors", lambda it: f"{it[1].summed:.3f}"),
        Column("mean vector", lambda it: f"{it[1].mean_vector:.3f}"),
        Column("NLL", lambda it: f"{it[1].nll:.3f}"),
    ]
    strange = [(it, one) for it in found for one in it.unknown]
    unknown: list[Column[tuple[HeadScores, UnknownScores]]] = [
        Column("head", lambda it: it[0].head),
        Column("answers", lambda it: str(it[1].size)),
        Column("AUROC [95 % over sources]", lambda it: interval(it[1].auroc)),
        Column("false alarms at 5 %, 10 answers", lambda it: _number(it[0].false_alarms)),
    ]
    return [
        Table.of(found, singles, "source heads: one answer to a question that the heads did not see", 1),
        Table.of(bags, curve, "source heads: several answers of one source, share named rightly", 2),
        Table.of(strange, unknown, "source heads: is the source known? a third of the sources left out", 2),
    ]


def _coverage(level: float) -> Column[HeadScores]:
    def cell(found: HeadScores) -> str:
        return "" if found.coverage is None else f"{found.coverage[level]:.3f}"

    return Column(f"sets at {level:.0%}", cell)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def culture(report: Report) -> Table:
    rows = [
        [name, culture, f"{len(found.languages)}", f"{found.r:.3f}", f"{found.p:.3f}"]
        for name, cultures in (report.culture or {}).items()
        for culture, found in cultures.items()
    ]
    title = "agreement of languages with human cultures (Mantel)"
    return Table(["encoder", "table", "languages", "r", "p"], rows, title, 2)


def style(report: Report) -> Table:
    columns: list[Column[tuple[str, str, StyleScores]]] = [
        Column("group", lambda it: it[0]),
        Column("encoder", lambda it: it[1]),
        Column("rows", lambda it: f"{it[2].rows:,}"),
        Column("kNN@1", lambda it: at_1(it[2].knn)),
        Column("kNN@1 stripped", lambda it: at_1(it[2].knn_stripped)),
        Column("probe@1", lambda it: at_1(it[2].probe)),
        Column("probe@1 stripped", lambda it: at_1(it[2].probe_stripped)),
    ]
    items = [
        (group, name, scores)
        for group, encoders in (report.style_stripped or {}).items()
        for name, scores in encoders.items()
    ]
    return Table.of(items, columns, "control: sentences shuffled, formatting and names removed", 2)


def translationese(report: Report) -> Table:
    if report.translationese is None:
        return Table([], [])
    found = report.translationese
    rows = [
        [name, text, at_1(scores.knn), at_1(scores.probe)]
        for name, texts in found.encoders.items()
        for text, scores in texts.items()
    ]
    title = f"control: source language of translations, {found.labels} languages"
    return Table(["encoder", "text", "kNN@1 [95 %]", "probe@1 [95 %]"], rows, title, 2)


def compared(found: Compared | None) -> Table:
    """What `compare` found."""
    if found is None:
        return Table([], [])
    columns: list[Column[tuple[str, str, Change]]] = [
        Column("target", lambda it: it[0]),
        Column("by", lambda it: it[1]),
        Column("questions", lambda it: f"{it[2].questions:,}"),
        Column("then", lambda it: f"{it[2].old:.3f}"),
        Column("now", lambda it: f"{it[2].new:.3f}"),
        Column("difference [95 %]", lambda it: signed(it[2].difference)),
        Column("p (Holm)", lambda it: f"{it[2].p_holm:.4f}"),
        Column("", lambda it: "worse" if it[2].worse else ""),
    ]
    items = [
        (target, kind, change) for target, kinds in found.targets.items() for kind, change in kinds.items()
    ]
    return Table.of(items, columns, f"compared with {found.path}", 2)
