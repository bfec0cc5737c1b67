"""What value training is told: one frozen dataclass for both tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from univar.errors import UsageError

TASKS = ("values", "distil")


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class ValueSettings:
    """Settings of `univar train --task values` and `--task distil`.

    The same inputs, settings and machine give the same weights bit for bit.
    """

    base: str = _setting("minilm", "Encoder to start from: a name, a folder or a hub id.")
    teacher: str = _setting("", "distil: encoder whose vectors are handed on.")
    trained_layers: int = _setting(0, "Number of upper layers that are trained; 0 for all weights.")
    epochs: float = _setting(2.0, "Times that every answer is seen.")
    batch: int = _setting(32, "Answers in a step.")
    per_question: int = _setting(8, "values: most answers to one question that stand together in a step.")
    learning_rate: float = _setting(2e-5, "Peak learning rate of the encoder: one cycle.")
    head_rate: float = _setting(50.0, "Factor on the learning rate of heads, which are thrown away.")
    pairwise: float = _setting(1.0, "values: weight of pairs of answers to one question.")
    geometry: float = _setting(0.0, "Weight of one minus the cosine to the base's own vector.")
    teacher_dims: int = _setting(384, "distil: principal axes of the teacher's vectors that are handed on.")
    texts: int = _setting(30_000, "distil: most sentences that are taken from the answers.")
    bank: bool = _setting(
        False, "distil: also the bank's questions in other languages, beside their English."
    )
    max_length: int = _setting(256, "Most tokens of a text.")
    weight_decay: float = _setting(0.01, "AdamW's weight decay, on matrices only.")
    clip: float = _setting(1.0, "Largest norm of a step's gradient.")
    chunk_tokens: int = _setting(4096, "Tokens that a thread works on at once, on a GPU 16 times as many.")
    dtype: str = _setting("auto", "Precision of the matrix products: auto, fp32, bf16 or fp16.")
    folds: int = _setting(5, "Questions are parted into this many folds by their hash.")
    held_out: int | None = _setting(None, "Fold that training does not see; it is scored afterwards.")
    seed: int = _setting(42, "Random seed.")

    def checked(self) -> ValueSettings:
        """Itself; UsageError where a value makes no sense."""
        rules = [
            (self.epochs > 0, f"epochs must be above 0, got {self.epochs}"),
            (self.batch >= 2, f"batch must be at least 2, got {self.batch}"),
            (self.per_question >= 2, f"per_question must be at least 2, got {self.per_question}"),
            (self.learning_rate > 0, f"learning_rate must be above 0, got {self.learning_rate}"),
            (self.trained_layers >= 0, f"trained_layers must be 0 or more, got {self.trained_layers}"),
            (self.teacher_dims >= 2, f"teacher_dims must be at least 2, got {self.teacher_dims}"),
            (min(self.pairwise, self.geometry) >= 0, "pairwise and geometry must be 0 or more"),
            (self.texts >= 1, f"texts must be at least 1, got {self.texts}"),
            (self.folds >= 2, f"folds must be at least 2, got {self.folds}"),
            (
                self.held_out is None or 0 <= self.held_out < self.folds,
                f"held_out must be a fold from 0 to {self.folds - 1}, got {self.held_out}",
            ),
        ]
        for holds, sentence in rules:
            if not holds:
                raise UsageError(sentence)
        return self

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], start: ValueSettings | None = None) -> ValueSettings:
        """From JSON or TOML, on top of `start`; UsageError names a key that does not exist."""
        known = {item.name for item in fields(cls)}
        for key in sorted(set(content) - known):
            raise UsageError(f"unknown setting {key!r} of value training; known: {', '.join(sorted(known))}")
        return replace(start or cls(), **content).checked()
