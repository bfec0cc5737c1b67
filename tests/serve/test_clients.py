"""Real clients: OpenAI's for Python and for Node, and one that tries what the OpenAPI document allows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.serve.conftest import KEY, Running, running
from tests.serve.conftest import head_store as head_store
from tests.serve.conftest import usual_encoder as usual_encoder
from univar.encoder.encoder import Encoder
from univar.store import Store

pytestmark = pytest.mark.slow

TEXTS = ["we care for the law", "they speak", "no duty . " * 200]

NODE = """
const OpenAI = require("openai");
const client = new OpenAI({ apiKey: process.env.KEY, baseURL: process.env.URL });
const input = JSON.parse(process.env.TEXTS);
(async () => {
  const plain = await client.embeddings.create({ model: "any", input });
  const floats = await client.embeddings.create({ model: "any", input, encoding_format: "float" });
  console.log(JSON.stringify([plain, floats].map((reply) => reply.data.map((one) => one.embedding))));
})();
"""


@pytest.fixture(scope="module")
def service(usual_encoder: Encoder, head_store: Store) -> Iterator[Running]:
    """A server with a key, a store and heads."""
    with running(usual_encoder, head_store, api_key=KEY) as server:
        yield server


def close(found: object, encoder: Encoder) -> None:
    expected = encoder.encode_qa([""] * len(TEXTS), TEXTS)
    vectors = np.array(found, np.float32)
    assert vectors.shape == expected.shape
    assert (vectors * expected).sum(axis=1).min() > 0.99999


def test_openai_for_python(service: Running, usual_encoder: Encoder) -> None:
    openai = pytest.importorskip("openai", reason="needs OpenAI's client: pip install openai")
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key=KEY)
    for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        reply = client.embeddings.create(model="any", input=TEXTS, **options)
        vectors = [one.embedding for one in reply.data]
        if options.get("encoding_format") == "base64":  # who asks for it gets it as it is
            import base64

            vectors = [np.frombuffer(base64.b64decode(one), "<f4") for one in vectors]
        close(vectors, usual_encoder)
    assert client.models.list().data[0].id == "tiny"
    with pytest.raises(openai.BadRequestError, match="token numbers"):
        client.embeddings.create(model="any", input=[1, 2, 3])
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{service.url}/v1", api_key="wrong").models.list()


def test_openai_for_node(service: Running, usual_encoder: Encoder) -> None:
    """Set NODE_PATH to the node_modules folder that holds OpenAI's client."""
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", 'require("openai")'], capture_output=True).returncode:
        pytest.skip("needs node and OpenAI's client: npm install openai, NODE_PATH=node_modules")
    settings = {"KEY": KEY, "URL": f"{service.url}/v1", "TEXTS": json.dumps(TEXTS)}
    done = subprocess.run([node, "-e", NODE], capture_output=True, text=True, env={**os.environ, **settings})
    assert done.returncode == 0, done.stderr
    for vectors in json.loads(done.stdout):
        close(vectors, usual_encoder)


def test_what_the_openapi_document_allows_is_answered(service: Running, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="needs schemathesis: pip install schemathesis")
    program = Path(sys.executable).with_name("schemathesis")
    header = f"Authorization: Bearer {KEY}"
    options = ["--max-examples", "40", "--no-color", "--seed", "1", "-H", header]
    command = [program, "run", f"{service.url}/openapi.json", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:]
    assert KEY not in done.stdout
