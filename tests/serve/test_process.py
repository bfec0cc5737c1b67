"""The server as a process: SIGTERM under load, SIGKILL and a fresh start, what it prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.serve.conftest import KEY, until
from tests.serve.conftest import tiny_encoder as tiny_encoder
from univar.encoder.encoder import Encoder

pytestmark = pytest.mark.slow


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """`univar serve ARGUMENTS` on a free port, its address, and the file with what it prints."""
    printed = folder / "printed"
    environment = {**os.environ, "UNIVAR_TEST_KEY": KEY, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "univar", "serve", *arguments, "--port", "0", "--threads", "1"]
    with printed.open("wb") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=folder)
    try:
        until(lambda: b"http://" in printed.read_bytes() or started.poll() is not None, 60)
        found = re.search(r"http://[\d.:]+", printed.read_text())
        assert found, printed.read_text()
        yield started, found[0], printed
    finally:
        started.kill()
        started.wait(20)


def ready(url: str) -> None:
    def answers() -> bool:
        try:
            return httpx.get(f"{url}/healthz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    until(answers, 60)


def test_sigterm_under_load_loses_no_request(tmp_path: Path, tiny_bert: Path, tiny_encoder: Encoder) -> None:
    outcomes: list[str] = []
    answered: dict[str, np.ndarray] = {}
    stop = threading.Event()

    def client(number: int, url: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as own:
            for turn in range(10_000):
                if stop.is_set():
                    return
                texts = [f"we care {number} {turn} {n}" for n in range(8)]
                try:
                    reply = own.post("/v1/embeddings", json={"input": texts})
                except httpx.ConnectError:  # refused: it was never taken
                    outcomes.append("refused")
                    return
                except httpx.TransportError as error:
                    outcomes.append(repr(error))
                    return
                outcomes.append(str(reply.status_code))
                for text, one in zip(texts, reply.json()["data"], strict=True):
                    answered[text] = np.array(one["embedding"], np.float32)

    with process(tmp_path, "-e", str(tiny_bert), "--dtype", "fp32") as (server, url, printed):
        ready(url)
        clients = [threading.Thread(target=client, args=(n, url)) for n in range(12)]
        for thread in clients:
            thread.start()
        until(lambda: outcomes.count("200") > 100)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, printed.read_text()
        stop.set()
        for thread in clients:
            thread.join(60)
    assert set(outcomes) <= {"200", "refused"}, set(outcomes)
    texts = list(answered)[:: max(1, len(answered) // 200)]
    expected = tiny_encoder.encode_qa([""] * len(texts), texts)
    found = np.stack([answered[text] for text in texts])
    assert (found * expected).sum(axis=1).min() > 0.99999  # everyone got their own


def test_after_sigkill_it_starts_again(tmp_path: Path, tiny_bert: Path) -> None:
    for _ in range(2):
        began = time.monotonic()
        with process(tmp_path, "-e", str(tiny_bert)) as (server, url, _):
            ready(url)
            print(f"ready after {time.monotonic() - began:.1f} s")
            server.send_signal(signal.SIGKILL)
            assert server.wait(20) == -signal.SIGKILL


def test_the_key_is_printed_nowhere_and_ctrl_c_ends_it(tmp_path: Path, tiny_bert: Path) -> None:
    options = ("-e", str(tiny_bert), "--api-key-env", "UNIVAR_TEST_KEY")
    with process(tmp_path, *options) as (server, url, printed):
        ready(url)
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}) as client:
            assert client.post("/v1/embeddings", json={"input": "we"}).status_code == 200
            assert client.post("/v1/embeddings", content=b"{").status_code == 400
            assert client.get(f"/{KEY}").status_code == 404
            assert KEY not in client.get("/metrics").text
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
        assert KEY not in printed.read_text()
        assert "no API key" not in printed.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to serve"),
        (("-e", "minilm", "--api-key-env", "UNIVAR_NO_SUCH_KEY"), "UNIVAR_NO_SUCH_KEY"),
        (("-e", "minilm", "--host", "no.such.host.invalid"), "cannot listen on no.such.host.invalid"),
        (("no-such-store",), "no-such-store"),
    ],
)
def test_what_cannot_be_served_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "univar", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
