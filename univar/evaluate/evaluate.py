"""How well an encoder tells where an answer came from, with the numbers that keep the claim honest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError, UsageError
from univar.evaluate import figures, gap, retrieval, split
from univar.evaluate.encoded import Encoded, encoded, matched
from univar.evaluate.settings import Settings
from univar.evaluate.studies.culture import culture as human_cultures
from univar.evaluate.studies.culture import tables as culture_tables
from univar.evaluate.task import GroupTask, Judged, together
from univar.evaluate.text_tests import TextTests

if TYPE_CHECKING:
    from univar.encoder.encoder import Encoder
    from univar.store import Store

FORMAT = "univar-evaluation/2"

OnProgress = Callable[[str], Any]


def evaluate(
    train: Store,
    eval: Store | None = None,
    *,
    against: Mapping[str, tuple[Store, Store]] | None = None,
    on_progress: OnProgress | None = None,
    encoders: Sequence[Encoder | str] = (),
    fulcra: Path | None = None,
    culture: Path | None = None,
    style_rows: int = 0,
    translationese: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Attribute each row of `eval` by the rows of `train` and say how often that is right.

    against:      other encoders' stores of the same rows, by the name they get in the report
    on_progress:  called with a line before each group
    encoders:     encoders of the stores or where they are, for what embeds texts; others are found by id
    fulcra:       Parquet file of answers with Schwartz labels, for a probe of values
    culture:      folder of tables of human cultures, for Mantel's test
    style_rows:   rows of each group and side that are embedded without style and compared; 0 for none
    translationese: folder of Europarl-style CSV files
    k:            numbers of neighbours; one-line figures use the one nearest to 50
    targets:      columns to predict: "source", "model", "language" or another
    within:       a column; rows are compared only with train rows of the same value (models of one corpus)
    protocol:     "questions": no question on both sides. "paper": UniVaR's split by row of `train` alone
    non_value:    values of `within` that are not about values; the gain over `against` is compared there
    bags:         numbers of answers of one source that are attributed together
    bootstrap:    draws of questions for the 95 % intervals
    permutations: shuffles of the train labels
    baselines:    linear probes, TF-IDF, and what length, refusals and language tell (needs scikit-learn)
    seed:         of everything that is drawn
    returns:      a dict that JSON can hold; `docs/evaluation.md` says what is in it

    Rows of `eval` whose question is in `train` are dropped and counted; so are, for each target, rows with a
    label that no train row has: the setting "unseen_model" is about those. Raises DataError for stores of two
    encoders, for `against` stores that lack rows, or if no row is left; UsageError for senseless options.
    """
    settings = _settings(options)
    if (eval is None) != (settings.protocol == "paper"):
        raise UsageError("the paper's protocol splits one store by rows; the other compares two stores")
    other = eval or train
    split.check_comparable(train, other)
    compared = _encoders(train, other, against or {})
    if culture is not None:
        culture_tables(culture)  # a wrong folder is told before anything is measured
    first_stores = {train.encoder["id"]: train, **{name: both[0] for name, both in (against or {}).items()}}
    tests = TextTests(fulcra, style_rows, translationese, first_stores, encoders)
    main, counts = _main_setting(train, eval, settings)
    gap.check_names((group.name for group in main.groups), settings)
    run = _Run(settings, compared, on_progress or (lambda line: None))
    report = {
        "format": FORMAT,
        "settings": settings.facts(),
        "train": _store_facts(train),
        "eval": _store_facts(other),
        "encoder": compared[0].facts,
        "against": {encoder.name: encoder.facts for encoder in compared[1:]},
        "counts": counts,
        **run.setting(main, surface=True),
    }
    if eval is not None:
        unseen = split.unseen_models(train, eval, settings.within, settings.seed)
        report["other_settings"] = {
            "seen": run.setting(split.seen(train, settings.within, settings.seed), surface=False),
            "unseen_model": run.setting(unseen, surface=False),
        }
        report["unseen_model_bags"] = retrieval.unseen_model_bags(unseen, compared, settings)
    if settings.non_value:
        report["non_value"] = gap.value_gap(run.judged[main.name], settings)
    if culture is not None:
        report["culture"] = human_cultures(culture, other, compared, settings.within)
    return {**report, **tests.run(main, compared, settings, run.on_progress)}


