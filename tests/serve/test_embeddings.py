"""What /v1/embeddings answers, and what it refuses."""

from __future__ import annotations

import base64
import importlib.util
import json
import re

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.serve.conftest import KEY, Running, running
from tests.serve.conftest import service as service
from tests.serve.conftest import tiny_encoder as tiny_encoder
from univar.encoder.encoder import Encoder
from univar.serve.embeddings import chosen_part, vectors_of
from univar.serve.replies import Rejection
from univar.serve.texts import is_readable, readable_pattern
from univar.serve.work import Embedded

TEXTS = ["we care for the law", "they speak", "no duty " * 200, "free work , free risk ?"]


def floats(reply: object) -> np.ndarray:
    data = reply.json()["data"]  # type: ignore[attr-defined]
    assert [one["index"] for one in data] == list(range(len(data)))
    return np.array([one["embedding"] for one in data], np.float32)


def test_vectors_are_those_of_encode_qa(service: Running, tiny_encoder: Encoder) -> None:
    reply = service.embed(TEXTS, model="text-embedding-3-small")
    assert reply.status_code == 200, reply.text
    expected = tiny_encoder.encode_qa([""] * len(TEXTS), TEXTS)
    assert (floats(reply) * expected).sum(axis=1).min() > 0.99999
    assert reply.json()["model"] == "tiny"
    assert reply.json()["truncated"] == []


def test_base64_holds_the_same_numbers(service: Running) -> None:
    reply = service.embed(TEXTS, encoding_format="base64").json()
    packed = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in reply["data"]]
    np.testing.assert_array_equal(np.stack(packed), floats(service.embed(TEXTS, encoding_format="float")))


def test_one_text_is_a_list_of_one(service: Running) -> None:
    np.testing.assert_array_equal(floats(service.embed(TEXTS[0])), floats(service.embed([TEXTS[0]])))


