"""/v1/attribute and /v1/compare say what the commands say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.conftest import answer_rows, write_jsonl
from tests.serve.conftest import Running, running
from tests.serve.conftest import head_store as head_store
from tests.serve.conftest import usual_encoder as usual_encoder
from univar.bulk import embed
from univar.encoder.encoder import Encoder
from univar.store import Store

NEW = answer_rows(44, seed=5)


@pytest.fixture(scope="module")
def service(head_store: Store, usual_encoder: Encoder) -> Iterator[Running]:
    with running(usual_encoder, head_store) as server:
        yield server


def pairs(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"question": row["question"], "answer": row["answer"]} for row in rows]


def printed(run: Run, *arguments: str | Path) -> list[Any]:
    done = run(*arguments, "--json")
    assert done.exit_code in (0, 11), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def same_facts(found: Any, expected: Any, path: str = "") -> None:
    """Equal, but for numbers that follow from vectors of another batch: these to five places."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=2e-5), path
    elif isinstance(expected, dict):
        assert list(found) == list(expected), path
        for key in expected:
            same_facts(found[key], expected[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            same_facts(one, other, f"{path}[{place}]")
    else:
        assert found == expected, path


@pytest.mark.parametrize("bag", [False, True])
def test_attribute_is_what_the_command_prints(
    service: Running, head_store: Store, univar: Run, tmp_path: Path, tiny_bert: Path, bag: bool
) -> None:
    answers = pairs(NEW)
    reply = service.client.post("/v1/attribute", json={"answers": answers, "bag": bag})
    assert reply.status_code == 200, reply.text
    file = write_jsonl(tmp_path / "new.jsonl", answers)
    options = ["--bag-all"] if bag else []
    expected = printed(univar, "attribute", head_store.path, file, "-e", tiny_bert, *options)
    same_facts(reply.json()["results"], expected)
    assert len(expected) == (1 if bag else 44)
    assert (expected[0]["none_of_these"] is not None) == bag


def test_compare_is_what_the_command_prints(
    service: Running, univar: Run, tmp_path: Path, tiny_bert: Path
) -> None:
    sides = [pairs([row for row in NEW if row["model"] == f"model-{n}"]) for n in (0, 1)]
    reply = service.client.post("/v1/compare", json={"a": sides[0], "b": sides[1], "part": "values"})
    assert reply.status_code == 200, reply.text
    files = [write_jsonl(tmp_path / f"{n}.jsonl", side) for n, side in enumerate(sides)]
    expected = printed(univar, "same", *files, "-e", tiny_bert, "--part", "values")
    same_facts(reply.json(), expected[0])
    assert expected[0]["test"] == "paired"


def test_ids_come_back(service: Running) -> None:
    answers = [{"answer": "we care", "id": "one"}, {"answer": "they speak", "id": "two"}]
    results = service.client.post("/v1/attribute", json={"answers": answers}).json()["results"]
    assert [(one["row"], one["id"]) for one in results] == [(1, "one"), (2, "two")]


def test_without_heads_the_command_is_named(
    usual_encoder: Encoder, head_store: Store, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(head_store.path, bare, ignore=shutil.ignore_patterns("index"))
    body = {"answers": [{"answer": "we care"}]}
    with running(usual_encoder, Store(bare)) as server:
        reply = server.client.post("/v1/attribute", json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, 409)
        assert f"`univar index {bare}`" in reply.json()["error"]["message"]
    with running(usual_encoder) as server:
        assert "univar serve STORE" in server.client.post("/v1/attribute", json=body).text


def test_stale_heads_are_a_409(usual_encoder: Encoder, head_store: Store, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(head_store.path, changed)
    more = write_jsonl(tmp_path / "more.jsonl", answer_rows(8, seed=77))
    embed([more], changed, encoder=usual_encoder)
    with running(usual_encoder, Store(changed)) as server:
        reply = server.client.post("/v1/attribute", json={"answers": [{"answer": "we care"}]})
        assert reply.status_code == 409
        assert "out of date" in reply.text


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("attribute", {"answers": []}, "answers"),
        ("attribute", {"answers": [{"question": "why ?"}]}, "answers.0.answer"),
        ("attribute", {"answers": [{"answer": " \t"}]}, "empty"),
        ("attribute", {"answers": [{"answer": 4}]}, "string"),
        ("attribute", {"answers": [{"answer": "we", "model": "m"}]}, "model"),
        ("attribute", {"answers": [{"answer": "we"}], "bag": "yes"}, "bag"),
        ("compare", {"a": [{"answer": "we"}]}, "b: Field required"),
        ("compare", {"a": [{"answer": "we"}], "b": [{"answer": "we"}], "part": "style"}, "values"),
    ],
)
def test_what_is_wrong_is_refused_plainly(service: Running, path: str, body: dict, said: str) -> None:
    reply = service.client.post(f"/v1/{path}", json=body)
    assert reply.status_code == 400, reply.text
    assert said in reply.json()["error"]["message"]


def test_hostile_texts_come_through_as_text(service: Running) -> None:
    marked = ["</script><script>alert(1)</script>", "\u202eevil\u202c", "\x1b[31mred", "a\x00b"]
    texts = [*marked, "care " * 100_000]
    reply = service.client.post("/v1/attribute", json={"answers": [{"answer": text} for text in texts]})
    assert reply.status_code == 200, reply.text[:300]
    assert reply.json()["truncated"] == [4]
    assert all(np.isfinite(one["sources"][0]["probability"]) for one in reply.json()["results"])


def test_what_is_loaded_before_the_first_request_gives_the_same(
    head_store: Store, usual_encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    with running(usual_encoder, head_store) as server:
        body = {"answers": pairs(NEW[:3])}
        before = server.client.post("/v1/attribute", json=body).json()
        server.server.service.warm()
        assert server.client.post("/v1/attribute", json=body).json() == before
    assert caplog.text == ""
