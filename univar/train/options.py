"""What can be set about a training run: its settings, the presets, and the options of one call.

A field says what it is and, where `univar train` has an option of its own for it, how that is spelled
(`univar.cli.train` makes the options from these fields); any other setting is given by --set KEY=VALUE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from univar.errors import UsageError

if TYPE_CHECKING:
    from univar.answers.inputs import Reading

LOSSES = ("info_nce", "barlow_twins", "value_aware")
SAME_SOURCE = ("negatives", "drop", "multipos")
SCHEDULES = ("cosine", "inverse_sqrt")
WEIGH = ("questions", "rows")
DTYPES = ("auto", "fp32", "bf16", "fp16")
TRACKERS = ("tensorboard", "trackio", "wandb")
PAPER_LENGTHS = {1: 256, 5: 1024, 20: 2048, 80: 8192}


def _setting(default: Any, help: str, option: str = "", **how: Any) -> Any:
    """A field of a frozen dataclass with its description.

    option:  spelling of its option of `univar train`; "" for none
    how:     of the option: metavar, choices, or parse, a function of the text that is given
    """
    return field(default=default, metadata={"help": help, "option": option, **how})


def _parse_range(text: str) -> tuple[int, int]:
    """`1-5` as (1, 5) and `3` as (3, 3)."""
    low, dash, high = text.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()):
        raise UsageError(f"--qa-per-view {text!r} is not a number or a range such as 1-5")
    return int(low), int(high or low)


@dataclass(frozen=True)
class ViewSettings:
    """How pairs of views are drawn."""

    qa_per_view: tuple[int, int] = _setting(
        (1, 1),
        "Answers per view, e.g. 1 or 1-5; drawn uniformly from the range.",
        "--qa-per-view",
        metavar="N|A-B",
        parse=_parse_range,
    )
    overlap: bool = _setting(False, "Whether the two views of a pair may share questions (the paper's may).")
    matched: bool = _setting(
        True, "Several sources answer the same questions within a batch, so that the topic tells nothing."
    )
    balance: float = _setting(
        0.5,
        "0 draws groups of sources that answered the same questions in proportion to `weigh`, 1 all equally "
        "often.",
    )
    weigh: str = _setting(
        "questions",
        "Weight of a group: its questions, since what is learnt of a source must hold for new questions, or "
        "its rows, so that a group of forty sources counts ten times as much as one of four.",
    )
    block: int = _setting(16, "Largest number of sources in one question-matched block.")


@dataclass(frozen=True)
class TrainSettings:
    """What a training run computes.

    The same corpus, settings and machine give the same run bit for bit, unless `budget_minutes` ends it.
    """

    base: str = _setting("minilm", "Encoder to start from: a name, a folder or a hub id.", "--base")
    views: ViewSettings = field(default_factory=ViewSettings)
    where: dict[str, list[str]] = field(
        default_factory=dict,
        metadata={"help": "Column to the values wanted in it; other rows are left out and counted."},
    )
    mask_names: bool = _setting(
        False, "Replace names of models and their makers in answers by a placeholder."
    )
    budget_minutes: float | None = _setting(
        None, "Stop after this many minutes; the learning rate falls to 0 by then.", "--budget-minutes"
    )
    steps: int | None = _setting(None, "Stop after this many steps.", "--steps")
    epochs: float | None = _setting(None, "Stop after this many pairs per answer.", "--epochs")
    batch: int = _setting(32, "Pairs per step, over all processes.", "--batch")
    max_length: int = _setting(192, "Maximum number of tokens in a view.", "--max-length")
    read_length: int = _setting(
        512,
        "Tokens of a text that the finished encoder reads by default, as far as the base has positions; at "
        "least as many as a view has and as the base reads.",
    )
    learning_rate: float = _setting(1e-4, "Peak learning rate.", "--lr")
    word_rate: float = _setting(
        20.0,
        "Factor on the learning rate of word vectors: most words are in few batches, and at the rate of "
        "matrices, which every batch moves, they hardly change.",
    )
    schedule: str = _setting("cosine", "Learning rate curve after the warm-up: cosine or inverse_sqrt.")
    warmup_steps: int = _setting(20, "Steps over which the learning rate rises from 0.")
    weight_decay: float = _setting(0.01, "AdamW's weight decay, on matrices only.")
    clip: float = _setting(1.0, "Largest norm of a step's gradient.")
    temperature: float = _setting(0.05, "Temperature that similarities are divided by.", "--temperature")
    learn_temperature: bool = _setting(False, "Train the temperature too.")
    loss: str = _setting("info_nce", "Loss: info_nce, barlow_twins or value_aware.", "--loss")
    same_source: Literal["negatives", "drop", "multipos"] = _setting(
        "drop", "Other pairs of a pair's own source: negatives, drop or multipos (`univar.info_nce`)."
    )
    symmetric: bool = _setting(True, "Take the loss in both directions.")
    prototypes: float = _setting(
        0.5,
        "Share of the loss, 0..1, that tells the source of a view from sources asked the same by a learned "
        "vector for each source (`Objective`); 0 leaves the published loss.",
    )
    base_share: float = _setting(
        0.2,
        "Share of the base's weights in the finished encoder; the rest is what was trained. Brings back some "
        "of what training forgets, at no cost (arXiv 2109.01903).",
    )
    matryoshka: tuple[int, ...] = _setting((), "Numbers of leading dims that are trained to work alone.")
    lora_rank: int = _setting(0, "Train an adapter of this rank instead of all weights.", "--lora-rank")
    depth: float = _setting(
        0.5,
        "Share of the base's layers that the encoder keeps, the lowest ones: half of them allow twice "
        "as many steps in the same time. An adapter keeps all.",
    )
    dtype: str = _setting("auto", "Precision of the matrix products: auto, fp32, bf16 or fp16.")
    chunk_tokens: int = _setting(
        4096,
        "Tokens that a thread works on at once, on a CUDA device 16 times as many; larger batches go through "
        "the gradient cache.",
    )
    checkpointing: bool = _setting(False, "Keep only the inputs of layers and compute the rest again.")
    held_out: float = _setting(0.05, "Share of the questions that is held out for validation.")
    validate_every: int = _setting(400, "Steps between validations; 0 for none.")
    patience: int = _setting(5, "Validations without improvement after which the run stops.")
    seed: int = _setting(42, "Random seed.", "--seed")

    def checked(self) -> TrainSettings:
        """Itself; UsageError where a value makes no sense."""
        choices = [
            ("loss", self.loss, LOSSES),
            ("same_source", self.same_source, SAME_SOURCE),
            ("schedule", self.schedule, SCHEDULES),
            ("dtype", self.dtype, DTYPES),
            ("views.weigh", self.views.weigh, WEIGH),
        ]
        for name, chosen, known in choices:
            if chosen not in known:
                raise UsageError(f"unknown {name} {chosen!r}: give one of {', '.join(known)}")
        low, high = self.views.qa_per_view
        rules = [
            (self.batch >= 2, f"batch must be at least 2, got {self.batch}"),
            (1 <= low <= high, f"qa_per_view must be 1 or more, the smaller number first, got {low}..{high}"),
            (self.temperature > 0, f"temperature must be above 0, got {self.temperature}"),
            (self.learning_rate > 0, f"learning_rate must be above 0, got {self.learning_rate}"),
            (0 < self.depth <= 1, f"depth must be above 0 and at most 1, got {self.depth}"),
            (self.word_rate > 0, f"word_rate must be above 0, got {self.word_rate}"),
            (0 <= self.prototypes <= 1, f"prototypes must be in 0..1, got {self.prototypes}"),
            (0 <= self.base_share < 1, f"base_share must be at least 0 and below 1, got {self.base_share}"),
            (0 <= self.held_out < 1, f"held_out must be at least 0 and below 1, got {self.held_out}"),
            (self.chunk_tokens > 0, f"chunk_tokens must be above 0, got {self.chunk_tokens}"),
            (self.lora_rank >= 0, f"lora_rank must be 0 or more, got {self.lora_rank}"),
            (self.steps is None or self.steps > 0, f"steps must be above 0, got {self.steps}"),
            (
                self.budget_minutes is None or self.budget_minutes > 0,
                f"budget_minutes must be above 0, got {self.budget_minutes}",
            ),
        ]
        for holds, sentence in rules:
            if not holds:
                raise UsageError(sentence)
        return self

    def layers_kept(self, layers: int) -> int:
        """How many of a base's layers are trained and written."""
        return layers if self.lora_rank else max(1, round(self.depth * layers))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], start: TrainSettings | None = None) -> TrainSettings:
        """From JSON or TOML, on top of `start`; UsageError names a key that does not exist."""
        start = start or cls()
        known = {item.name for item in fields(cls)}
        view_keys = {item.name for item in fields(ViewSettings)}
        given = dict(content)
        views = dict(given.pop("views", {}))
        for key in [*(set(given) - known), *(set(views) - view_keys)]:
            raise UsageError(f"unknown setting {key!r}; known: {', '.join(sorted(known | view_keys))}")
        if "qa_per_view" in views:
            views["qa_per_view"] = tuple(views["qa_per_view"])
        if "matryoshka" in given:
            given["matryoshka"] = tuple(given["matryoshka"])
        return replace(start, views=replace(start.views, **views), **given).checked()


