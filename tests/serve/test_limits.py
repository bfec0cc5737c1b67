"""Too large, too many, too slow; clients that leave; a server that ends."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.serve.conftest import Running, running, until
from tests.serve.conftest import tiny_encoder as tiny_encoder
from tests.serve.encoders import Controlled
from univar.encoder.encoder import Encoder

SETTINGS = {"payload_limit": 20_000, "max_client_batch_size": 50, "max_concurrent_requests": 3}


@pytest.fixture
def encoder(tiny_encoder: Encoder) -> Controlled:
    return Controlled(tiny_encoder)


@pytest.fixture
def server(encoder: Controlled) -> Iterator[Running]:
    with running(encoder, **SETTINGS, request_timeout_s=20) as server:  # type: ignore[arg-type]
        yield server
        encoder.go.set()


def started(server: Running, encoder: Controlled, count: int) -> tuple[ThreadPoolExecutor, list[Any]]:
    """`count` requests that stand in the engine, which has begun a batch of them."""
    encoder.go.clear()
    encoder.begun.clear()
    pool = ThreadPoolExecutor(count)
    sent = [pool.submit(server.embed, [f"we care {n}"]) for n in range(count)]
    until(lambda: server.server.service.engine.load.requests == count)
    assert encoder.begun.wait(20)
    return pool, sent


def raw(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=20)


def head(length: int, more: str = "") -> bytes:
    return (
        f"POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {length}\r\n{more}\r\n"
    ).encode()


def test_a_body_that_is_too_large_is_refused_and_changes_nothing(server: Running) -> None:
    with ThreadPoolExecutor(2) as pool:
        huge = pool.submit(server.embed, "a" * 50_000_000)
        tiny = pool.submit(server.embed, ["a"] * 100_000)
        assert server.embed("we").status_code == 200
        assert (huge.result().status_code, tiny.result().status_code) == (413, 413)
    assert server.server.service.engine.load.batches == 1


def test_a_chunked_body_that_is_too_large_is_refused(server: Running) -> None:
    chunks = (b" " * 1000 for _ in range(1000))
    headers = {"content-type": "application/json"}
    assert server.client.post("/v1/embeddings", content=chunks, headers=headers).status_code == 413


def test_who_asks_first_whether_to_send_is_told_at_once(server: Running) -> None:
    with raw(server) as connection:
        connection.sendall(head(10**9, "expect: 100-continue\r\n"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_too_many_texts_are_refused(server: Running) -> None:
    reply = server.embed(["we"] * 51)
    assert reply.status_code == 413
    assert "51 texts" in reply.json()["error"]["message"]


def test_one_request_too_many_gets_503_and_is_told_when_to_come_again(
    server: Running, encoder: Controlled
) -> None:
    pool, sent = started(server, encoder, 3)
    reply = server.embed("we")
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1
    encoder.go.set()
    assert [one.result().status_code for one in sent] == [200] * 3
    assert server.embed("we").status_code == 200
    pool.shutdown()


def test_more_text_than_is_held_gets_503(encoder: Controlled) -> None:
    settings = {**SETTINGS, "max_concurrent_requests": 100}
    with running(encoder, **settings) as server:  # type: ignore[arg-type]
        waiting = [raw(server) for _ in range(32)]
        for connection in waiting:
            connection.sendall(head(20_000) + b'{"input": "')
        gate = next(iter(_gates(server)))
        until(lambda: gate.bytes_held == 32 * 20_000)
        assert server.embed("we").status_code == 503
        for connection in waiting:
            connection.close()
        until(lambda: gate.bytes_held == 0)
        assert server.embed("we").status_code == 200
        assert gate.running == 0


def _gates(server: Running) -> Iterator[Any]:
    """The gate of a running server, behind uvicorn's own wrappers."""
    app: Any = server.server.config.loaded_app
    while not hasattr(app, "bytes_held"):
        app = app.app
    yield app


def test_a_body_that_does_not_come_gets_408(encoder: Controlled) -> None:
    with running(encoder, request_timeout_s=0.2) as server, raw(server) as connection:  # type: ignore[arg-type]
        connection.sendall(head(100) + b'{"input"')
        connection.settimeout(20)
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        assert server.embed("we").status_code == 200


def test_an_answer_that_does_not_come_gets_503(encoder: Controlled) -> None:
    with running(encoder, request_timeout_s=0.2) as server:  # type: ignore[arg-type]
        encoder.go.clear()
        reply = server.embed("we")
        assert (reply.status_code, "retry-after" in reply.headers) == (503, True)
        encoder.go.set()
        until(lambda: server.server.service.engine.load.requests == 0)
        assert server.embed("we").status_code == 200


def test_what_a_client_asked_for_is_dropped_when_it_leaves(server: Running, encoder: Controlled) -> None:
    pool, sent = started(server, encoder, 1)
    body = json.dumps({"input": ["they speak"] * 9}).encode()
    with raw(server) as connection:
        connection.sendall(head(len(body)) + body)
        until(lambda: server.server.service.engine.load.requests == 2)
    until(lambda: "univar_requests_cancelled_total 1.0" in server.client.get("/metrics").text)
    encoder.go.set()
    assert sent[0].result().status_code == 200
    until(lambda: server.server.service.engine.load.requests == 0)
    assert sum(encoder.texts) == 1
    pool.shutdown()


def test_a_server_that_ends_answers_what_it_has(server: Running, encoder: Controlled) -> None:
    pool, sent = started(server, encoder, 3)
    server.server.should_exit = True
    until(lambda: server.server.service.draining)
    time.sleep(0.3)
    assert not any(one.done() for one in sent)
    encoder.go.set()
    assert [one.result().status_code for one in sent] == [200] * 3
    pool.shutdown()


def test_a_broken_encoder_ends_the_server(encoder: Controlled) -> None:
    with running(encoder) as server:  # type: ignore[arg-type]
        encoder.fault = "nan"
        reply = server.embed("we")
        assert reply.status_code == 500
        assert "nothing is answered" in reply.json()["error"]["message"]
        until(lambda: server.server.failure is not None)
        assert server.server.failure == "the encoder is broken"


def test_an_encoder_that_hangs_ends_the_server(encoder: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("univar.serve.server.STUCK_S", 0.3)
    with running(encoder) as server:  # type: ignore[arg-type]
        encoder.go.clear()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(server.client.post, "/v1/embeddings", json={"input": "we"})
            until(lambda: server.server.failure is not None)
            assert "has not finished a batch" in str(server.server.failure)
            encoder.go.set()


def test_more_work_than_fits_in_a_request_is_refused_at_once(server: Running, encoder: Controlled) -> None:
    pool, sent = started(server, encoder, 1)
    server.server.service.engine.load.tokens_per_s = 1e-3
    reply = server.embed("we")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "60")
    assert server.server.service.engine.load.requests == 1
    encoder.go.set()
    assert sent[0].result().status_code == 200
    pool.shutdown()
