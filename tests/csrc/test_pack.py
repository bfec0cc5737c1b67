"""pack beside the same in NumPy and plain Python."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from univar._native import pack


def pack_in_python(lengths: list[int], max_tokens: int) -> tuple[list[int], list[int]]:
    order = np.argsort(np.array(lengths, np.int64), kind="stable").tolist()
    cuts, tokens = [0], 0
    for place, row in enumerate(order):
        if tokens and tokens + lengths[row] > max_tokens:
            cuts.append(place)
            tokens = 0
        tokens += lengths[row]
    return order, [*cuts, len(order)] if order else cuts


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 120))
def test_it_equals_its_twin_and_keeps_the_budget(lengths, max_tokens):
    order, cuts = pack(np.array(lengths, np.int64), max_tokens)
    assert (order.tolist(), cuts.tolist()) == pack_in_python(lengths, max_tokens)
    for first, last in pairwise(cuts):
        batch = [lengths[row] for row in order[first:last]]
        assert sum(batch) <= max_tokens or sum(length > 0 for length in batch) == 1


def test_nothing_to_pack_is_no_batch():
    order, cuts = pack(np.zeros(0, np.int64), 10)
    assert (order.tolist(), cuts.tolist()) == ([], [0])


@pytest.mark.parametrize(("lengths", "max_tokens"), [([1, -1], 10), ([1], 0), ([[1]], 10)])
def test_impossible_arguments_are_refused(lengths, max_tokens):
    with pytest.raises(ValueError, match="must be"):
        pack(np.array(lengths, np.int64), max_tokens)
