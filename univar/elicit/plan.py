"""What a run would take: requests, tokens, money and time, before anything is asked.

The tokens of a request are estimated from the model's usage so far, by its own tokenizer, or from the length
of the text.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from univar.elicit.requests import REMOTE_APIS, ModelEntry, Request, Respondent
from univar.elicit.state import BATCHED, DONE, FAILED, State, Usage
from univar.errors import UnivarError
from univar.schema import base_language

BY_USAGE, BY_TOKENIZER, BY_LENGTH = "usage so far", "own tokenizer", "text length"
"""How the tokens of prompts are estimated, best first."""

ASSUMED, FULL_LENGTH = "as assumed", "full length"
"""How the tokens of answers are estimated, besides BY_USAGE."""

MESSAGE_TOKENS = 5
"""About what a chat template adds to each message."""

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
"""Measured on the core questions with the multilingual tokenizer of Gemma 3 (2026-11-22)."""

OTHER_CHARS_PER_TOKEN = 3.0

ENOUGH_ANSWERS = 20
"""From this many answers on, a model's own usage decides."""

SAMPLED_PROMPTS = 10
"""How many prompts per respondent and language the model's tokenizer counts."""

_AT_ONCE = 8
_TIMEOUT_S = 20.0
"""The longest wait for an endpoint's count."""

_WITHOUT_COUNTER = {REMOTE_APIS["openai"], REMOTE_APIS["cohere"]}
"""Endpoints that are known not to count tokens."""


@dataclass(frozen=True)
class Tokens:
    """Estimated tokens of one request: its prompt and its answer."""

    prompt: float
    completion: float

    @property
    def total(self) -> float:
        """Prompt and answer."""
        return self.prompt + self.completion


@dataclass(frozen=True)
class PlannedRespondent:
    """One respondent: what is done and what is pending.

    prompt_tokens, completion_tokens, cost: estimates for the pending requests; ..._at_most: with answers of
    full length. seconds: the least time that the model's rate limits allow, 0 without limits.
    prompts_by, answers_by: where the estimates come from, as in `TokenEstimate`.
    """

    respondent: str
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
class ElicitPlan:
    """All respondents of an elicitation."""

    respondents: list[PlannedRespondent]

    @property
    def pending(self) -> int:
        """Number of pending requests."""
        return sum(respondent.pending for respondent in self.respondents)

    @property
    def cost(self) -> float:
        """Estimated cost of the pending requests."""
        return sum(respondent.cost for respondent in self.respondents)


def prompt_tokens(language: str, question: str, system: str) -> float:
    """Tokens of a prompt, estimated from the length of its texts."""
    per_token = CHARS_PER_TOKEN.get(base_language(language), OTHER_CHARS_PER_TOKEN)
    messages = 2 if system else 1
    return (len(question) + len(system)) / per_token + MESSAGE_TOKENS * (messages + 1)


class TokenEstimate:
    """Estimates for one model, which `learn` and `count` improve.

    prompts_by: BY_USAGE, BY_TOKENIZER or BY_LENGTH; answers_by: BY_USAGE, ASSUMED or FULL_LENGTH.
    """

    def __init__(self, model: ModelEntry, answer_tokens: float | None = None) -> None:
        """answer_tokens: assumed length of answers; None: as in use so far, else full length."""
        self.prompts_by = BY_LENGTH
        self.answers_by = FULL_LENGTH if answer_tokens is None else ASSUMED
        self._completion = float(model.max_tokens if answer_tokens is None else answer_tokens)
        self._ratio = 1.0
        self._ratios: dict[tuple[int, str], float] = {}

    def learn(self, used: Usage, estimated_prompts: float) -> None:
        """Correct the estimates by what answered requests `used`, if there are enough of them.

        estimated_prompts: the sum of `prompt_tokens` over these requests.
        """
        if used.requests < ENOUGH_ANSWERS or not used.prompt_tokens:
            return
        self.prompts_by = BY_USAGE
        self._ratio = used.prompt_tokens / estimated_prompts
        if self.answers_by == FULL_LENGTH:
            self.answers_by = BY_USAGE
            self._completion = used.completion_tokens / used.requests

    def count(self, counted: Iterable[tuple[Request, int]]) -> None:
        """Correct the estimates by counted prompts, separately for each respondent and language."""
        sums: defaultdict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for request, tokens in counted:
            own = sums[request.respondent, request.language]
            own[0] += tokens
            own[1] += prompt_tokens(request.language, request.question, request.system)
        self._ratios = {key: tokens / estimated for key, (tokens, estimated) in sums.items()}
        if self._ratios:
            self.prompts_by = BY_TOKENIZER

    def of(self, request: Request) -> Tokens:
        """Tokens of `request`."""
        ratio = self._ratios.get((request.respondent, request.language), self._ratio)
        prompt = prompt_tokens(request.language, request.question, request.system)
        return Tokens(prompt * ratio, self._completion)