@dataclass(frozen=True)
class TrainOptions:
    """How one call of `univar.train.train` runs, and what it reads and writes besides inputs and encoder.

    reading: how the inputs are read where they do not tell (`univar.answers.inputs.Reading`)
    """

    non_value: Sequence[str | Path] = _setting(
        (), "Answers to questions without values, for --loss value_aware.", "--non-value"
    )
    device: str = _setting("auto", "Device: auto, cpu, cuda or cuda:N.", "--device")
    threads: int | None = _setting(
        None, "Number of CPU threads. Default: all that the process may use.", "--threads"
    )
    checkpoint_every: int = _setting(50, "Steps between checkpoints.", "--checkpoint-every")
    resume: bool = _setting(False, "Continue a run that was stopped or killed.", "--resume")
    force: bool = _setting(False, "Replace OUT if it exists.", "--force")
    log: str | None = _setting(None, "Also send metrics to this tracker.", "--log", choices=TRACKERS)
    reading: Reading | None = None

    def changed(self, **changes: Any) -> TrainOptions:
        """These options with some changed, or with another `format` or `rename` of `reading`.

        Raises UsageError for a name that is not an option.
        """
        of_reading = {name: changes.pop(name) for name in ("format", "rename") if name in changes}
        if of_reading:
            from univar.answers.inputs import Reading

            reading = changes.get("reading", self.reading) or Reading()
            changes["reading"] = replace(reading, **of_reading)
        names = [item.name for item in fields(self)]
        unknown = [name for name in changes if name not in names]
        if unknown:
            raise UsageError(f"there is no option {unknown[0]!r}: choose from {', '.join(names)}")
        return replace(self, **changes)


def paper(qa_per_view: int) -> TrainSettings:
    """The published configuration (arXiv 2404.07900): every pair its own source's only positive, no mask."""
    return TrainSettings(
        base="nomic-ai/nomic-embed-text-v1",
        views=ViewSettings((1, qa_per_view), overlap=True, matched=False, balance=0.0),
        batch=64,
        max_length=PAPER_LENGTHS[qa_per_view],
        read_length=PAPER_LENGTHS[qa_per_view],
        epochs=3,
        temperature=0.02,
        same_source="negatives",
        prototypes=0.0,
        base_share=0.0,
        symmetric=False,
        learning_rate=2e-4,
        word_rate=1.0,
        depth=1.0,
        schedule="inverse_sqrt",
        warmup_steps=700,
        held_out=0.0,
        validate_every=0,
    )


PRESETS = {
    "default": TrainSettings(epochs=10),
    **{f"paper-lambda-{most}": paper(most) for most in PAPER_LENGTHS},
}
