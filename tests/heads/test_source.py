"""Source heads: what is chosen, and that a vote is not chosen where it cannot be taken."""

from __future__ import annotations

import numpy as np

from univar.heads.source import fit_source_head


def islands(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two sources on rings of small islands, which no plane parts but neighbours do."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    angle = (2 * rng.integers(0, 6, n) + y) * np.pi / 6
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.03 * rng.standard_normal((n, 2))
    return x.astype(np.float32), y.astype(np.int64), np.arange(n) // 4


def test_neighbours_vote_where_no_plane_parts_the_sources() -> None:
    head = fit_source_head(*islands(), 2, None)
    assert head is not None
    assert head.kind == "knn"
    assert head.tried[0]["name"].startswith("vote")


def test_two_answers_of_each_source_do_not_suffice_for_a_head() -> None:
    x = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    assert fit_source_head(x, np.arange(10) // 2, np.arange(10) % 2, 5, None) is None


def test_a_vote_that_cannot_be_taken_is_not_chosen() -> None:
    head = fit_source_head(*islands(), 2, None, may_vote=False)
    assert head is not None
    assert head.kind != "knn"
    assert head.tried[0]["name"].startswith("vote")
