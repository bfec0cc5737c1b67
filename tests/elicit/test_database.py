"""States and translation memories that are damaged or none at all: one sentence that names the file."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from univar.elicit.state import State
from univar.errors import DataError
from univar.translate.memory import Memory


def damaged(whole: bytes, seed: int) -> bytes:
    """Some bytes changed, and of every fifth file the end gone."""
    generator = random.Random(seed)
    data = bytearray(whole)
    for _ in range(generator.choice([1, 3, 20, 200])):
        data[generator.randrange(len(data))] = generator.randrange(256)
    return bytes(data[: generator.randrange(len(data))] if seed % 5 == 0 else data)


def remember(path: Path) -> None:
    memory = Memory(path, Mock())
    memory.close()


def keep(path: Path) -> None:
    state = State(path)
    with state.reported():
        assert list(state.answers()) == []
    state.close()


@pytest.mark.parametrize("read", [keep, remember])
def test_a_damaged_file_is_read_or_refused_in_one_sentence(
    tmp_path: Path, read: Callable[[Path], None]
) -> None:
    path = tmp_path / "answers.jsonl.state"
    read(path)
    whole, told = path.read_bytes(), []
    for seed in range(100):
        for rest in tmp_path.iterdir():
            rest.unlink()
        path.write_bytes(damaged(whole, seed))
        try:
            read(path)
        except DataError as error:
            told.append(str(error))
    assert len(told) > 15
    assert all(str(path) in sentence and "\n" not in sentence for sentence in told)


@pytest.mark.parametrize("read", [keep, remember])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.write_text("hello " * 500)])
def test_what_is_no_database_is_refused(
    tmp_path: Path, make: Callable[[Path], object], read: Callable[[Path], None]
) -> None:
    make(tmp_path / "a.state")
    with pytest.raises(DataError, match=r"a\.state (cannot be read or written|is not a translation memory)"):
        read(tmp_path / "a.state")
