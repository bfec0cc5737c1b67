"""Free prompts to one model, treated like questions: resumable, rate-limited, each paid once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from univar.elicit.elicitation import Elicitation
from univar.elicit.requests import ModelEntry
from univar.elicit.run import OnProgress
from univar.questions import Question

Watch = Callable[[dict[str, int]], OnProgress]
"""Called with {model name: pending prompts} before they are sent; returns the progress callback."""


@dataclass(frozen=True)
class PromptAnswers:
    """answers: one per prompt, None where there is none; failures: reason to count; stopped: why the model
    was dropped, "" if it was not; finishes: why each answer ended, "length" if its token limit cut it.
    """

    answers: list[str | None]
    failures: dict[str, int]
    stopped: str
    finishes: list[str]


def ask_prompts(
    prompts: Sequence[str], model: ModelEntry, out: str | os.PathLike[str], *, watch: Watch | None = None
) -> PromptAnswers:
    """Send each of `prompts` to the model once; prompts that were answered before are not sent again.

    out: a .jsonl file for all answers so far, with the state beside it, so that the same call continues an
    interrupted one. Only the model's first persona is used. Raises what `Elicitation` raises.
    """
    ids = ["p-" + hashlib.blake2b(prompt.encode(), digest_size=12).hexdigest() for prompt in prompts]
    questions = {name: Question(name, 1, "eng", prompt) for name, prompt in zip(ids, prompts, strict=True)}
    single = replace(model, personas=model.personas[:1], languages=())
    with Elicitation(out, [single], list(questions.values())) as elicitation:
        report = elicitation.run(on_progress=watch(elicitation.pending()) if watch else None)
        name = elicitation.respondents[0].name
        answered = {row["question_id"]: row for row in elicitation.state.answers() if row["model"] == name}
        failures = elicitation.failures().get(name, {})
    rows = [answered.get(name, {}) for name in ids]
    answers = [row.get("answer") for row in rows]
    finishes = [row.get("finish") or "" for row in rows]
    return PromptAnswers(answers, failures, report.stopped.get(model.name, ""), finishes)
