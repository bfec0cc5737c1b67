"""What a run would take: requests, tokens, money and time, before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass

from univar.elicit.models import Model
from univar.elicit.state import BATCHED, DONE, FAILED, Source, State
from univar.elicit.tokens import TokenEstimate


@dataclass(frozen=True)
class PlannedSource:
    """One source: what is done and what waits.

    prompt_tokens, completion_tokens, cost: estimates for what waits; at_most: with answers of full length;
    seconds: the least time that the model's limits allow, 0 without limits; measured: whether the estimates
    follow from the model's own usage so far.
    """

    source: str
    done: int
    failed: int
    batched: int
    pending: int
    prompt_tokens: int
    completion_tokens: int
    completion_tokens_at_most: int
    cost: float
    cost_at_most: float
    seconds: float
    measured: bool


@dataclass(frozen=True)
class Plan:
    """All sources of an elicitation."""

    sources: list[PlannedSource]

    @property
    def pending(self) -> int:
        """Requests that wait."""
        return sum(source.pending for source in self.sources)

    @property
    def cost(self) -> float:
        """Estimated cost of what waits."""
        return sum(source.cost for source in self.sources)


def plan_of(state: State, sources: list[Source]) -> Plan:
    """The plan of what `sources` still have to answer."""
    estimates = {
        model: estimate_for(state, model, [source for source in sources if source.model is model])
        for model in {source.model for source in sources}
    }
    return Plan([_planned(state, source, estimates[source.model]) for source in sources])


def estimate_for(state: State, model: Model, sources: list[Source]) -> TokenEstimate:
    """Estimates for a model's requests, corrected by what it used before."""
    estimate = TokenEstimate(model)
    for source in sources:
        used = state.usage(source, DONE)
        system = source.persona.texts
        prompts = sum(
            count * estimate.prompt(question, system.get(language) or system.get("all") or "")
            for language, question, count in state.answered_questions(source)
        )
        estimate.learn(used, prompts)
    return estimate


def _planned(state: State, source: Source, estimate: TokenEstimate) -> PlannedSource:
    model = source.model
    prompt = completion = 0.0
    pending = 0
    for ask in state.pending([source]):
        tokens = estimate.of(ask)
        prompt, completion, pending = prompt + tokens.prompt, completion + tokens.completion, pending + 1
    at_most = pending * model.max_tokens
    minutes = max(
        pending / model.requests_per_minute if model.requests_per_minute else 0.0,
        (prompt + completion) / model.tokens_per_minute if model.tokens_per_minute else 0.0,
    )
    done, failed, batched = (state.usage(source, status).requests for status in (DONE, FAILED, BATCHED))
    return PlannedSource(
        source.name,
        done,
        failed,
        batched,
        pending,
        round(prompt),
        round(completion),
        at_most,
        model.cost(prompt, completion),
        model.cost(prompt, at_most),
        60 * minutes,
        estimate.measured,
    )
