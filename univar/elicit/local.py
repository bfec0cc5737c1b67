"""Models that run in this process, each behind the same two methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from univar.elicit.asks import Ask, Reply
from univar.elicit.models import Model


class LocalModel(Protocol):
    """A loaded model. batch_size: how many asks it likes to get at once."""

    batch_size: int

    def answer(self, asks: Sequence[Ask]) -> list[Reply]:
        """One reply for each ask, in their order."""
        ...

    def close(self) -> None:
        """Free its memory."""
        ...


def load_local(model: Model) -> LocalModel:
    """Load a model of api transformers or vllm. Raises UsageError where a package or the model itself is
    missing.
    """
    if model.api == "vllm":
        from univar.elicit.vllm import VllmModel

        return VllmModel(model)
    from univar.elicit.transformers import TransformersModel

    return TransformersModel(model)
