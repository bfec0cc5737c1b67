"""Models that run in this process, each behind the same two methods."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from univar.elicit.replies import usable
from univar.elicit.requests import ModelEntry, Outcome, Reply, Request, RequestFailed, Respondent

if TYPE_CHECKING:
    from univar.elicit.run import ElicitRun


class LocalModel(Protocol):
    """A loaded model. batch_size: how many requests `answer` takes best at a time."""

    batch_size: int

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in their order."""
        ...

    def close(self) -> None:
        """Free its memory."""
        ...


def load_local(model: ModelEntry) -> LocalModel:
    """Load a model of api transformers or vllm. Raises UsageError if a package or the model is missing."""
    if model.api == "vllm":
        from univar.elicit.vllm import VllmModel

        return VllmModel(model)
    from univar.elicit.transformers import TransformersModel

    return TransformersModel(model)


async def ask_local(run: ElicitRun, model: ModelEntry, respondents: list[Respondent]) -> None:
    """Load a model and let it answer batch by batch; the state is written after each batch."""
    local = await asyncio.to_thread(load_local, model)
    try:
        pending = run.state.pending(respondents, run.limit)
        while not run.ending and (batch := list(islice(pending, local.batch_size))):
            outcomes = await asyncio.to_thread(_answers, local, batch)
            run.state.record(outcomes)
            for outcome in outcomes:
                run.count(outcome, model)
    finally:
        await asyncio.to_thread(local.close)


def _answers(local: LocalModel, batch: list[Request]) -> list[Outcome]:
    outcomes = []
    for request, reply in zip(batch, local.answer(batch), strict=True):
        tokens = (reply.prompt_tokens or 0, reply.completion_tokens or 0)
        try:
            answered, reason = usable(reply), ""
        except RequestFailed as error:
            answered, reason = Reply("", reply.finish), error.reason
        outcomes.append(
            Outcome(
                request.id,
                answered.answer,
                answered.finish,
                reason,
                1,
                *tokens,
                0.0,
                reasoning=answered.reasoning,
            )
        )
    return outcomes
