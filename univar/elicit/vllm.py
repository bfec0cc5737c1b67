"""Chat models in this process, through vLLM's offline engine."""

from __future__ import annotations

from collections.abc import Sequence

from univar.elicit.endpoint import messages
from univar.elicit.requests import ModelEntry, Reply, Request
from univar.errors import UsageError


class VllmModel:
    """vLLM forms its own batches, so it gets many requests at a time."""

    batch_size = 1024

    def __init__(self, model: ModelEntry) -> None:
        """Raises UsageError if vLLM is not installed."""
        try:
            from vllm import LLM
        except ImportError:
            raise UsageError('api = "vllm" needs the package vllm: pip install vllm') from None
        self._model = model
        self._engine = LLM(model=model.model, trust_remote_code=False, **model.options)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in their order."""
        from vllm import SamplingParams

        parameters = [SamplingParams(**self._model.sampling, seed=request.seed) for request in requests]
        done = self._engine.chat([messages(request) for request in requests], parameters, use_tqdm=False)
        return [
            Reply(
                one.outputs[0].text.strip(),
                one.outputs[0].finish_reason or "stop",
                len(one.prompt_token_ids or ()),
                len(one.outputs[0].token_ids),
            )
            for one in done
        ]

    def close(self) -> None:
        """Drop the engine."""
        del self._engine
