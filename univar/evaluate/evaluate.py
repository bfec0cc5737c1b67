"""How well neighbours tell where an answer came from, with the numbers that keep the claim honest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.errors import DataError, UsageError
from univar.evaluate import metrics, neighbours, split
from univar.evaluate.baseline import SurfaceBaseline

if TYPE_CHECKING:
    from univar.store import Store

FORMAT = "univar-evaluation/1"
HEADLINE_K = 20
TARGETS = ("source", "model", "language")


@dataclass(frozen=True)
class Settings:
    """What was asked for; part of the report."""

    k: tuple[int, ...]
    headline_k: int
    targets: tuple[str, ...]
    within: str | None
    bootstrap: int
    permutations: int
    baseline: bool
    seed: int


@dataclass
class Judged:
    """Rows of one target in one group, with the rank of each true label: what the overall figures need."""

    questions: np.ndarray
    ranks: dict[str, np.ndarray]  # of the neighbours for each k, and of "tfidf"
    majority: np.ndarray
    chance: float
    permuted: np.ndarray = field(default_factory=lambda: np.empty(0))


def evaluate(
    train: Store,
    eval: Store,
    *,
    k: Sequence[int] = (5, 20, 50),
    targets: Sequence[str] = TARGETS,
    within: str | None = None,
    bootstrap: int = 1000,
    permutations: int = 100,
    baseline: bool = True,
    seed: int = 0,
    on_progress: Callable[[str], Any] | None = None,
) -> dict[str, Any]:
    """Attribute each row of `eval` by its nearest rows of `train` and say how often that is right.

    k:            numbers of neighbours; the headline is the one nearest to 20
    targets:      columns to predict: "source", "model", "language" or another
    within:       a column; rows are compared only with train rows of the same value (models of one corpus)
    bootstrap:    draws of questions for the 95 % intervals
    permutations: shuffles of the train labels
    baseline:     also TF-IDF and logistic regression on the answers alone (needs scikit-learn)
    on_progress:  called with a line before each group
    returns:      a dict that JSON can hold: settings, train, eval, encoder, counts, overall, groups

    Rows of `eval` whose question is in `train` are dropped and counted; so are, for each target, rows with a
    label that no train row has. Raises DataError for stores of two encoders or if no row is left, UsageError
    for a column that a store lacks.
    """
    settings = _checked(Settings(
        tuple(k), min(k, key=lambda n: abs(n - HEADLINE_K), default=0), tuple(targets), within, bootstrap,
        permutations, baseline, seed,
    ))  # fmt: skip
    split.check_comparable(train, eval)
    leaks = split.leaked(train, eval)
    if leaks.all():
        raise DataError(
            f"every question of {eval.path} ({len(eval)} rows) is in {train.path} too, nothing is left: "
            "split by question"
        )
    groups = split.groups(train, eval, within, ~leaks)
    reports, judged = [], dict[str, list[Judged]]()
    for group in groups:
        if on_progress is not None:
            on_progress(f"{group.name or 'all'}: {len(group.eval):,} rows against {len(group.train):,}")
        report, by_target = _evaluate_group(train, eval, group, settings)
        reports.append(report)
        for target, rows in by_target.items():
            judged.setdefault(target, []).append(rows)
    return {
        "format": FORMAT,
        "settings": {name: list(v) if isinstance(v, tuple) else v for name, v in vars(settings).items()},
        "train": _store_facts(train),
        "eval": _store_facts(eval),
        "encoder": dict(train.encoder),
        "counts": _counts(train, eval, leaks, groups),
        "overall": {target: _overall(parts, settings) for target, parts in judged.items()},
        "groups": reports,
    }


def _checked(settings: Settings) -> Settings:
    if not settings.k or min(settings.k) < 1:
        raise UsageError(f"k must be numbers of neighbours of at least 1, got {list(settings.k)}")
    if not settings.targets:
        raise UsageError("no target to predict: choose from source, model, language or another column")
    if settings.bootstrap < 1 or settings.permutations < 0:
        raise UsageError("bootstrap must be at least 1 and permutations at least 0")
    return settings


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


def _evaluate_group(
    train: Store, eval: Store, group: split.Group, settings: Settings
) -> tuple[dict[str, Any], dict[str, Judged]]:
    questions = eval.column("question_id")[group.eval]
    report: dict[str, Any] = {
        "group": group.name,
        "train_rows": len(group.train),
        "eval_rows": len(group.eval),
        "eval_questions": len(set(questions)),
        "targets": {},
    }
    judged: dict[str, Judged] = {}
    near = neighbours.nearest(train.embeddings, eval.embeddings, group, train.dim, max(settings.k))
    surface: SurfaceBaseline | None = None
    for target in settings.targets:
        names, labels, truth = split.shared_labels(train, eval, target, group)
        closed = np.flatnonzero(truth >= 0)
        facts: dict[str, Any] = {
            "labels": len(names),
            "rows": len(closed),
            "questions": len(set(questions[closed])),
            "unseen_label_rows": len(truth) - len(closed),
        }
        report["targets"][target] = facts
        if len(names) < 2 or not len(closed):
            facts["skipped"] = _why_skipped(group, names)
            continue
        if settings.baseline and surface is None:
            surface = SurfaceBaseline(train.text("answer", group.train), eval.text("answer", group.eval))
        task = Task(
            names, labels, truth[closed], closed, questions[closed], (near[0][closed], near[1][closed])
        )
        judged[target] = task.report_into(facts, settings, surface)
    return report, judged


def _why_skipped(group: split.Group, names: list[str]) -> str:
    if not len(group.train):
        return "no train rows in this group"
    if not len(group.eval):
        return "no eval rows are left in this group"
    return "only one label" if len(names) == 1 else "no eval row has a label that occurs in train"


@dataclass
class Task:
    """One target in one group.

    names:     L labels
    labels:    (T,) int64 of the train rows; truth: (n,) int64 of the rows to judge
    rows:      (n,) int64, the places of the rows to judge among the group's eval rows
    questions: (n,) object
    near:      scores (n, k) float32 and indices (n, k) int64 of their neighbours
    """

    names: list[str]
    labels: np.ndarray
    truth: np.ndarray
    rows: np.ndarray
    questions: np.ndarray
    near: tuple[np.ndarray, np.ndarray]

    def report_into(
        self, facts: dict[str, Any], settings: Settings, surface: SurfaceBaseline | None
    ) -> Judged:
        """Fill the target's report; returns what the overall figures need."""
        n_labels, truth = len(self.names), self.truth
        intervals = metrics.QuestionBootstrap(self.questions, settings.bootstrap, settings.seed)
        most_frequent = int(np.bincount(self.labels, minlength=n_labels).argmax())
        judged = Judged(self.questions, {}, truth == most_frequent, 1 / n_labels)
        facts.update(chance=judged.chance, majority=float(judged.majority.mean()))
        headline = self._near(settings.headline_k)
        if settings.permutations:
            judged.permuted = neighbours.permuted_accuracy(
                *headline, self.labels, truth, n_labels, settings.permutations, settings.seed
            )
            facts["permutation"] = _permutation_facts(judged.permuted)
        facts["knn"] = {}
        guesses = {}
        for k in settings.k:
            guess, rank = neighbours.judge_votes(*self._near(k), self.labels, truth, n_labels)
            facts["knn"][str(k)] = _scores(guess, rank, truth, n_labels, intervals)
            judged.ranks[str(k)], guesses[k] = rank, guess
        if surface is not None:
            strength = surface.strength(self.labels, n_labels, self.rows, settings.seed)
            guess, rank = metrics.judge(strength, truth, np.ones(strength.shape, dtype=bool))
            facts["tfidf"] = _scores(guess, rank, truth, n_labels, intervals)
            judged.ranks["tfidf"] = rank
        facts["per_label"] = self._per_label(guesses[settings.headline_k], intervals)
        return judged

    def _near(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self.near[0][:, :k], self.near[1][:, :k]

    def _per_label(self, guess: np.ndarray, intervals: metrics.QuestionBootstrap) -> list[dict[str, Any]]:
        """A line for each label with train rows: counts, accuracy, and what it is most often taken for."""
        train_rows = np.bincount(self.labels, minlength=len(self.names))
        lines = []
        for label, name in enumerate(self.names):
            rows = np.flatnonzero(self.truth == label)
            line: dict[str, Any] = {
                "label": name,
                "train_rows": int(train_rows[label]),
                "eval_rows": len(rows),
            }
            if len(rows):
                right = guess[rows] == label
                line["questions"] = len(set(self.questions[rows]))
                line["accuracy"] = metrics.with_interval(right.mean(), intervals.of_share(rows, right))
                wrong = np.bincount(guess[rows][~right], minlength=len(self.names))
                if wrong.any():
                    line["taken_for"] = self.names[int(wrong.argmax())]
                    line["taken_for_share"] = float(wrong.max() / len(rows))
            lines.append(line)
        return lines


def _scores(
    guess: np.ndarray,
    rank: np.ndarray,
    truth: np.ndarray,
    n_labels: int,
    intervals: metrics.QuestionBootstrap,
) -> dict[str, Any]:
    """Accuracy among the first 1, 3, 5, 10 and both F1, each with its interval."""
    f1 = metrics.f1_scores(truth, guess, n_labels)
    bounds = intervals.of_f1(truth, guess, n_labels)
    return {
        "accuracy": _accuracy(rank, intervals),
        "macro_f1": metrics.with_interval(f1[0], bounds[0]),
        "weighted_f1": metrics.with_interval(f1[1], bounds[1]),
    }


def _accuracy(rank: np.ndarray, intervals: metrics.QuestionBootstrap) -> dict[str, Any]:
    hits = metrics.hits_at(rank)
    bounds = intervals.of_means(hits)
    values = zip(metrics.ACCURACY_AT, hits.mean(axis=0), bounds, strict=True)
    return {str(n): metrics.with_interval(value, bound) for n, value, bound in values}


def _permutation_facts(accuracy: np.ndarray) -> dict[str, Any]:
    return {
        "permutations": len(accuracy),
        "mean": float(accuracy.mean()),
        "p95": float(np.percentile(accuracy, 95)),
    }


def _overall(parts: list[Judged], settings: Settings) -> dict[str, Any]:
    """All groups of a target together, each row counting once."""
    sizes = np.array([len(part.questions) for part in parts])
    questions = np.concatenate([part.questions for part in parts])
    intervals = metrics.QuestionBootstrap(questions, settings.bootstrap, settings.seed)
    ranks = {name: np.concatenate([part.ranks[name] for part in parts]) for name in parts[0].ranks}
    facts: dict[str, Any] = {
        "groups": len(parts),
        "rows": int(sizes.sum()),
        "questions": intervals.n_questions,
        "chance": float(np.average([part.chance for part in parts], weights=sizes)),
        "majority": float(np.concatenate([part.majority for part in parts]).mean()),
        "knn": {str(k): {"accuracy": _accuracy(ranks[str(k)], intervals)} for k in settings.k},
    }
    if settings.permutations:
        facts["permutation"] = _permutation_facts(
            np.average([part.permuted for part in parts], axis=0, weights=sizes)
        )
    if "tfidf" in ranks:
        facts["tfidf"] = {"accuracy": _accuracy(ranks["tfidf"], intervals)}
    return facts
