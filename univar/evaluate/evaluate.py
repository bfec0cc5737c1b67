"""How well an encoder identifies where an answer came from, with the figures that keep the claim honest."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError, UsageError
from univar.evaluate import protocol, scores
from univar.evaluate.against import Encoded, encoded, matched
from univar.evaluate.bags import bags_of, unseen_model_bags
from univar.evaluate.centred import centred
from univar.evaluate.folds import FoldPredictor, folds
from univar.evaluate.predictions import GroupPredictor, Predictions, together
from univar.evaluate.protocol import EvalSettings
from univar.evaluate.report import Counts, Group, Overall, Report, SplitReport, StoreFacts, Target
from univar.evaluate.studies.culture import culture as human_cultures
from univar.evaluate.studies.texts import TextStudies
from univar.evaluate.studies.value_content import stored_values
from univar.questions.cultures import tables as culture_tables

if TYPE_CHECKING:
    from univar.encoder.encoder import Encoder
    from univar.evaluate.head_scores import HeadScores
    from univar.store import Store

OnProgress = Callable[[str], Any]


def evaluate(
    train: Store,
    eval: Store | None = None,
    *,
    against: Mapping[str, tuple[Store, Store]] | None = None,
    on_progress: OnProgress | None = None,
    encoders: Sequence[Encoder | str] = (),
    fulcra: Path | None = None,
    labels: Path | None = None,
    culture: Path | None = None,
    style_rows: int = 0,
    translationese: Path | None = None,
    heads: bool = False,
    **options: Any,
) -> Report:
    """Attribute each row of `eval` by the rows of `train` and count how often that is right.

    against:      other encoders' stores of the same rows, by the name they get in the report
    on_progress:  called with a line before each group
    encoders:     encoders of the stores or where they are, for what embeds texts; others are found by id
    fulcra:       Parquet file of answers with Schwartz labels, for a probe of values
    labels:       file of answers in which people marked values, several to a question, for value content
    culture:      folder of tables of human cultures, for Mantel's test
    style_rows:   rows of each group and side that are embedded without style and compared; 0 for none
    translationese: folder of Europarl-style CSV files
    heads:        also fit source heads on `train` and score their probabilities, sets and bags
    options:      fields of `EvalSettings`

    Rows of `eval` whose question is in `train` are dropped and counted; so are, for each target, rows with a
    label that no train row has: the split "unseen_model" is about those. Raises DataError for stores of two
    encoders, for `against` stores that lack rows, or if no row is left; UsageError for senseless options.
    """
    settings = EvalSettings.of(options)
    if (eval is None) != (settings.protocol == "paper" or settings.folds > 0):
        raise UsageError(
            "give two stores, or one store with --folds K (by question) or --protocol paper (by rows)"
        )
    other = eval or train
    protocol.check_comparable(train, other)
    compared, centring = centred(_encoders(train, other, against or {}), (train, other), settings)
    if culture is not None:
        culture_tables(culture)  # a wrong folder is told before anything is measured
    first_stores = {train.encoder["id"]: train, **{name: both[0] for name, both in (against or {}).items()}}
    texts = TextStudies(fulcra, labels, style_rows, translationese, first_stores, encoders)
    main, counts = _main_split(train, eval, settings)
    settings.check_non_value(main.groups)
    run = EvalRun(settings, compared, on_progress or (lambda line: None))
    whole = run.split(main, surface=True)
    others = unseen_bags = None
    if eval is not None:
        unseen = protocol.unseen_models(train, eval, settings.within, settings.seed)
        seen = protocol.seen(train, settings.within, settings.seed)
        others = {split.name: run.split(split, surface=False) for split in (seen, unseen)}
        unseen_bags = unseen_model_bags(unseen, compared, settings)
    studies = texts.run(main, compared, settings, run.on_progress)
    value_content = studies.value_content or stored_values(other, compared, settings)
    return Report(
        overall=whole.overall,
        groups=whole.groups,
        settings=settings,
        train=_store_facts(train),
        eval=_store_facts(other),
        encoder=compared[0].facts,
        against={encoder.name: encoder.facts for encoder in compared[1:]},
        counts=counts,
        other_settings=others,
        unseen_model_bags=unseen_bags,
        non_value=scores.value_gap(run.found[main.name], settings) if settings.non_value else None,
        culture=None if culture is None else human_cultures(culture, other, compared, settings.within),
        fulcra=studies.fulcra,
        style_stripped=studies.style_stripped,
        translationese=studies.translationese,
        centring=centring,
        value_content=value_content,
        heads=_head_scores(train, eval, settings, run.on_progress) if heads else None,
    )


def _head_scores(
    train: Store, eval: Store | None, settings: EvalSettings, on_progress: OnProgress
) -> list[HeadScores]:
    from univar.evaluate.studies.heads import fitted, head_scores

    if eval is None:
        raise UsageError("heads are fitted on TRAIN and scored on EVAL: give two stores")
    on_progress("source heads")
    model = fitted(train, settings.cluster, on_progress)
    return head_scores(model, train, eval, ~protocol.overlapping(train, eval), settings.cluster)


def _encoders(train: Store, eval: Store, against: Mapping[str, tuple[Store, Store]]) -> list[Encoded]:
    """The encoder under evaluation, then the others."""
    own = train.encoder["id"]
    if own in against:
        raise UsageError(f"{own} is the encoder under evaluation: name the other differently")
    others = [matched(name, (train, eval), stores) for name, stores in against.items()]
    return [encoded(own, train, eval), *others]


def _main_split(train: Store, eval: Store | None, settings: EvalSettings) -> tuple[protocol.Split, Counts]:
    """How the protocol parts the rows, and how many there are."""
    if settings.folds:
        main = folds(train, settings)
        tested = sum(len(group.eval) for group in main.groups if len(group.train))
        return main, Counts(len(train), len(train), evaluated_rows=tested)
    if eval is None:
        main = protocol.paper_rows(train, settings.within, settings.seed)
        rows = {side: sum(len(getattr(group, side)) for group in main.groups) for side in protocol.SIDES}
        return main, Counts(rows["train"], rows["eval"])
    overlap = protocol.overlapping(train, eval)
    if overlap.all():
        raise DataError(
            f"every question of {eval.path} ({len(eval)} rows) is in {train.path} too, nothing is left: "
            "split the answers by question with `univar split FILE --by question`"
        )
    main = protocol.unseen_questions(train, eval, settings.within, ~overlap)
    return main, _counts(train, eval, overlap, main.groups)


class EvalRun:
    """All splits of one evaluation. found: split to target to (group, predictions)."""

    def __init__(self, settings: EvalSettings, encoders: list[Encoded], on_progress: OnProgress) -> None:
        self.settings, self.encoders, self.on_progress = settings, encoders, on_progress
        self._how = encoders, settings
        self.found: dict[str, dict[str, list[tuple[str | None, Predictions]]]] = {}

    def split(self, split: protocol.Split, *, surface: bool) -> SplitReport:
        """Every target, in each group and over all; surface: with what needs no embedding."""
        found = self.found.setdefault(split.name, {})
        groups = []
        for name, alike in itertools.groupby(split.groups, lambda it: it.name):
            parts = list(alike)
            for rows in parts:
                title = "all" if name is None else name
                sizes = f"{len(rows.eval):,} rows against {len(rows.train):,}"
                self.on_progress(f"{split.name}, {title}: {sizes}")
            kind = FoldPredictor(split, parts, *self._how, surface) if len(parts) > 1 else None
            predictor = kind or GroupPredictor(split, parts[0], *self._how, surface)
            rows, questions = predictor.group, len(set(predictor.questions))
            targets = {target: self._target(predictor, target, found) for target in self.settings.targets}
            groups.append(Group(rows.name, len(rows.train), len(rows.eval), questions, targets))
        return SplitReport({target: self._overall(parts) for target, parts in found.items()}, groups)

    def _target(
        self,
        predictor: GroupPredictor | FoldPredictor,
        target: str,
        found: dict[str, list[tuple[str | None, Predictions]]],
    ) -> Target:
        names, _, truth = predictor.labels(target)
        known = truth >= 0
        questions = len(set(predictor.questions[known]))
        counts = len(names), int(known.sum()), questions, int((~known).sum())
        skipped = predictor.why_skipped(names, truth)
        if skipped is not None:
            return Target(*counts, skipped=skipped)
        predictions, scores_of = predictor.predict(target)
        found.setdefault(target, []).append((predictor.group.name, predictions))
        return Target(
            *counts,
            bags=bags_of(predictions, scores_of, self.settings) if self.settings.bags else None,
            scores=scores.target_scores(predictions, self.settings),
            per_label=scores.per_label(predictions, self.settings),
            chosen=predictions.chosen or None,
        )

    def _overall(self, parts: list[tuple[str | None, Predictions]]) -> Overall:
        """All groups of a target together, each row counting once."""
        whole = together([part for _, part in parts])
        return Overall(
            len(parts),
            len(whole.questions),
            len(set(whole.questions)),
            scores.target_scores(whole, self.settings),
            scores.by_question(whole, self.settings),
        )


def _store_facts(store: Store) -> StoreFacts:
    return StoreFacts(str(store.path), len(store), store.fingerprint)


def _counts(train: Store, eval: Store, overlap: np.ndarray, groups: list[protocol.GroupRows]) -> Counts:
    questions = eval.column("question_id")
    return Counts(
        train_rows=len(train),
        eval_rows=len(eval),
        overlap_rows=int(overlap.sum()),
        overlap_questions=len(set(questions[overlap])),
        rows_without_train_group=sum(len(group.eval) for group in groups if not len(group.train)),
        evaluated_rows=sum(len(group.eval) for group in groups if len(group.train)),
    )
