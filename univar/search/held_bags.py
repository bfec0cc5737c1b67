"""Answers of bags, kept until the input ends: on disk beyond a size, and at most so many of each bag.

A record is the answer's embedding, float32, and then its texts as JSON. In memory stay eight bytes an answer,
and of a bag with more than MOST_IN_BAG answers a uniform sample of them (reservoir sampling, Vitter 1985,
algorithm R).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any

import numpy as np

from univar.search.verdict import Asked

MOST_IN_BAG = 10_000
"""Answers of one bag that count at most: a verdict needs all of them in memory at once."""

IN_MEMORY = 64 << 20
"""Bytes of all bags together that stay in memory; more go to a temporary file."""

_TEXTS = ("answers", "questions", "question_ids", "languages", "clusters")


class _Bag:
    """Where a bag's records start, how many answers it had, and the columns in which they agree."""

    def __init__(self) -> None:
        self.starts = array("q")
        self.seen = 0
        self.columns: dict[str, Any] | None = None


class HeldBags:
    """Takes answers in any order of bags and gives the bags back in the order of their first ones."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  (closed by __exit__)
        self._end = 0
        self._bags: dict[Any, _Bag] = {}
        self._rng = np.random.default_rng(0)

    def __enter__(self) -> HeldBags:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, name: Any, asked: Asked, row: int, columns: dict[str, Any] | None) -> None:
        """Keep one row of `asked` for the bag `name`. columns: the row's own, None: not wanted."""
        bag = self._bags.setdefault(name, _Bag())
        if columns is not None:
            bag.columns = columns if bag.columns is None else _agreed(bag.columns, columns)
        bag.seen += 1
        if len(bag.starts) < MOST_IN_BAG:
            bag.starts.append(self._write(asked, row))
            return
        place = int(self._rng.integers(bag.seen))
        if place < MOST_IN_BAG:
            bag.starts[place] = self._write(asked, row)

    def _write(self, asked: Asked, row: int) -> int:
        vector = np.ascontiguousarray(asked.embeddings[row], np.float32)
        texts = json.dumps([getattr(asked, name)[row] for name in _TEXTS]).encode()
        start = self._end
        sizes = np.array([vector.nbytes, len(texts)], np.int64).tobytes()
        self._end += self._file.write(sizes + vector.tobytes() + texts)
        return start

    def bags(self) -> Iterator[tuple[Any, Asked, int, dict[str, Any] | None]]:
        """(name, answers that count, answers there were, columns in which all of these agree) of each bag."""
        for name, bag in self._bags.items():
            read = [self._read(start) for start in sorted(bag.starts)]
            texts = [list(column) for column in zip(*(texts for _, texts in read), strict=True)]
            yield name, Asked(np.stack([vector for vector, _ in read]), *texts), bag.seen, bag.columns

    def _read(self, start: int) -> tuple[np.ndarray, list[str]]:
        self._file.seek(start)
        dims, length = np.frombuffer(self._file.read(16), np.int64).tolist()
        vector = np.frombuffer(self._file.read(dims), np.float32)
        return vector, json.loads(self._file.read(length))


def _agreed(before: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in before.items() if row.get(name) == value}
