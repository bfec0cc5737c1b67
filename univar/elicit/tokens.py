"""How many tokens a request will take: by the model's usage so far, by its tokenizer, or by text length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from univar.elicit.asks import Ask
from univar.elicit.models import Model
from univar.elicit.state import Usage

BY_USAGE, BY_TOKENIZER, BY_LENGTH = "usage so far", "own tokenizer", "text length"
"""Ways in which the tokens of prompts are estimated, the best first."""

ASSUMED, FULL_LENGTH = "as assumed", "full length"
"""Besides BY_USAGE, ways in which those of answers are."""

MESSAGE_TOKENS = 5
"""What a chat template adds to each message, about."""

CHARS_PER_TOKEN = {
    "arb": 2.7,
    "deu": 4.2,
    "eng": 4.5,
    "fra": 4.0,
    "hin": 3.8,
    "ind": 4.7,
    "jpn": 1.8,
    "por": 4.2,
    "rus": 3.7,
    "spa": 4.2,
    "swh": 3.0,
    "zho": 1.4,
}
"""Of the core questions with the tokenizer of Gemma 3, which was made for many languages (2026-11-22)."""

OTHER_CHARS_PER_TOKEN = 3.0

ENOUGH_ANSWERS = 20
"""From so many answers on a model's own usage counts."""


@dataclass(frozen=True)
class Tokens:
    """Of one request: those of its prompt and those of its answer."""

    prompt: float
    completion: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.prompt + self.completion


def prompt_tokens(language: str, question: str, system: str) -> float:
    """About how many tokens a prompt has, by the length of its texts."""
    per_token = CHARS_PER_TOKEN.get(language, OTHER_CHARS_PER_TOKEN)
    messages = 2 if system else 1
    return (len(question) + len(system)) / per_token + MESSAGE_TOKENS * (messages + 1)


class TokenEstimate:
    """Estimates for one model, which `learn` and `count` make better.

    prompts_by: BY_USAGE, BY_TOKENIZER or BY_LENGTH; answers_by: BY_USAGE, ASSUMED or FULL_LENGTH.
    """

    def __init__(self, model: Model, answer_tokens: float | None = None) -> None:
        """answer_tokens: assume answers of so many tokens; None: as in use so far, else of full length."""
        self.prompts_by = BY_LENGTH
        self.answers_by = FULL_LENGTH if answer_tokens is None else ASSUMED
        self._completion = float(model.max_tokens if answer_tokens is None else answer_tokens)
        self._ratio = 1.0
        self._ratios: dict[tuple[int, str], float] = {}

    def learn(self, used: Usage, estimated_prompts: float) -> None:
        """Correct the estimates by what answered requests `used`, if they are enough.

        estimated_prompts: what `prompt_tokens` says of these requests' prompts, summed.
        """
        if used.requests < ENOUGH_ANSWERS or not used.prompt_tokens:
            return
        self.prompts_by = BY_USAGE
        self._ratio = used.prompt_tokens / estimated_prompts
        if self.answers_by == FULL_LENGTH:
            self.answers_by = BY_USAGE
            self._completion = used.completion_tokens / used.requests

    def count(self, counted: Iterable[tuple[Ask, int]]) -> None:
        """Correct the estimates by prompts whose tokens were counted: each source and language by its own."""
        sums: defaultdict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for ask, tokens in counted:
            own = sums[ask.source, ask.language]
            own[0] += tokens
            own[1] += prompt_tokens(ask.language, ask.question, ask.system)
        self._ratios = {key: tokens / estimated for key, (tokens, estimated) in sums.items()}
        if self._ratios:
            self.prompts_by = BY_TOKENIZER

    def of(self, ask: Ask) -> Tokens:
        """Tokens of `ask`."""
        ratio = self._ratios.get((ask.source, ask.language), self._ratio)
        return Tokens(prompt_tokens(ask.language, ask.question, ask.system) * ratio, self._completion)
