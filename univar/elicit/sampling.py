"""Seeded sampling, row by row: an answer does not depend on the batch it is made in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from univar.errors import UsageError

KNOWN = ("max_tokens", "temperature", "top_k", "top_p")


class SeededChoice(LogitsProcessor):
    """Adds Gumbel noise from each row's own generator; the largest logit is then a sample of the softmax."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """scores: (B, V) logits; returns the same with noise added."""
        uniform = torch.stack([torch.rand(scores.shape[1], generator=own) for own in self._generators])
        noise = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return scores + noise.to(scores)


def processors(sampling: Mapping[str, Any], seeds: Sequence[int]) -> LogitsProcessorList:
    """Temperature, top-k and top-p of `sampling`, then the draw; greedy at temperature 0.

    Raises UsageError for a setting that is not in KNOWN.
    """
    unknown = sorted(set(sampling) - set(KNOWN))
    if unknown:
        raise UsageError(f"models in this process do not know sampling.{unknown[0]}: use {', '.join(KNOWN)}")
    temperature = float(sampling.get("temperature", 1.0))
    if temperature == 0:
        return LogitsProcessorList()
    chain: list[LogitsProcessor] = [TemperatureLogitsWarper(temperature)]
    if sampling.get("top_k"):
        chain.append(TopKLogitsWarper(int(sampling["top_k"])))
    if sampling.get("top_p", 1.0) < 1:
        chain.append(TopPLogitsWarper(float(sampling["top_p"])))
    return LogitsProcessorList([*chain, SeededChoice(seeds)])