def _settings(options: dict[str, Any]) -> Settings:
    unknown = set(options) - {field.name for field in fields(Settings)}
    if unknown:
        raise UsageError(f"evaluate has no option {', '.join(sorted(unknown))}")
    frozen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    return Settings(**frozen)


def _encoders(train: Store, eval: Store, against: Mapping[str, tuple[Store, Store]]) -> list[Encoded]:
    """The encoder under evaluation, then the others."""
    own = train.encoder["id"]
    if own in against:
        raise UsageError(f"{own} is the encoder under evaluation: name the other differently")
    others = [matched(name, (train, eval), stores) for name, stores in against.items()]
    return [encoded(own, train, eval), *others]


def _main_setting(
    train: Store, eval: Store | None, settings: Settings
) -> tuple[split.Setting, dict[str, int]]:
    """How the protocol parts the rows, and how many there are."""
    if eval is None:
        main = split.paper_rows(train, settings.within, settings.seed)
        rows = {side: sum(len(getattr(group, side)) for group in main.groups) for side in ("train", "eval")}
        return main, {"train_rows": rows["train"], "eval_rows": rows["eval"]}
    leaks = split.leaked(train, eval)
    if leaks.all():
        raise DataError(
            f"every question of {eval.path} ({len(eval)} rows) is in {train.path} too, nothing is left: "
            "split by question"
        )
    main = split.unseen_questions(train, eval, settings.within, ~leaks)
    return main, _counts(train, eval, leaks, main.groups)


class _Run:
    """All settings of one evaluation. judged: setting to target to (group, what was judged)."""

    def __init__(self, settings: Settings, encoders: list[Encoded], on_progress: OnProgress) -> None:
        self.settings, self.encoders, self.on_progress = settings, encoders, on_progress
        self.judged: dict[str, dict[str, list[tuple[str | None, Judged]]]] = {}

    def setting(self, setting: split.Setting, *, surface: bool) -> dict[str, Any]:
        """`overall` by target and `groups`; surface: with baselines and levels that see no embedding."""
        found = self.judged.setdefault(setting.name, {})
        groups = []
        for group in setting.groups:
            name = "all" if group.name is None else group.name
            self.on_progress(f"{setting.name}, {name}: {len(group.eval):,} rows against {len(group.train):,}")
            task = GroupTask(setting, group, self.encoders, self.settings, surface)
            groups.append({
                "group": group.name,
                "train_rows": len(group.train),
                "eval_rows": len(group.eval),
                "eval_questions": len(set(task.questions)),
                "targets": {target: self._target(task, target, found) for target in self.settings.targets},
            })  # fmt: skip
        return {
            "overall": {target: self._overall(parts) for target, parts in found.items()},
            "groups": groups,
        }

    def _target(self, task: GroupTask, target: str, found: dict[str, Any]) -> dict[str, Any]:
        facts, judged = task.judge(target)
        if judged is not None:
            facts.update(figures.figures(judged, self.settings))
            facts["per_label"] = figures.per_label(judged, self.settings)
            found.setdefault(target, []).append((task.group.name, judged))
        return facts

    def _overall(self, parts: list[tuple[str | None, Judged]]) -> dict[str, Any]:
        """All groups of a target together, each row counting once."""
        judged = together([part for _, part in parts])
        return {
            "groups": len(parts),
            "rows": len(judged.questions),
            "questions": len(set(judged.questions)),
            **figures.figures(judged, self.settings),
            "by_question": figures.by_question(judged, self.settings),
        }


def _store_facts(store: Store) -> dict[str, Any]:
    return {"path": str(store.path), "rows": len(store), "fingerprint": store.fingerprint}


def _counts(train: Store, eval: Store, leaks: np.ndarray, groups: list[split.Group]) -> dict[str, int]:
    questions = eval.column("question_id")
    return {
        "train_rows": len(train),
        "eval_rows": len(eval),
        "leaked_rows": int(leaks.sum()),
        "leaked_questions": len(set(questions[leaks])),
        "rows_without_train_group": sum(len(group.eval) for group in groups if not len(group.train)),
        "evaluated_rows": sum(len(group.eval) for group in groups if len(group.train)),
    }
