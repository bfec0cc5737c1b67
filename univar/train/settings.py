"""Everything a training run depends on, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from univar.errors import UsageError
from univar.train.views import ViewSettings

LOSSES = ("info_nce", "barlow_twins", "value_aware")
SAME_SOURCE = ("negatives", "drop", "multipos")
SCHEDULES = ("cosine", "inverse_sqrt")
WEIGH = ("questions", "rows")
PAPER_LENGTHS = {1: 256, 5: 1024, 20: 2048, 80: 8192}


@dataclass(frozen=True)
class TrainSettings:
    """A training run. With the same corpus, settings and machine it is the same run, step for step.

    base:           encoder that is trained (see `univar.encoder.spec.resolve`)
    where:          column to the values that are wanted in it, e.g. of source_corpus
    mask_names:     put a placeholder for the names of models and makers in answers
    batch:          pairs of a step, over all processes
    max_length:     tokens of a view, cut where the base reads fewer
    read_length:    tokens of a text that the finished encoder reads unless it is told otherwise, as far as
                    the base has positions; never fewer than a view or than the base reads
    epochs, steps, budget_minutes: the run ends at the first that is reached; a budget also ends the
                    learning-rate curve, so that two runs with one differ
    temperature:    similarities are divided by it; learn_temperature makes it a parameter
    same_source:    other pairs of a pair's own source: "negatives", "drop" or "multipos" (`univar.info_nce`)
    prototypes:     share of the loss, 0..1, that tells a view's source from those asked the same by a learned
                    vector of each (`Objective`); 0 leaves the loss that is published
    base_share:     share of the base's weights in the finished encoder, the rest is what was trained: some of
                    what training forgets comes back, at no cost (arXiv 2109.01903)
    matryoshka:     dims whose prefixes are trained too
    lora_rank:      0 trains all weights, else an adapter of that rank
    depth:          share of the base's layers that the encoder keeps, the lowest ones: without the others
                    there are twice as many steps in the same time. An adapter keeps all
    word_rate:      times the learning rate that word vectors take: most words are in few batches, and at the
                    rate of matrices, which every batch moves, they hardly leave their place
    chunk_tokens:   tokens that one thread has in hand; a larger batch goes through the gradient cache
    held_out:       share of questions that are kept for validation
    validate_every: steps, 0 never; the run stops after `patience` validations without a better one
    """

    base: str = "minilm"
    views: ViewSettings = field(default_factory=ViewSettings)
    where: dict[str, list[str]] = field(default_factory=dict)
    mask_names: bool = False
    batch: int = 32
    max_length: int = 192
    read_length: int = 512
    epochs: float | None = None
    steps: int | None = None
    budget_minutes: float | None = None
    loss: str = "info_nce"
    temperature: float = 0.05
    learn_temperature: bool = False
    same_source: Literal["negatives", "drop", "multipos"] = "drop"
    prototypes: float = 0.5
    symmetric: bool = True
    base_share: float = 0.2
    matryoshka: tuple[int, ...] = ()
    lora_rank: int = 0
    learning_rate: float = 1e-4
    word_rate: float = 20.0
    depth: float = 0.5
    schedule: str = "cosine"
    warmup_steps: int = 20
    weight_decay: float = 0.01
    clip: float = 1.0
    dtype: str = "auto"
    chunk_tokens: int = 4096
    checkpointing: bool = False
    held_out: float = 0.05
    validate_every: int = 400
    patience: int = 5
    seed: int = 42

    def checked(self) -> TrainSettings:
        """Itself; UsageError where a value makes no sense."""
        for name, known in (("loss", LOSSES), ("same_source", SAME_SOURCE), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise UsageError(f"unknown {name} {getattr(self, name)!r}: give one of {', '.join(known)}")
        if self.views.weigh not in WEIGH:
            raise UsageError(f"unknown views.weigh {self.views.weigh!r}: give one of {', '.join(WEIGH)}")
        low, high = self.views.qa_per_view
        rules = [
            (self.batch >= 2, f"batch must be at least 2, got {self.batch}"),
            (1 <= low <= high, f"qa_per_view must be 1 or more, the least first, got {low}..{high}"),
            (self.temperature > 0, f"temperature must be above 0, got {self.temperature}"),
            (self.learning_rate > 0, f"learning_rate must be above 0, got {self.learning_rate}"),
            (0 < self.depth <= 1, f"depth must be above 0 and at most 1, got {self.depth}"),
            (self.word_rate > 0, f"word_rate must be above 0, got {self.word_rate}"),
            (0 <= self.prototypes <= 1, f"prototypes must be in 0..1, got {self.prototypes}"),
            (0 <= self.base_share < 1, f"base_share must be at least 0 and below 1, got {self.base_share}"),
            (0 <= self.held_out < 1, f"held_out must be in 0..1, got {self.held_out}"),
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
    def from_dict(cls, content: dict[str, Any], start: TrainSettings | None = None) -> TrainSettings:
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
