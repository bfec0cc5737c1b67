"""HashIndex beside a dict that does the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from univar._native import HashIndex

CALLS = st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=8)


def keys_of(numbers: list[int]) -> np.ndarray:
    """(n, 16) uint8; many share their first eight bytes, so that they meet in one slot."""
    words = np.array([[number % 3, number] for number in numbers], np.uint64).reshape(-1, 2)
    return words.view(np.uint8).reshape(-1, 16)


@settings(max_examples=200, deadline=None)
@given(CALLS)
def test_it_does_what_a_dict_does(calls):
    index, twin = HashIndex(), {}
    value = 0
    for numbers in calls:
        values = np.arange(value, value + len(numbers), dtype=np.int64)
        value += len(numbers)
        expected = []
        for number, new in zip(numbers, values.tolist(), strict=True):
            expected.append(twin.get(number, -1))
            twin.setdefault(number, new)
        assert index.insert(keys_of(numbers), values).tolist() == expected
        assert len(index) == len(twin)
    everything = list(range(40))
    assert index.find(keys_of(everything)).tolist() == [twin.get(number, -1) for number in everything]


def test_it_keeps_all_keys_while_it_grows():
    keys = np.random.default_rng(0).integers(0, 256, (100_000, 16), dtype=np.uint8)
    index = HashIndex()
    for first in range(0, len(keys), 7_919):
        part = keys[first : first + 7_919]
        assert (index.insert(part, np.arange(first, first + len(part))) == -1).all()
    assert len(index) == len(keys)
    np.testing.assert_array_equal(index.find(keys), np.arange(len(keys)))


def test_keys_that_were_chosen_to_fall_together_do_not():
    words = np.zeros((300_000, 2), np.uint64)  # one first half, and second halves with the same low bits
    words[:, 1] = np.arange(len(words), dtype=np.uint64) << np.uint64(32)
    keys = words.view(np.uint8).reshape(-1, 16)
    index = HashIndex()
    assert (index.insert(keys, np.arange(len(keys))) == -1).all()  # hours if each walked past all before it
    np.testing.assert_array_equal(index.find(keys), np.arange(len(keys)))


def test_the_zero_key_is_a_key_like_any_other():
    index, zero = HashIndex(), np.zeros((1, 16), np.uint8)
    assert index.find(zero).tolist() == [-1]
    assert index.insert(zero, np.array([5])).tolist() == [-1]
    assert index.find(zero).tolist() == [5]


@pytest.mark.parametrize(("keys", "values"), [((2, 8), 2), ((2, 16), 3)])
def test_wrong_shapes_are_refused(keys, values):
    with pytest.raises(ValueError, match="must be"):
        HashIndex().insert(np.zeros(keys, np.uint8), np.zeros(values, np.int64))


def test_a_call_with_a_negative_value_changes_nothing():
    index = HashIndex()
    with pytest.raises(ValueError, match=">= 0"):
        index.insert(keys_of([1, 2]), np.array([3, -1]))
    assert len(index) == 0
