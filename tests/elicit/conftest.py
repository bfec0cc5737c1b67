"""A fake endpoint with all the faults of real ones, and projects that ask it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

FAULTS = ("busy", "error", "hang", "drip", "broken", "empty", "refused", "dropped")
CANARY = "sk-canary-3b9f1c77d2"


def completion(text: str, prompt_tokens: int = 20, completion_tokens: int = 10) -> dict[str, Any]:
    """An OpenAI-compatible reply."""
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
    }


@dataclass
class Fake:
    """What the fake endpoint does and what it saw.

    share: of each kind of fault; answered: full answers sent by (model, system, question, seed); bodies: as
    asked.
    """

    url: str
    share: float = 0.0
    faults: tuple[str, ...] = FAULTS
    answered: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    requests: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    served: threading.Condition = field(default_factory=threading.Condition)
    _random: random.Random = field(default_factory=lambda: random.Random(7))

    def handle(self, request: Request) -> Response:
        body = json.loads(request.get_data())
        with self.served:
            self.requests += 1
            number = self._random.random()
            self.served.notify_all()
        place = int(number / self.share) if self.share else len(self.faults)
        fault = self.faults[place] if place < len(self.faults) else ""
        if fault:
            return self._faulty(fault, request, body)
        return self._answer(body, f"I would think about it first, {number}.")

    def wait_for(self, requests: int, process: subprocess.Popen[bytes]) -> None:
        """Return when so many requests have come, or the process has ended."""
        with self.served:
            while self.requests < requests and process.poll() is None:
                self.served.wait(0.1)

    def _answer(self, body: dict[str, Any], text: str) -> Response:
        system = next((m["content"] for m in body["messages"] if m["role"] == "system"), "")
        key = (body["model"], system, body["messages"][-1]["content"], body["seed"])
        with self.served:
            self.answered[key] += 1
        return Response(json.dumps(completion(text)), content_type="application/json")

    def _faulty(self, fault: str, request: Request, body: dict[str, Any]) -> Response:
        if fault == "busy":
            return Response('{"error": {"message": "slow down"}}', 429, {"Retry-After": "0.05"})
        if fault == "error":
            return Response("oops \x1b[31m", 500)
        if fault == "hang":
            self.closing.wait(3)
            return Response("{}", 500)
        if fault == "drip":
            return Response(self._drip(), content_type="application/json")
        if fault == "broken":
            return Response('{"choices": [{"message"', content_type="application/json")
        if fault == "empty":
            return self._answer(body, "")
        if fault == "refused":
            return self._answer(body, "I'm sorry, but I can't help with that.")
        request.environ["werkzeug.socket"].shutdown(2)
        return Response("")

    def _drip(self) -> Iterator[bytes]:
        for byte in json.dumps(completion("slow")).encode():
            yield bytes([byte])
            if self.closing.wait(0.1):
                return


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A fake endpoint on loopback."""
    with HTTPServer(threaded=True) as server:
        endpoint = Fake(server.url_for("/v1"))
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(endpoint.handle)
        yield endpoint
        endpoint.closing.set()
        server.clear()


@dataclass(frozen=True)
class Project:
    """A folder with questions.jsonl and models.toml, and the answers that come of them."""

    folder: Path

    @property
    def answers(self) -> Path:
        return self.folder / "answers.jsonl"

    def questions(self, count: int, languages: tuple[str, ...] = ("eng",)) -> None:
        rows = [
            {
                "question_id": f"q{number}",
                "wording": 1,
                "language": language,
                "question": f"{language} {number}?",
            }
            for number in range(count)
            for language in languages
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "questions.jsonl").write_text(text, encoding="utf-8")

    def models(self, text: str) -> None:
        (self.folder / "models.toml").write_text(text, encoding="utf-8")

    def arguments(self, *more: str) -> list[str]:
        files = ["--questions", "questions.jsonl", "--models", "models.toml", "-o", "answers.jsonl"]
        return ["elicit", *files, *more]

    def start(self, *more: str, **environment: str) -> subprocess.Popen[bytes]:
        """`univar elicit` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "univar", *self.arguments("--json", *more)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
        )

    def run(self, *more: str, **environment: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, what it printed as JSON, and stderr."""
        process = self.start(*more, **environment)
        out, err = process.communicate(timeout=3000)  # pytest's own limit is the shorter one
        return process.returncode, json.loads(out) if out.strip() else {}, err.decode()

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.answers.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return Project(tmp_path)