def test_tokens_are_counted(service: Running) -> None:
    assert service.embed("we care").json()["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"input": [1, 2]}, "token numbers"),
        ({"input": [[1, 2], [3]]}, "token numbers"),
        ({"input": []}, "at least 1"),
        ({"input": {"text": "a"}}, "list"),
        ({"input": ["we", " \n\u200b"]}, "input.1: a text is empty"),
        ({"input": ["we", None]}, "string"),
        ({}, "input: Field required"),
        ({"input": "we", "dimensions": 16}, "not trained for 16 dimensions"),
        ({"input": "we", "encoding_format": "int8"}, "base64"),
        ({"input": "we", "encodign_format": "base64"}, "encodign_format"),
        ({"input": "\ud800"}, "input"),
    ],
)
def test_what_is_wrong_is_refused_plainly(service: Running, body: dict, said: str) -> None:
    reply = service.client.post(
        "/v1/embeddings", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert reply.status_code == 400, reply.text
    assert said in reply.json()["error"]["message"]


def test_a_body_that_is_no_json_is_refused(service: Running) -> None:
    headers = {"content-type": "application/json"}
    for content in (b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000):
        reply = service.client.post("/v1/embeddings", content=content, headers=headers)
        assert reply.status_code == 400, content[:20]
        assert reply.json()["error"]["message"]


def test_as_many_dimensions_as_there_are_anyway(service: Running) -> None:
    assert service.embed("we", dimensions=32).status_code == 200


def test_a_text_that_is_too_long_is_refused_or_told(tiny_encoder: Encoder) -> None:
    long = ["we care", "care " * 4000]
    with running(tiny_encoder) as strict:
        reply = strict.embed(long)
        assert reply.status_code == 413
        assert "4,000 tokens" in reply.json()["error"]["message"]
    with running(tiny_encoder, auto_truncate=True) as lenient:
        assert lenient.embed(long).json()["truncated"] == [1]
        assert "univar_texts_cut_total 1.0" in lenient.client.get("/metrics").text


def test_the_model_chooses_the_part() -> None:
    parts = {"values": slice(0, 2), "source": slice(2, 4)}
    assert chosen_part("univar-2:source", "univar-2", parts) == "source"
    assert chosen_part("text-embedding-3-small", "univar-2", parts) is None
    assert chosen_part("univar-2", "univar-2", parts) is None
    assert chosen_part(None, "univar-2", parts) is None
    with pytest.raises(Rejection, match="values, source"):
        chosen_part("univar-2:style", "univar-2", parts)
    nothing = np.zeros(1, np.int64)
    both = Embedded(np.array([[0.6, 0.0, 0.0, 0.8]], np.float32), 3, nothing, nothing)
    np.testing.assert_allclose(vectors_of(both, parts["source"]), [[0, 1]])
    np.testing.assert_allclose(vectors_of(both, None), [[0.6, 0, 0, 0.8]])


def test_a_part_is_named_in_the_reply(service: Running) -> None:
    assert service.embed("we", model="tiny:values").json()["model"] == "tiny:values"
    assert service.embed("we", model="tiny:source").status_code == 404
    names = [card["id"] for card in service.client.get("/v1/models").json()["data"]]
    assert names == ["tiny", "tiny:values"]


def test_the_sign_of_life_embeds_a_text(service: Running) -> None:
    before = service.server.service.engine.load.batches
    assert service.client.get("/healthz").json()["status"] == "ok"
    assert service.server.service.engine.load.batches == before + 1


def test_the_key_is_needed_and_shown_nowhere(tiny_encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    with running(tiny_encoder, api_key=KEY) as server:
        right = {"authorization": f"Bearer {KEY}"}
        for wrong in (
            {},
            {"authorization": KEY},
            {"authorization": f"Bearer {KEY}x"},
            {"authorization": "Bearer"},
        ):
            reply = server.client.post("/v1/embeddings", json={"input": "we"}, headers=wrong)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert KEY not in reply.text
        assert server.client.post("/v1/embeddings", json={"input": "we"}, headers=right).status_code == 200
        assert server.client.get("/healthz").status_code == 200
        assert server.client.get("/metrics").status_code == 401
        assert KEY not in server.client.get("/metrics", headers=right).text
        assert KEY not in repr(server.server.service.settings)
    assert KEY not in caplog.text


def test_metrics_have_no_strange_labels(service: Running) -> None:
    service.client.get("/secret-name-of-a-user")
    text = service.client.get("/metrics").text
    assert 'path="other",status="404"' in text
    assert "secret-name" not in text


def test_another_host_is_refused_where_there_is_no_key(tiny_encoder: Encoder) -> None:
    with running(tiny_encoder, local_only=True) as server:
        assert server.embed("we").status_code == 200
        reply = server.client.get("/healthz", headers={"host": "evil.example:8080"})
        assert reply.status_code == 403


def test_pages_of_named_origins_may_read_replies(tiny_encoder: Encoder) -> None:
    friend, stranger = "https://friend.example", "https://stranger.example"
    with running(tiny_encoder, api_key=KEY, cors_allow_origin=(friend,)) as server:
        asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        for origin, allowed in ((friend, friend), (stranger, None)):
            reply = server.client.options("/v1/embeddings", headers={"origin": origin, **asks})
            assert reply.headers.get("access-control-allow-origin") == allowed
            reply = server.client.post("/v1/embeddings", json={"input": "we"}, headers={"origin": origin})
            assert reply.status_code == 401
            assert reply.headers.get("access-control-allow-origin") == allowed


def test_without_the_extra_the_remedy_is_named(univar: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else found(name))
    done = univar("serve", "-e", "minilm")
    assert done.exit_code == 2
    assert "uvicorn: pip install univar-embed[serve]" in done.stderr


def test_the_same_texts_are_readable_as_in_the_openapi_document() -> None:
    pattern = re.compile(readable_pattern())
    samples = [
        "",
        " ",
        "\u200b",
        "\u0301",
        "\ue000",
        "\u0378",
        "a",
        "é",
        "語",
        "?",
        "👍",
        " \n x",
        "]",
        "\\",
        "-",
        "^",
    ]
    assert [is_readable(text) for text in samples] == [bool(pattern.search(text)) for text in samples]
    assert [is_readable(text) for text in samples] == [False] * 6 + [True] * 10
