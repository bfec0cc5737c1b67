"""Who is asked, what is asked, and what comes back: the words that all of `elicit` shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from univar.errors import UsageError
from univar.schema import base_language, current_language

if TYPE_CHECKING:
    from univar.elicit.config import Key

REMOTE_APIS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "cohere": "https://api.cohere.com/v2",
}
"""APIs that are called over HTTP, each with its default url."""

LOCAL_APIS = ("gguf", "transformers", "vllm")
"""APIs of models that run in this process."""

ALL_LANGUAGES = "all"
"""Key of a persona's text that serves every language without a text of its own."""


@dataclass(frozen=True)
class Persona:
    """A system prompt. name: "" for none; texts: language (or ALL_LANGUAGES) to system prompt."""

    name: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    def system(self, language: str) -> str:
        """The system prompt in `language`, "" for none. Raises UsageError if a named persona lacks one."""
        text = self.texts.get(language) or self.texts.get(ALL_LANGUAGES) or ""
        if self.name and not text:
            raise UsageError(
                f"the persona {self.name!r} has no text in {language}: add `{language} = ...` or "
                f"`{ALL_LANGUAGES} = ...` under [personas.{self.name}]"
            )
        return text


@dataclass(frozen=True, eq=False)
class ModelEntry:
    """One [[models]] table of a models.toml.

    name: the model's name in the answers; model: its name at the endpoint or on disk.
    languages: ISO 639-3, empty for all; personas: each makes a respondent.
    seeded: whether the endpoint is sent a seed.
    requests_per_minute, tokens_per_minute: rate limits, 0 for none; concurrency: requests at a time.
    timeout_s: for one attempt as a whole; attempts: the most per request; backoff_s: wait before the second
    attempt, doubled for each further one.
    price_input, price_output: money per million tokens; options: settings of local APIs.
    """

    name: str
    api: str
    model: str
    url: str = ""
    key: Key | None = None
    languages: tuple[str, ...] = ()
    personas: tuple[Persona, ...] = (Persona(),)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seeded: bool = True
    requests_per_minute: float = 0
    tokens_per_minute: float = 0
    concurrency: int = 16
    timeout_s: float = 120
    attempts: int = 6
    backoff_s: float = 1.0
    price_input: float = 0
    price_output: float = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether the model runs in this process."""
        return self.api in LOCAL_APIS

    @property
    def max_tokens(self) -> int:
        """The token limit of one answer, 0 for none."""
        return int(self.sampling.get("max_completion_tokens", self.sampling.get("max_tokens", 0)))

    def respondent_name(self, persona: Persona) -> str:
        """What the answers call this model with `persona`."""
        return f"{self.name}:{persona.name}" if persona.name else self.name

    def settings(self, persona: Persona) -> dict[str, Any]:
        """What the answers depend on: one name never stands for two of these in an answer file."""
        return {
            "api": self.api,
            "model": self.model,
            "sampling": dict(self.sampling),
            "system": dict(persona.texts),
            **({"options": dict(self.options)} if self.options else {}),
        }

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Price of these tokens, in the currency of the prices."""
        return (prompt_tokens * self.price_input + completion_tokens * self.price_output) / 1e6


@dataclass(frozen=True)
class Respondent:
    """A model with a persona. id: its number in the state file."""

    id: int
    model: ModelEntry
    persona: Persona

    @property
    def name(self) -> str:
        """What the answers call it."""
        return self.model.respondent_name(self.persona)


@dataclass(frozen=True)
class Request:
    """One question to one respondent. id: its row in the state; respondent: the id of the respondent."""

    id: int
    respondent: int
    language: str
    question: str
    system: str
    seed: int


@dataclass(frozen=True)
class Reply:
    """One answer.

    finish: "stop", "length" or the model's own word; tokens: None if the model gave none; reasoning: what it
    thought before it answered.
    """

    answer: str
    finish: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a request ended. reason: why it failed, "" if answered; tokens and cost: of all attempts."""

    request: int
    answer: str
    finish: str
    reason: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    reasoning: str = ""


class RequestFailed(Exception):
    """An attempt gave no answer.

    reason: what happened, in printable text; charged: whether the attempt may have been billed; busy: whether
    the endpoint only asked to slow down; retry_after_s: how long it asked to wait, None if it did not say;
    reply: what came back, for its token counts; about_question: whether only this question is concerned, so
    that nothing follows for the model.
    """

    def __init__(
        self,
        reason: str,
        *,
        charged: bool = False,
        busy: bool = False,
        retry_after_s: float | None = None,
        reply: Reply | None = None,
        about_question: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.charged, self.busy, self.reply = reason, charged, busy, reply
        self.retry_after_s, self.about_question = retry_after_s, about_question


class Transient(RequestFailed):
    """Another attempt may succeed."""


class Unclear(Transient):
    """The reply cannot be read; one more attempt is worth making, not several."""


class Permanent(RequestFailed):
    """This request cannot be answered; others may be."""


class ModelGone(RequestFailed):
    """No request to this model can be answered: a wrong key, an unknown model, a redirect."""


def same_settings(one: str, other: str) -> bool:
    """Whether two settings (JSON) are the same, where languages may have labels of earlier versions."""

    def current(settings: str) -> dict[str, Any]:
        facts = json.loads(settings)
        texts = facts.get("system", {}).items()
        return {**facts, "system": {base_language(current_language(code)): text for code, text in texts}}

    return one == other or current(one) == current(other)
