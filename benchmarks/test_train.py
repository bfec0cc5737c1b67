"""A training step: `univar train` beside sentence-transformers' trainer, the same pairs in both.

The peer is MultipleNegativesRankingLoss in SentenceTransformerTrainer; univar trains with the same loss, on
all layers. What is timed is everything from one step to the next, the making of batches included.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from benchmarks.conftest import THREADS, Measure
from benchmarks.stepwise import Stepwise
from benchmarks.training import OURS, PEER, TRAINERS, Work

WORK = Work(batch=16, max_length=128, steps=60)
FIRST_LOSS_WITHIN = 0.03
"""Of each other: relative difference of two losses of the first batch in bf16."""


@functools.cache
def first_loss(impl: str) -> float:
    """Loss of the first batch before anything is learnt."""
    with Stepwise(functools.partial(TRAINERS[impl], Work(WORK.batch, WORK.max_length, steps=1))) as trainer:
        return trainer.step()


@pytest.mark.parametrize("impl", [OURS, PEER])
def test_train(impl: str, minilm: Path, measure: Measure) -> None:
    if impl == PEER:
        for package in ("sentence_transformers", "datasets", "accelerate"):
            pytest.importorskip(package, reason=f"{package} is in the extra [bench]")
        assert first_loss(PEER) == pytest.approx(first_loss(OURS), rel=FIRST_LOSS_WITHIN)
    torch.set_num_threads(THREADS)
    with Stepwise(functools.partial(TRAINERS[impl], WORK)) as trainer:
        trainer.step()  # sets everything up
        measure(
            f"train: a step of {WORK.batch} pairs of at most {WORK.max_length} tokens, bf16",
            trainer.step,
            pairs=WORK.batch,
        )
