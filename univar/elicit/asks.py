"""What is asked and what comes back: the words all parts of `elicit` share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ask:
    """One request of the plan. id: its row in the state; source: the answering model with its persona."""

    id: int
    source: int
    language: str
    question: str
    system: str
    seed: int


@dataclass(frozen=True)
class Reply:
    """One answer as it came. finish: "stop", "length" or what else the model said; tokens: None if not
    told.
    """

    answer: str
    finish: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an ask. reason: "" if it was answered; paid_tokens are those of all attempts."""

    ask: int
    answer: str
    finish: str
    reason: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


class AskFailed(Exception):
    """An attempt gave no answer.

    reason: what happened, in clean text; charged: whether it may have been paid all the same; busy: whether
    the endpoint only asked to slow down; retry_after_s: how long it asked to wait, None if it did not say.
    """

    def __init__(
        self,
        reason: str,
        *,
        charged: bool = False,
        busy: bool = False,
        retry_after_s: float | None = None,
        reply: Reply | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.charged, self.busy, self.reply = reason, charged, busy, reply
        self.retry_after_s = retry_after_s


class Transient(AskFailed):
    """Another try may help."""


class Permanent(AskFailed):
    """This request will not be answered, others may be."""


class ModelGone(AskFailed):
    """No request to this model will be answered: a wrong key, an unknown model, a redirect."""
