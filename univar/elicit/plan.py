"""What a run would take: requests, tokens, money and time, before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass

from univar.elicit.counting import count_prompts
from univar.elicit.models import Model
from univar.elicit.state import BATCHED, DONE, FAILED, Source, State, Usage
from univar.elicit.tokens import BY_USAGE, TokenEstimate, prompt_tokens


@dataclass(frozen=True)
class PlannedSource:
    """One source: what is done and what waits.

    prompt_tokens, completion_tokens, cost: estimates for what waits; at_most: with answers of full length;
    seconds: the least time that the model's limits allow, 0 without limits; prompts_by, answers_by: where the
    estimates come from, as in `TokenEstimate`.
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
    prompts_by: str
    answers_by: str


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


def plan_of(state: State, sources: list[Source], answer_tokens: float | None = None) -> Plan:
    """The plan of what `sources` still have to answer.

    Until a model has answered enough, its own tokenizer counts some of its prompts, where there is a way to
    ask it. answer_tokens: assume answers of so many tokens.
    """
    estimates = {}
    for model in {source.model: None for source in sources}:
        own = [source for source in sources if source.model is model]
        estimates[model] = estimate_for(state, model, own, answer_tokens)
        if estimates[model].prompts_by != BY_USAGE:
            estimates[model].count(count_prompts(model, state.pending(own)))
    return Plan([_planned(state, source, estimates[source.model]) for source in sources])


def estimate_for(
    state: State, model: Model, sources: list[Source], answer_tokens: float | None = None
) -> TokenEstimate:
    """Estimates for a model's requests, corrected by what its `sources` used so far."""
    estimate = TokenEstimate(model, answer_tokens)
    used = [state.usage(source, DONE) for source in sources]
    total = Usage(
        sum(usage.requests for usage in used),
        sum(usage.prompt_tokens for usage in used),
        sum(usage.completion_tokens for usage in used),
        sum(usage.cost for usage in used),
    )
    estimate.learn(
        total,
        sum(
            count * prompt_tokens(language, question, source.persona.system(language))
            for source in sources
            for language, question, count in state.answered_questions(source)
        ),
    )
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
        estimate.prompts_by,
        estimate.answers_by,
    )