def plan_of(state: State, respondents: list[Respondent], answer_tokens: float | None = None) -> ElicitPlan:
    """The plan of the pending requests of `respondents`.

    Until a model has answered enough, its own tokenizer counts some of its prompts, if it can be reached.
    answer_tokens: assumed length of answers.
    """
    estimates = {}
    for model in {respondent.model: None for respondent in respondents}:
        own = [respondent for respondent in respondents if respondent.model is model]
        estimates[model] = estimate_for(state, model, own, answer_tokens)
        if estimates[model].prompts_by != BY_USAGE:
            estimates[model].count(count_prompts(model, state.pending(own)))
    return ElicitPlan([_planned(state, one, estimates[one.model]) for one in respondents])


def estimate_for(
    state: State, model: ModelEntry, respondents: list[Respondent], answer_tokens: float | None = None
) -> TokenEstimate:
    """Estimates for a model's requests, corrected by what its `respondents` used so far."""
    estimate = TokenEstimate(model, answer_tokens)
    used = [state.usage(respondent, DONE) for respondent in respondents]
    total = Usage(
        sum(usage.requests for usage in used),
        sum(usage.prompt_tokens for usage in used),
        sum(usage.completion_tokens for usage in used),
        sum(usage.cost for usage in used),
    )
    estimate.learn(
        total,
        sum(
            count * prompt_tokens(language, question, respondent.persona.system(language))
            for respondent in respondents
            for language, question, count in state.answered_questions(respondent)
        ),
    )
    return estimate


def _planned(state: State, respondent: Respondent, estimate: TokenEstimate) -> PlannedRespondent:
    model = respondent.model
    prompt = completion = 0.0
    pending = 0
    for request in state.pending([respondent]):
        tokens = estimate.of(request)
        prompt, completion, pending = prompt + tokens.prompt, completion + tokens.completion, pending + 1
    at_most = pending * model.max_tokens
    minutes = max(
        pending / model.requests_per_minute if model.requests_per_minute else 0.0,
        (prompt + completion) / model.tokens_per_minute if model.tokens_per_minute else 0.0,
    )
    done, failed, batched = (state.usage(respondent, status).requests for status in (DONE, FAILED, BATCHED))
    return PlannedRespondent(
        respondent.name,
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


def count_prompts(model: ModelEntry, requests: Iterable[Request]) -> list[tuple[Request, int]]:
    """A sample of `requests` with the tokens of each prompt; empty if no token counter is available.

    llama.cpp's server, vLLM's and Anthropic count; models in this process use their tokenizer. A model that
    cannot be loaded or reached counts nothing, since this is only for estimates.
    """
    sample = _sample(requests)
    try:
        counts = _counts(model, sample) if sample else []
    except (UnivarError, ImportError):
        return []
    return [(request, count) for request, count in zip(sample, counts, strict=False) if count is not None]


def _sample(requests: Iterable[Request]) -> list[Request]:
    taken: defaultdict[tuple[int, str], int] = defaultdict(int)
    sample = []
    for request in requests:
        if taken[request.respondent, request.language] < SAMPLED_PROMPTS:
            taken[request.respondent, request.language] += 1
            sample.append(request)
    return sample


def _counts(model: ModelEntry, requests: Sequence[Request]) -> Sequence[int | None]:
    """Tokens of each prompt, None without a reply; an empty list if there is no counter."""
    if model.api == "gguf":
        from univar.elicit.gguf import served

        small = {**model.options, "context_tokens": 512, "gpu_layers": 0}
        with served(replace(model, concurrency=1, options=small)) as endpoint:
            return asyncio.run(_count_at(endpoint, requests))
    if model.local:
        from univar.elicit.transformers import Prompts

        prompts = Prompts(model)
        return [prompts.count(request) for request in requests]
    if model.url in _WITHOUT_COUNTER:
        return []
    impatient = replace(model, timeout_s=min(model.timeout_s, _TIMEOUT_S))
    return asyncio.run(_count_at(impatient, requests))


async def _count_at(model: ModelEntry, requests: Sequence[Request]) -> list[int | None]:
    import aiohttp

    from univar.elicit.endpoint import Endpoint

    turn = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        endpoint = Endpoint(model, session)
        if await endpoint.count(requests[0]) is None:
            return []

        async def count(request: Request) -> int | None:
            async with turn:
                return await endpoint.count(request)

        return await asyncio.gather(*map(count, requests))
