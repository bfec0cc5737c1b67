"""The report of `univar evaluate`: what is in it, and how it is written as JSON.

Report > Group > Target > TargetScores > Scores > Estimate. A score is one field of `Scores`, annotated with
the function of `metrics` that measures it; the table column that shows it is one line of `text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from univar.evaluate import metrics
from univar.evaluate.as_json import Inline, Was, metadata_of, to_json
from univar.evaluate.head_scores import HeadScores
from univar.evaluate.metrics import Difference, Estimate, Intervals, Prediction
from univar.evaluate.protocol import EvalSettings

FORMAT = "univar-evaluation/3"
OLD_FORMAT = "univar-evaluation/2"
SCHEMA = 3
"""Of the JSON; raised when a key changes its name or meaning."""

S = TypeVar("S", bound="Accuracy")


@dataclass(frozen=True)
class Accuracy:
    """Share of rows whose true label is among the first 1, 3, 5, 10."""

    accuracy: Annotated[dict[int, Estimate], metrics.accuracy]

    @classmethod
    def of(cls: type[S], prediction: Prediction, over: Intervals) -> S:
        """Measure every field of a prediction."""
        return cls(**{name: extras[0](prediction, over) for name, extras in metadata_of(cls).items()})

    @property
    def at_1(self) -> Estimate:
        """Share of rows whose first label is right."""
        return self.accuracy[1]


@dataclass(frozen=True)
class Scores(Accuracy):
    """What is measured of one classifier. To add a score, add a field and the function that measures it."""

    macro_f1: Annotated[Estimate, metrics.macro_f1]
    weighted_f1: Annotated[Estimate, metrics.weighted_f1]
    two_sources: Annotated[Estimate, metrics.two_sources]


@dataclass(frozen=True)
class PaperScores(Scores):
    """And what the paper reports."""

    weighted_precision: Annotated[float, metrics.weighted_precision]
    weighted_recall: Annotated[float, metrics.weighted_recall]


@dataclass(frozen=True)
class Level:
    """Accuracy with shuffled train labels: mean and 95th percentile of the shuffles."""

    permutations: int
    mean: float
    p95: float


@dataclass(frozen=True)
class Comparison:
    """The encoder under evaluation minus this one, and divided by it, by classifier ("knn", "probe")."""

    difference: dict[str, Difference]
    times: dict[str, Estimate | None]


@dataclass(frozen=True)
class TfidfScores:
    """The baseline on the answers' words, and the encoder compared with it."""

    scores: Annotated[Scores, Inline()]
    comparison: Annotated[Comparison, Inline()]


@dataclass(frozen=True)
class OtherScores:
    """Another encoder on the same rows, and the encoder under evaluation compared with it."""

    knn: dict[int, Scores]
    comparison: Annotated[Comparison, Inline()]
    probe: Scores | None = None


@dataclass(frozen=True)
class TargetScores:
    """All figures of a target, in one group or in all together.

    chance:    1 / labels; majority: accuracy of always naming the most frequent train label
    permutation, within_question_*: levels with labels shuffled among all rows, among answers to one question
    knn:       by number of neighbours; knn_chosen: by the number that leave-question-out in train chose
    length, declined, language: what these alone tell
    """

    chance: float
    majority: float
    knn: dict[int, Scores]
    permutation: Level | None = None
    within_question_knn: Level | None = None
    within_question_probe: Level | None = None
    probe: Scores | None = None
    tfidf: TfidfScores | None = None
    length: Scores | None = None
    declined: Annotated[Scores | None, Was("refusal")] = None
    language: Scores | None = None
    knn_chosen: Scores | None = None
    against: dict[str, OtherScores] | None = None

    def best(self, k: int) -> Scores:
        """The more accurate one of k-NN and probe."""
        knn = self.knn[k]
        return self.probe if self.probe and self.probe.at_1.value > knn.at_1.value else knn


@dataclass(frozen=True, kw_only=True)
class BagAccuracy:
    """Accuracy on bags of answers, by classifier."""

    knn: Estimate
    probe: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Bags(BagAccuracy):
    """Bags of one size: how many there are, how many labels they have, how often each classifier is right."""

    bags: int
    labels: int
    tfidf: Estimate | None = None
    against: dict[str, BagAccuracy] | None = None


@dataclass(frozen=True)
class LabelScores:
    """One label. taken_for: what it is most often mistaken for, and in which share of its rows."""

    label: str
    train_rows: int
    eval_rows: int
    questions: int | None = None
    accuracy: Estimate | None = None
    probe_accuracy: Estimate | None = None
    taken_for: str | None = None
    taken_for_share: float | None = None


@dataclass(frozen=True)
class Target:
    """One target in one group; skipped: why it has no scores; chosen: k and C, chosen inside train."""

    labels: int
    rows: int
    questions: int
    unseen_label_rows: int
    skipped: str | None = None
    bags: dict[int, Bags] | None = None
    scores: Annotated[TargetScores | None, Inline()] = None
    per_label: list[LabelScores] | None = None
    chosen: dict[str, float] | None = None


@dataclass(frozen=True)
class Group:
    """Rows that are compared only among themselves. group: the value of `within`, None for all."""

    group: str | None
    train_rows: int
    eval_rows: int
    eval_questions: int
    targets: dict[str, Target]

    @property
    def title(self) -> str:
        return "all" if self.group is None else self.group


