"""The report of `univar evaluate` as tables for a person; a column is one line here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from univar.evaluate.cells import at_1, interval, mean, signed, value
from univar.evaluate.classifiers import PAPER_BATCH, PAPER_EPOCHS
from univar.evaluate.metrics import Estimate
from univar.evaluate.report import (
    Accuracy,
    BagAccuracy,
    Bags,
    Comparison,
    ModelBags,
    OtherScores,
    Report,
    Scores,
    TargetScores,
)
from univar.evaluate.studies.tables import study_tables
from univar.tables import Column, Table

TFIDF = "TF-IDF"
SPLITS = {"unseen_question": "questions new", "seen": "questions seen", "unseen_model": "models new"}
PAPER_STEPS = 300
"""Updates below which the paper's probe is far from trained; with 20 it reaches half of what it could."""

NOTES = (
    "95 % intervals are jackknife-t over questions (--cluster: another column); fewer than",
    "5 give none. Chance is 1/labels. Shuffled: 95th percentile of k-NN with shuffled train",
    "labels. In-question: labels shuffled among the answers to each question. TF-IDF is a",
    "linear classifier on the words of the answers alone. @5, F1 (macro) and two sources",
    "(how often the true label beats another one, chance 0.5) are those of the better one",
    "of k-NN and probe. Chosen k: the best on train rows without their own question. The C of",
    "probes is chosen in folds of train that share no question.",
)
SEEN_NOTE = (
    "Questions seen can score below questions new: the nearest rows are then other",
    "sources' answers to the same question, and there are fewer rows to attribute by.",
)


@dataclass(frozen=True)
class Line:
    """A line of the main tables: one target, or several alike, in one group or in all together."""

    group: str
    target: str
    labels: int | None
    rows: int
    k: int
    scores: TargetScores

    @property
    def knn(self) -> Scores:
        return self.scores.knn[self.k]

    @property
    def tfidf(self) -> Scores | None:
        return None if self.scores.tfidf is None else self.scores.tfidf.scores

    @property
    def best(self) -> Scores:
        return self.scores.best(self.k)


MAIN: list[Column[Line]] = [
    Column("group", lambda line: line.group),
    Column("target", lambda line: line.target),
    Column("labels", lambda line: "" if line.labels is None else f"{line.labels:,}"),
    Column("rows", lambda line: f"{line.rows:,}"),
    Column("kNN@1 [95 %]", lambda line: at_1(line.knn)),
    Column("chosen k@1 [95 %]", lambda line: at_1(line.scores.knn_chosen)),
    Column("probe@1 [95 %]", lambda line: at_1(line.scores.probe)),
    Column("TF-IDF@1 [95 %]", lambda line: at_1(line.tfidf)),
    Column("@5", lambda line: value(line.best.accuracy[5])),
    Column("F1", lambda line: value(line.best.macro_f1)),
    Column("two sources", lambda line: value(line.best.two_sources)),
    Column("chance", lambda line: f"{line.scores.chance:.3f}"),
    Column("shuffled", lambda line: (line.scores.permutation and f"{line.scores.permutation.p95:.3f}") or ""),
]

CONTROLS: list[Column[Line]] = [
    Column("group", lambda line: line.group),
    Column("target", lambda line: line.target),
    Column("chance", lambda line: f"{line.scores.chance:.3f}"),
    Column("majority", lambda line: f"{line.scores.majority:.3f}"),
    Column("length alone", lambda line: at_1(line.scores.length)),
    Column("declined alone", lambda line: at_1(line.scores.declined)),
    Column("language alone", lambda line: at_1(line.scores.language)),
    Column("kNN in-question", lambda line: mean(line.scores.within_question_knn)),
    Column("probe in-question", lambda line: mean(line.scores.within_question_probe)),
]


def tables(report: Report) -> list[Table | str]:
    """All tables of a report, and what was left out."""
    lines = list(_lines(report))
    blocks: list[Table | str] = [
        Table.of(lines, MAIN, f"{report.encoder['id']}, k = {report.settings.headline_k}", 2, _notes(report)),
        Table.of(
            [line for line in lines if line.scores.length],
            CONTROLS,
            "controls: what must not explain the accuracy",
            2,
        ),
        _left_out(report),
        *(_against(report, name, lines) for name in (*report.against, TFIDF)),
        _bags(report),
        _splits(report),
        _unseen_model_bags(report),
        *study_tables(report),
    ]
    return [block for block in blocks if (block.rows if isinstance(block, Table) else block)]


