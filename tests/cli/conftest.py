"""Run the command line in this process, as `main` does it: exit codes, stdout and stderr included."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import answer_rows, write_jsonl
from univar.cli import main


@dataclass(frozen=True)
class Finished:
    """What a command returned."""

    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Finished]


@pytest.fixture
def univar(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Call `univar ARGUMENTS` with `stdin` as its input."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr(sys, "argv", ["univar", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        exit_code = 0
        try:
            main()
        except SystemExit as stop:
            exit_code = int(stop.code or 0)
        printed = capfd.readouterr()
        return Finished(exit_code, printed.out, printed.err)

    return run


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """A JSONL file of forty answer rows."""
    return write_jsonl(tmp_path / "answers.jsonl", answer_rows(40))


@pytest.fixture
def store(tmp_path: Path, univar: Run, answers: Path, tiny_bert: Path) -> Path:
    """A store of the forty rows."""
    assert univar("embed", answers, "-o", tmp_path / "store", "-e", tiny_bert, "-q").exit_code == 0
    return tmp_path / "store"
