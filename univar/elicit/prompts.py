"""Plain prompts to one model, with the same care as questions: resumable, limited, each paid once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace

from univar.elicit.models import Model
from univar.elicit.project import Elicitation
from univar.elicit.questions import Question
from univar.elicit.run import OnProgress


def ask_prompts(
    prompts: Sequence[str],
    model: Model,
    out: str | os.PathLike[str],
    *,
    max_cost: float | None = None,
    on_progress: OnProgress | None = None,
) -> list[str | None]:
    """The model's answer to each of `prompts`, in their order; None where there is none.

    out: a .jsonl file for all answers so far, with the state beside it: the same call goes on where it
    stopped. Only the model's first persona is used. Raises what `Elicitation` raises.
    """
    ids = ["p-" + hashlib.blake2b(prompt.encode(), digest_size=12).hexdigest() for prompt in prompts]
    questions = {name: Question(name, 1, "eng", prompt) for name, prompt in zip(ids, prompts, strict=True)}
    single = replace(model, personas=model.personas[:1], languages=())
    with Elicitation(out, [single], list(questions.values())) as elicitation:
        elicitation.run(max_cost=max_cost, on_progress=on_progress)
        name = elicitation.sources[0].name
        answered = {
            row["question_id"]: row["answer"] for row in elicitation.state.answers() if row["model"] == name
        }
    return [answered.get(name) for name in ids]
