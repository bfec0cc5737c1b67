"""Overlapping: items arrive in order, errors arrive where they happened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from univar.bulk.background import BackgroundWriter, Prefetcher


def failing_after(n: int) -> Iterator[int]:
    yield from range(n)
    raise ValueError("the producer broke")


def test_ahead_keeps_the_order() -> None:
    assert list(Prefetcher(iter(range(100)), depth=2)) == list(range(100))


def test_ahead_raises_the_producers_error_after_its_items() -> None:
    received: list[int] = []
    with pytest.raises(ValueError, match="producer"):
        received.extend(item for item in Prefetcher(failing_after(3), depth=1))
    assert list(Prefetcher(iter(()), depth=1)) == []


def test_ahead_close_stops_an_endless_producer() -> None:
    import itertools

    ahead = Prefetcher(itertools.count(), depth=2)
    assert next(iter(ahead)) == 0
    ahead.close()


def test_behind_consumes_everything_before_close_returns() -> None:
    consumed: list[int] = []
    behind = BackgroundWriter(consumed.append, depth=2)
    for item in range(50):
        behind.put(item)
    behind.close()
    assert consumed == list(range(50))


def test_behind_raises_the_consumers_error_and_drops_the_rest() -> None:
    consumed: list[int] = []

    def consume(item: int) -> None:
        if item == 2:
            raise ValueError("the consumer broke")
        consumed.append(item)

    behind = BackgroundWriter(consume, depth=10)
    for item in range(2):
        behind.put(item)
    with pytest.raises(ValueError, match="consumer"):
        for item in range(2, 50):
            behind.put(item)
        behind.close()
    with pytest.raises(ValueError, match="consumer"):
        behind.close()
    assert consumed == [0, 1]
