"""A pipe, which can be read only once, is read whole by every command that reads answers or questions."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.conftest import answer_rows, write_jsonl

ROWS = 700  # more than a pipe holds and less than what a look into the file would read

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@contextmanager
def pipe(path: Path, content: str) -> Iterator[Path]:
    """A named pipe into which `content` is written once somebody reads it."""
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError):
            path.write_text(content)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield path
    if writer.is_alive():  # nobody read it to its end
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.close(fd)
        writer.join(10)


@dataclass(frozen=True)
class Call:
    """A command that reads `pipe`, and what of its JSON must be how many."""

    line: str
    counted: Callable[[Any], Any]
    expected: int = ROWS


CALLS = {
    "check": Call("check {pipe}", lambda found: found["rows"]),
    "embed": Call("embed {pipe} -o store -e {encoder}", lambda found: found["rows_read"]),
    "split": Call("split {pipe} -o sides", lambda found: sum(found["rows"].values())),
    "import": Call("import {pipe} --from alpaca-eval -o rows.jsonl", lambda found: found["rows"]),
    "train": Call(
        "train {pipe} -o run --base {encoder} --steps 1 --batch 8 --set validate_every=0",
        lambda found: found["read"],
    ),
    "attribute": Call("attribute store {pipe} -e {encoder}", lambda found: found["row"]),
    "same": Call("same {pipe} store -e {encoder}", lambda found: found["rows"][0]),
    "questions": Call("questions check {pipe} -e none", lambda found: found["questions"]),
}
"""Commands with questions or answers as input; `translate` and `elicit` read them by the same functions."""


def content(command: str) -> str:
    rows = answer_rows(ROWS, models=1 if command == "questions" else 4)
    if command == "import":
        names = {"question": "instruction", "answer": "output", "model": "generator"}
        return json.dumps([{theirs: row[ours] for ours, theirs in names.items()} for row in rows])
    if command == "questions":
        rows = [
            {"question_id": row["question_id"], "question": row["question"], "language": "eng"}
            for row in rows
        ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("command", CALLS)
def test_a_pipe_is_read_whole(
    command: str, tmp_path: Path, univar: Run, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if command in ("attribute", "same"):
        some = write_jsonl(tmp_path / "some.jsonl", answer_rows(40, seed=1))
        assert univar("embed", some, "-o", "store", "-e", tiny_bert, "-q").exit_code == 0
    with pipe(tmp_path / "pipe.jsonl", content(command)) as path:
        line = CALLS[command].line.format(pipe=path, encoder=tiny_bert)
        done = univar(*line.split(), "--json")
    assert done.stdout, done.stderr
    assert CALLS[command].counted(json.loads(done.stdout.splitlines()[-1])) == CALLS[command].expected
