"""Chunks, threads and recomputation change nothing but the order of sums; losses are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.conftest import losses, quick, run
from univar.train import TrainSettings
from univar.train.step import Objective, barlow_twins, make_optimizer, value_distance


@pytest.mark.parametrize(
    "changes", [{"chunk_tokens": 40}, {"checkpointing": True}, {"chunk_tokens": 40, "checkpointing": True}]
)
def test_memory_savers_change_no_loss(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    run(corpus_file, tmp_path / "plain", quick(tiny_bert, learning_rate=1e-3))
    run(corpus_file, tmp_path / "saving", quick(tiny_bert, learning_rate=1e-3, **changes))
    np.testing.assert_allclose(losses(tmp_path / "saving"), losses(tmp_path / "plain"), atol=2e-6)


def test_threads_change_no_loss(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    settings = quick(tiny_bert, learning_rate=1e-3)
    run(corpus_file, tmp_path / "one", settings)
    run(corpus_file, tmp_path / "three", settings, threads=3)
    np.testing.assert_allclose(losses(tmp_path / "three"), losses(tmp_path / "one"), atol=2e-6)


def test_word_vectors_and_prototypes_take_their_own_rates() -> None:
    names = ("word", "layers.0.up.weight", "prototypes")
    named = [(name, torch.nn.Parameter(torch.zeros(2, 3))) for name in names]
    optimizer = make_optimizer(named, TrainSettings(word_rate=20.0))
    for group in optimizer.param_groups:
        group["lr"] = 1e-4 * group["rate_factor"]
    for _, parameter in named:
        parameter.grad = torch.ones(2, 3)
    optimizer.step()
    moved = [-float(parameter.detach().mean()) for _, parameter in named]
    assert moved == pytest.approx([2e-3, 1e-4, 1e-2], rel=1e-5)


def sides(batch: int = 12, dim: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    anchor, positive = (torch.randn(batch, dim, generator=generator) for _ in range(2))
    return torch.nn.functional.normalize(anchor, dim=1), torch.nn.functional.normalize(positive, dim=1)


def pair_loss(
    anchor: torch.Tensor, positive: torch.Tensor, sources: torch.Tensor, **changes: object
) -> float:
    """The loss of pairs alone."""
    settings = TrainSettings(**{"prototypes": 0.0, **changes})
    none = torch.zeros(0, anchor.shape[1])
    return float(Objective(settings)(anchor, positive, sources, torch.zeros(0, 0, dtype=torch.bool), none))


def test_matryoshka_is_the_mean_over_prefixes() -> None:
    anchor, positive = sides()
    sources = torch.arange(12)
    got = pair_loss(anchor, positive, sources, matryoshka=(4, 8))
    prefixes = [
        [torch.nn.functional.normalize(side[:, :dim], dim=1) for side in (anchor, positive)]
        for dim in (4, 8, 16)
    ]
    assert got == pytest.approx(np.mean([pair_loss(*sides, sources) for sides in prefixes]), rel=1e-6)


def test_prototypes_tell_a_source_from_its_rivals_alone() -> None:
    anchor, positive = sides()
    sources = torch.tensor([0, 1, 2, 3, 4, 5] * 2)
    rivals = torch.zeros(12, 7, dtype=torch.bool)
    rivals[:, :6] = torch.eye(6, dtype=torch.bool).repeat(2, 1)
    rivals[:, :3] = True  # pairs of the sources 0, 1, 2 have no others; nobody has source 6
    objective = Objective(TrainSettings(prototypes=0.25, temperature=0.5, seed=3), n_sources=7, dim=16)
    got = objective(anchor, positive, sources, rivals, torch.zeros(0, 16))
    directions = objective.prototypes.detach().double().numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = []
    for views in (anchor, positive):
        for view, source, those in zip(views.double().numpy(), sources.tolist(), rivals.numpy(), strict=True):
            scores = np.exp(directions @ view / 0.5)
            expected.append(-np.log(scores[source] / scores[those].sum()))
    of_pairs = pair_loss(anchor, positive, sources, temperature=0.5)
    assert got.item() == pytest.approx(0.25 * np.mean(expected) + 0.75 * of_pairs, rel=1e-6)
    (gradient,) = torch.autograd.grad(got, objective.prototypes)
    assert (gradient.norm(dim=1) > 0).tolist() == [True] * 6 + [False]


def test_same_source_is_dropped_from_the_negatives() -> None:
    anchor, positive = sides()
    sources = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    changes = {"same_source": "drop", "symmetric": False, "temperature": 0.5}
    logits = anchor @ positive.T / 0.5
    other = (sources[:, None] == sources) & ~torch.eye(12, dtype=torch.bool)
    expected = torch.nn.functional.cross_entropy(logits.masked_fill(other, -torch.inf), torch.arange(12))
    assert pair_loss(anchor, positive, sources, **changes) == pytest.approx(float(expected), rel=1e-6)


def test_barlow_twins_is_zero_for_equal_uncorrelated_sides() -> None:
    signs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]]).float()
    assert float(barlow_twins(signs, signs)) == pytest.approx(0, abs=1e-6)
    assert float(barlow_twins(signs, -signs)) == pytest.approx(8, abs=1e-5)  # (1 + 1)^2 for each dim
    assert float(barlow_twins(signs[:, :1].expand(4, 2), signs[:, :1].expand(4, 2))) == pytest.approx(0.0102)


def test_value_distance_wants_values_long_and_others_short() -> None:
    unit, zero = torch.eye(4), torch.zeros(3, 4)
    assert float(value_distance(unit, zero)) == 0
    assert float(value_distance(unit, zero + 1)) == pytest.approx(1)
    assert float(value_distance(unit / 2, zero)) == pytest.approx(0.25 / 4)


@pytest.mark.parametrize(
    "changes", [{"loss": "barlow_twins"}, {"learn_temperature": True}, {"matryoshka": [8, 16]}]
)
def test_every_loss_falls(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    settings = quick(tiny_bert, steps=25, learning_rate=3e-3, schedule="inverse_sqrt", **changes)
    run(corpus_file, tmp_path / "out", settings)
    found = losses(tmp_path / "out")
    assert np.mean(found[-5:]) < np.mean(found[:5])


def test_value_aware_training_shortens_non_value_embeddings(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    settings = quick(tiny_bert, steps=25, learning_rate=3e-3, loss="value_aware")
    run(corpus_file, tmp_path / "out", settings, non_value=[corpus_file])
    found = losses(tmp_path / "out")
    assert np.mean(found[-5:]) < np.mean(found[:5])
