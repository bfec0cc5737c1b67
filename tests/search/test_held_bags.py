"""Bags of answers, kept in memory or on disk: what goes in comes out, and what is left out is counted."""

from __future__ import annotations

import numpy as np
import pytest

from univar.search import held_bags
from univar.search.held_bags import HeldBags
from univar.search.verdict import Asked


def answers(n: int) -> Asked:
    texts = [[f"{name} {i} \u00e9\U0001f600" for i in range(n)] for name in "aqilc"]
    return Asked(np.random.default_rng(0).standard_normal((n, 7)).astype(np.float32), *texts)


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_each_bag_has_its_answers_in_their_order(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(held_bags, "IN_MEMORY", in_memory)
    given = answers(30)
    with HeldBags() as bags:
        for row in range(30):
            bags.add(f"b{row % 3}", given, row, {"run": str(row % 3), "own": str(row)})
        found = list(bags.bags())
    assert [name for name, *_ in found] == ["b0", "b1", "b2"]
    for n, (_, asked, seen, columns) in enumerate(found):
        own = list(range(n, 30, 3))
        assert seen == 10
        assert columns == {"run": str(n)}
        np.testing.assert_array_equal(asked.embeddings, given.embeddings[own])
        for name in ("answers", "questions", "question_ids", "languages", "clusters"):
            assert getattr(asked, name) == [getattr(given, name)[row] for row in own]


def test_of_a_large_bag_every_answer_is_as_likely_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_bags, "MOST_IN_BAG", 10)
    given, times = answers(40), np.zeros(40)
    for seed in range(300):
        with HeldBags() as bags:
            monkeypatch.setattr(bags, "_rng", np.random.default_rng(seed))
            for row in range(40):
                bags.add("one", given, row, None)
            ((_, asked, seen, _),) = bags.bags()
        assert (len(asked.answers), seen) == (10, 40)
        times[[int(text.split()[1]) for text in asked.answers]] += 1
    assert abs(times - 75).max() < 5 * np.sqrt(300 * 0.25 * 0.75)  # binomial: 300 times 1 in 4


def test_nothing_given_gives_no_bags() -> None:
    with HeldBags() as bags:
        assert list(bags.bags()) == []