def _lines(report: Report) -> Iterator[Line]:
    """Everything evaluated, group by group, and all groups together if there are several."""
    k = report.settings.headline_k
    for group in report.groups:
        alike: dict[object, Line] = {}
        for name, target in group.targets.items():
            if target.scores is None:
                continue
            sizes = sorted((label.train_rows, label.eval_rows) for label in target.per_label or [])
            key = target.rows, str(sizes)  # source and model are the same where there is one language
            names = f"{alike[key].target}, {name}" if key in alike else name
            alike[key] = Line(group.title, names, target.labels, target.rows, k, target.scores)
        yield from alike.values()
    if len(report.groups) > 1:
        for name, overall in report.overall.items():
            yield Line("together", name, None, overall.rows, k, overall.scores)


def _notes(report: Report) -> tuple[str, ...]:
    """What the columns mean, and whether the paper's probe had rows enough."""
    if report.settings.protocol != "paper" or not report.settings.baselines:
        return NOTES
    steps = [PAPER_EPOCHS * -(-group.train_rows // PAPER_BATCH) for group in report.groups]
    if not steps or min(steps) >= PAPER_STEPS:
        return NOTES
    return (
        *NOTES,
        f"The paper's probe gets {min(steps):,} updates in the smallest group (20 passes, batches of 512).",
        f"Below about {PAPER_STEPS} it is far from trained: its low accuracy says nothing there.",
    )


def _left_out(report: Report) -> str:
    notes = []
    for group in report.groups:
        for name, target in group.targets.items():
            if target.skipped is not None:
                notes.append(f"{group.title}, {name}: not evaluated, {target.skipped}")
            elif target.unseen_label_rows:
                unseen = f"{target.unseen_label_rows:,} rows left out, their label has no train row"
                notes.append(f"{group.title}, {name}: {unseen}")
    counts = report.counts
    if counts.overlap_rows:
        notes.append(
            f"{counts.overlap_rows:,} of {counts.eval_rows:,} rows dropped: their question is in train "
            f"({counts.overlap_questions:,} questions)"
        )
    for side, rows in (report.centring or {}).items():
        notes.append(
            f"{side} centred by other sources' answers (--centre {report.settings.centre}): "
            f"{rows.question:,} rows, {rows.cluster:,} by proposition, {rows.none:,} left as they are"
        )
    if counts.rows_without_train_group:
        notes.append(f"{counts.rows_without_train_group:,} rows are in groups without train rows")
    return "\n".join(notes)


@dataclass(frozen=True)
class Beside:
    """A classifier of the encoder under evaluation beside that of another, or beside TF-IDF."""

    line: Line
    kind: str
    theirs: Accuracy | None
    comparison: Comparison

    @property
    def ours(self) -> Accuracy | None:
        return self.line.knn if self.kind == "knn" else self.line.scores.probe


def _against(report: Report, name: str, lines: list[Line]) -> Table:
    own = str(report.encoder["id"])
    columns: list[Column[Beside]] = [
        Column("group", lambda it: it.line.group),
        Column("target", lambda it: it.line.target),
        Column("by", lambda it: it.kind),
        Column(f"{own} @1", lambda it: at_1(it.ours)),
        Column(f"{name} @1", lambda it: at_1(it.theirs)),
        Column("difference [95 %]", lambda it: signed(it.comparison.difference[it.kind])),
        Column("p", lambda it: f"{it.comparison.difference[it.kind].p:.4f}"),
        Column("times [95 %]", lambda it: interval(it.comparison.times[it.kind])),
    ]
    beside = [it for line in lines for it in _beside(line, name)]
    return Table.of(beside, columns, f"{own} against {name}, on the same rows", 3)


def _beside(line: Line, name: str) -> Iterator[Beside]:
    if name == TFIDF:
        if line.scores.tfidf is not None:
            comparison = line.scores.tfidf.comparison
            yield from (Beside(line, kind, line.tfidf, comparison) for kind in comparison.difference)
        return
    other = (line.scores.against or {})[name]
    for kind in other.comparison.difference:
        yield Beside(line, kind, other.knn[line.k] if kind == "knn" else other.probe, other.comparison)


@dataclass(frozen=True)
class BagLine:
    """Bags of one size in one group, by one encoder."""

    group: str
    size: int
    encoder: str
    bags: Bags
    accuracy: BagAccuracy


BAGS: list[Column[BagLine]] = [
    Column("group", lambda line: line.group),
    Column("answers", lambda line: str(line.size)),
    Column("encoder", lambda line: line.encoder),
    Column("bags", lambda line: f"{line.bags.bags:,}"),
    Column("kNN", lambda line: interval(line.accuracy.knn)),
    Column("probe", lambda line: interval(line.accuracy.probe)),
    Column("TF-IDF", lambda line: interval(line.bags.tfidf) if line.accuracy is line.bags else ""),
]


def _bags(report: Report) -> Table:
    target, own = report.settings.targets[0], str(report.encoder["id"])
    lines = [
        BagLine(group.title, size, encoder, bags, accuracy)
        for group in report.groups
        for size, bags in (group.targets[target].bags or {}).items()
        for encoder, accuracy in {own: bags, **(bags.against or {})}.items()
    ]
    return Table.of(lines, BAGS, f"{target} of several answers at once", 3)


@dataclass(frozen=True)
class SplitLine:
    """One target of one split, by one encoder."""

    split: str
    target: str
    encoder: str
    rows: int
    chance: float
    knn: Accuracy
    probe: Accuracy | None


SPLIT: list[Column[SplitLine]] = [
    Column("split", lambda line: line.split),
    Column("target", lambda line: line.target),
    Column("encoder", lambda line: line.encoder),
    Column("rows", lambda line: f"{line.rows:,}"),
    Column("chance", lambda line: f"{line.chance:.3f}"),
    Column("kNN@1 [95 %]", lambda line: at_1(line.knn)),
    Column("probe@1 [95 %]", lambda line: at_1(line.probe)),
]


def _splits(report: Report) -> Table:
    """Seen and unseen."""
    lines: list[SplitLine] = []
    k, own = report.settings.headline_k, str(report.encoder["id"])
    parts = {"unseen_question": report, **report.other_settings} if report.other_settings else {}
    for split, part in parts.items():
        for name, overall in part.overall.items():
            scores = overall.scores
            encoders: dict[str, TargetScores | OtherScores] = {own: scores, **(scores.against or {})}
            for encoder, found in encoders.items():
                facts = SPLITS[split], name, encoder, overall.rows, scores.chance
                lines.append(SplitLine(*facts, found.knn[k], found.probe))
    found_at = {(line.split, line.target, line.encoder): line.knn.at_1.value for line in lines}
    lower = any(
        value < found_at.get((SPLITS["unseen_question"], target, encoder), 0.0)
        for (split, target, encoder), value in found_at.items()
        if split == SPLITS["seen"]
    )
    return Table.of(lines, SPLIT, "seen and unseen", 3, SEEN_NOTE if lower else ())


@dataclass(frozen=True)
class ModelLine:
    """Bags of new models of one size in one group, by one encoder; ratio: the evaluated encoder's by this."""

    group: str
    size: int
    encoder: str
    bags: ModelBags
    same_model: Estimate
    ratio: Estimate | None


NEW_MODELS: list[Column[ModelLine]] = [
    Column("group", lambda line: line.group),
    Column("answers", lambda line: str(line.size)),
    Column("encoder", lambda line: line.encoder),
    Column("models", lambda line: f"{line.bags.models:,}"),
    Column("bags", lambda line: f"{line.bags.bags:g}"),
    Column("chance", lambda line: f"{line.bags.chance:.3f}"),
    Column("same model [95 %]", lambda line: interval(line.same_model)),
    Column("the first is right times [95 %]", lambda line: interval(line.ratio)),
]


def _unseen_model_bags(report: Report) -> Table:
    own = str(report.encoder["id"])
    lines: list[ModelLine] = []
    for size, found in (report.unseen_model_bags or {}).items():
        for group, bags in {**found.groups, "together": found.together}.items():
            lines.append(ModelLine(group, size, own, bags, bags.same_model, None))
            lines += [
                ModelLine(group, size, name, bags, other.same_model, other.ratio)
                for name, other in (bags.against or {}).items()
            ]
    return Table.of(lines, NEW_MODELS, "new models: the nearest other bag is of the same model", 3)
