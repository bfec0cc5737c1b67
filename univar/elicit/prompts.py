"""Plain prompts to one model, with the same care as questions: resumable, limited, each paid once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from univar.elicit.models import Model
from univar.elicit.project import Elicitation
from univar.elicit.run import OnProgress
from univar.questions import Question

Watch = Callable[[dict[str, int]], OnProgress]
"""Told how many prompts wait, by the model's name, before they are asked; gives what is told of progress."""


@dataclass(frozen=True)
class Prompted:
    """answers: one for each prompt, None where there is none; failures: reason to count; stopped: why the
    model was given up, "" if it was not.
    """

    answers: list[str | None]
    failures: dict[str, int]
    stopped: str


def ask_prompts(
    prompts: Sequence[str], model: Model, out: str | os.PathLike[str], *, watch: Watch | None = None
) -> Prompted:
    """Ask the model each of `prompts` once; what was answered before is not asked again.

    out: a .jsonl file for all answers so far, with the state beside it: the same call goes on where it
    stopped. Only the model's first persona is used. Raises what `Elicitation` raises.
    """
    ids = ["p-" + hashlib.blake2b(prompt.encode(), digest_size=12).hexdigest() for prompt in prompts]
    questions = {name: Question(name, 1, "eng", prompt) for name, prompt in zip(ids, prompts, strict=True)}
    single = replace(model, personas=model.personas[:1], languages=())
    with Elicitation(out, [single], list(questions.values())) as elicitation:
        report = elicitation.run(on_progress=watch(elicitation.pending()) if watch else None)
        name = elicitation.sources[0].name
        answered = {
            row["question_id"]: row["answer"] for row in elicitation.state.answers() if row["model"] == name
        }
        failures = elicitation.failures().get(name, {})
    return Prompted([answered.get(name) for name in ids], failures, report.stopped.get(model.name, ""))
