"""Chat models through vLLM's offline engine, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from univar.elicit.apis import messages
from univar.elicit.asks import Ask, Reply
from univar.elicit.models import Model
from univar.errors import UsageError


class VllmModel:
    """vLLM batches by itself: it gets many asks at once."""

    batch_size = 1024

    def __init__(self, model: Model) -> None:
        """Raises UsageError where vLLM is not installed."""
        try:
            from vllm import LLM
        except ImportError:
            raise UsageError('api = "vllm" needs that package: pip install vllm') from None
        self._model = model
        self._engine = LLM(model=model.model, trust_remote_code=False, **model.options)

    def answer(self, asks: Sequence[Ask]) -> list[Reply]:
        """One reply for each ask, in their order."""
        from vllm import SamplingParams

        parameters = [SamplingParams(**self._model.sampling, seed=ask.seed) for ask in asks]
        done = self._engine.chat([messages(ask) for ask in asks], parameters, use_tqdm=False)
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