@dataclass(frozen=True)
class ByQuestion:
    """Rows and hits of each question: what a later report needs for a paired comparison with this one.

    clusters: of each question, where they are not the questions themselves
    """

    questions: list[str]
    rows: list[int]
    knn: list[int]
    probe: list[int] | None = None
    clusters: list[str] | None = None


@dataclass(frozen=True)
class Overall:
    """A target in all groups together, each row counting once."""

    groups: int
    rows: int
    questions: int
    scores: Annotated[TargetScores, Inline()]
    by_question: ByQuestion


@dataclass(frozen=True)
class SplitReport:
    """One way to part the rows: all targets over all groups, and group by group."""

    overall: dict[str, Overall]
    groups: list[Group]


@dataclass(frozen=True)
class StoreFacts:
    path: str
    rows: int
    fingerprint: str


@dataclass(frozen=True)
class Counts:
    """Rows of the stores. overlap: of questions that are in train too, which are dropped."""

    train_rows: int
    eval_rows: int
    overlap_rows: Annotated[int | None, Was("leaked_rows")] = None
    overlap_questions: Annotated[int | None, Was("leaked_questions")] = None
    rows_without_train_group: int | None = None
    evaluated_rows: int | None = None


@dataclass(frozen=True)
class CentredRows:
    """Rows of a side that a mean was taken from, by question (or language), by proposition; and the rest."""

    question: int
    cluster: int
    none: int


@dataclass(frozen=True)
class SameModel:
    """How often the nearest other bag is of the same model; ratio: the evaluated encoder's by this."""

    same_model: Estimate
    ratio: Estimate


@dataclass(frozen=True)
class ModelBags:
    """Bags of answers of models that train lacks."""

    bags: float
    models: int
    chance: float
    same_model: Estimate
    against: dict[str, SameModel] | None = None


@dataclass(frozen=True)
class UnseenModelBags:
    """Bags of one size in all groups together, and group by group."""

    together: Annotated[ModelBags, Inline()]
    groups: dict[str, ModelBags]


@dataclass(frozen=True)
class ValueGap:
    """Gain over another encoder on value corpora and on the others, on a scale of two sources.

    ratio: the gain on non-value corpora by that on value corpora; holds: it is at most one half
    """

    value: Estimate
    non_value: Estimate
    corpora: list[int]
    ratio: Estimate | None
    holds: bool


@dataclass(frozen=True)
class ValueContent:
    """How well values that people found in answers can be read off one representation."""

    macro_auc: Estimate
    auc: dict[str, float]
    difference: Difference | None = None


@dataclass(frozen=True)
class Fulcra:
    """Value FULCRA: the labels, and every representation of the answers."""

    rows: int
    labels: list[str]
    representations: dict[str, ValueContent]


@dataclass(frozen=True)
class Mantel:
    """Agreement of two tables of distances between languages."""

    r: float
    p: float
    languages: list[str]


@dataclass(frozen=True)
class StyleScores:
    """Accuracies on the same rows before and after style was taken out."""

    rows: int
    train_rows: int
    knn: Accuracy
    probe: Accuracy
    knn_stripped: Accuracy
    probe_stripped: Accuracy


@dataclass(frozen=True)
class TwoClassifiers:
    knn: Accuracy
    probe: Accuracy


@dataclass(frozen=True)
class Translationese:
    """Encoder to text column to how well the source language of translations is told."""

    labels: int
    rows: int
    encoders: dict[str, dict[str, TwoClassifiers]]


@dataclass(frozen=True)
class Change:
    """A classifier's accuracy now and in an older report, over the questions of both.

    p_holm: p corrected for all targets and classifiers that are compared; worse: significantly, and enough
    """

    questions: int
    new: float
    old: float
    difference: Difference
    worse: bool
    p_holm: float = 1.0


@dataclass(frozen=True)
class Compared:
    """This report beside the older one at `path`, by target and classifier."""

    path: Annotated[str, Was("with")]
    targets: dict[str, dict[str, Change]]


@dataclass(frozen=True)
class Report(SplitReport):
    """Everything that one evaluation found; `docs/evaluation.md` explains each part."""

    settings: EvalSettings
    train: StoreFacts
    eval: StoreFacts
    encoder: Mapping[str, object]
    against: dict[str, Mapping[str, object]]
    counts: Counts
    other_settings: dict[str, SplitReport] | None = None
    unseen_model_bags: dict[int, UnseenModelBags] | None = None
    non_value: dict[str, dict[str, dict[str, ValueGap]]] | None = None
    culture: dict[str, dict[str, Mantel]] | None = None
    fulcra: Fulcra | None = None
    style_stripped: dict[str, dict[str, StyleScores]] | None = None
    translationese: Translationese | None = None
    compared: Compared | None = None
    centring: dict[str, CentredRows] | None = None
    value_content: Fulcra | None = None
    heads: list[HeadScores] | None = None

    def to_json(self) -> dict[str, Any]:
        """What `json.dumps` takes. Keys that were renamed since the last schema have both names."""
        facts = to_json(self)
        facts["settings"] = {**to_json(vars(self.settings)), "headline_k": self.settings.headline_k}
        return {"format": FORMAT, "schema": SCHEMA, **facts}
