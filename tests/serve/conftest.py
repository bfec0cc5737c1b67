"""Servers with a tiny encoder, on a free port of this machine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import answer_rows, write_jsonl
from univar.bulk import embed
from univar.encoder.encoder import Encoder
from univar.search import source_files
from univar.search.fit_sources import fit_sources
from univar.serve.server import Server, listen, make_server
from univar.serve.settings import ServeSettings
from univar.store import Store

KEY = "key-canary-77f1"


@dataclass
class Running:
    """A server that runs in a thread of this process, and a client of it."""

    server: Server
    client: Any
    url: str

    def embed(self, input: Any, **fields: Any) -> Any:
        """The reply to a request for embeddings."""
        return self.client.post("/v1/embeddings", json={"input": input, **fields})


@contextmanager
def running(encoder: Encoder, store: Store | None = None, **settings: Any) -> Iterator[Running]:
    """A server while the block runs."""
    server = make_server(encoder, ServeSettings(**{"served_name": "tiny", **settings}), store)
    listening = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Running(server, client, url)
    finally:
        server.should_exit = True
        thread.join(20)
        server.service.engine.close(timeout_s=10)
        assert not thread.is_alive()


def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def tiny_encoder(tiny_bert: Path) -> Encoder:
    """The tiny encoder at full precision, with one thread."""
    return Encoder(tiny_bert, dtype="fp32", threads=1)


@pytest.fixture(scope="session")
def usual_encoder(tiny_bert: Path) -> Encoder:
    """The tiny encoder as the commands load it."""
    return Encoder(tiny_bert)


@pytest.fixture(scope="session")
def head_store(tmp_path_factory: pytest.TempPathFactory, usual_encoder: Encoder) -> Store:
    """A store of 160 answers by 4 models, with source heads."""
    folder = tmp_path_factory.mktemp("heads")
    answers = write_jsonl(folder / "answers.jsonl", answer_rows(160))
    embed([answers], folder / "store", encoder=usual_encoder)
    store = Store(folder / "store")
    model = fit_sources(store)
    assert model is not None
    source_files.save(model, store.path)
    return store


@pytest.fixture(scope="module")
def service(tiny_encoder: Encoder) -> Iterator[Running]:
    """A server with the usual settings."""
    with running(tiny_encoder) as server:
        yield server
