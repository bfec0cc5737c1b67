"""Counting prompts with a model's own tokenizer, before anything is answered or paid.

Endpoints that count: llama.cpp's server, vLLM's, Anthropic's. Models in this process do it themselves.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from univar.elicit.asks import Ask
from univar.elicit.models import REMOTE_APIS, Model
from univar.errors import UnivarError

PER_GROUP = 10
"""So many prompts of each source and language are counted."""

_AT_ONCE = 8
_TIMEOUT_S = 20.0
"""Most seconds to wait for a remote endpoint's count."""
_COUNTLESS = {REMOTE_APIS["openai"], REMOTE_APIS["cohere"]}
"""Known not to count: they are not bothered."""


def count_prompts(model: Model, asks: Iterable[Ask]) -> list[tuple[Ask, int]]:
    """A sample of a model's `asks`, each with the tokens of its prompt; empty where nobody counts them.

    A model that cannot be loaded or reached counts nothing, and a prompt without a reply is left out: this is
    only for estimates.
    """
    sample = _sample(asks)
    try:
        counts = _counts(model, sample) if sample else []
    except (UnivarError, ImportError):
        return []
    return [(ask, count) for ask, count in zip(sample, counts, strict=False) if count is not None]


def _sample(asks: Iterable[Ask]) -> list[Ask]:
    taken: defaultdict[tuple[int, str], int] = defaultdict(int)
    sample = []
    for ask in asks:
        if taken[ask.source, ask.language] < PER_GROUP:
            taken[ask.source, ask.language] += 1
            sample.append(ask)
    return sample


def _counts(model: Model, asks: Sequence[Ask]) -> Sequence[int | None]:
    """Tokens of each prompt, None where there was no reply; or none at all."""
    if model.api == "gguf":
        from univar.elicit.gguf import served

        small = {**model.options, "context_tokens": 512, "gpu_layers": 0}
        with served(replace(model, concurrency=1, options=small)) as endpoint:
            return asyncio.run(_ask_endpoint(endpoint, asks))
    if model.local:
        from univar.elicit.transformers import Prompts

        prompts = Prompts(model)
        return [prompts.count(ask) for ask in asks]
    if model.url in _COUNTLESS:
        return []
    hasty = replace(model, timeout_s=min(model.timeout_s, _TIMEOUT_S))
    return asyncio.run(_ask_endpoint(hasty, asks))


async def _ask_endpoint(model: Model, asks: Sequence[Ask]) -> list[int | None]:
    import aiohttp

    from univar.elicit.endpoint import Endpoint

    turn = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        endpoint = Endpoint(model, session)
        if await endpoint.count(asks[0]) is None:
            return []

        async def count(ask: Ask) -> int | None:
            async with turn:
                return await endpoint.count(ask)

        return await asyncio.gather(*map(count, asks))
