"""How many tokens a request will take: from what the model used so far, else from the length of the text."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from univar.elicit.asks import Ask
from univar.elicit.models import Model
from univar.elicit.state import Usage

MESSAGE_TOKENS = 5
"""What a chat template adds to each message, about."""

CHARS_PER_TOKEN = 4.4
"""Of text in Latin letters; a letter of another script is about half a token, an ideograph a whole one."""

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


def count_tokens(text: str) -> float:
    """About how many tokens a text has."""
    latin = wide = other = 0
    for character in text:
        if character.isascii() or ord(character) < 0x250:
            latin += 1
        elif unicodedata.east_asian_width(character) in "WF":
            wide += 1
        else:
            other += 1
    return latin / CHARS_PER_TOKEN + wide + other / 2


class TokenEstimate:
    """Estimates for one model. measured: whether they follow from its own usage."""

    def __init__(self, model: Model) -> None:
        self.measured = False
        self._prompt_ratio = 1.0
        self._completion = float(model.max_tokens)
        self._used = Usage(0, 0, 0, 0.0)
        self._estimated_prompts = 0.0

    def learn(self, used: Usage, estimated_prompts: float) -> None:
        """Correct the estimates by `used` of answered requests, whose prompts had been estimated before."""
        before = self._used
        self._used = Usage(
            before.requests + used.requests,
            before.prompt_tokens + used.prompt_tokens,
            before.completion_tokens + used.completion_tokens,
            0.0,
        )
        self._estimated_prompts += estimated_prompts
        if self._used.requests >= ENOUGH_ANSWERS and self._used.prompt_tokens and self._estimated_prompts:
            self.measured = True
            self._prompt_ratio = self._used.prompt_tokens / self._estimated_prompts
            self._completion = self._used.completion_tokens / self._used.requests

    def prompt(self, question: str, system: str) -> float:
        """Tokens of the prompt before any correction."""
        messages = 2 if system else 1
        return count_tokens(question) + count_tokens(system) + MESSAGE_TOKENS * (messages + 1)

    def of(self, ask: Ask) -> Tokens:
        """Tokens of `ask`."""
        prompt = self.prompt(ask.question, ask.system) * self._prompt_ratio
        return Tokens(prompt, self._completion)
