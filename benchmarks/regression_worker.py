"""What one checkout takes, for `regression`: runs on univar's public names alone, so that old ones run too.

Reads one command a line from stdin and answers each with a line of JSON. Not to be started by hand.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

import univar
from univar import Encoder, Store, embed, info_nce, knn

LEAST_S = 0.2  # a measurement repeats the call until about this much time is spent
ROWS, QUERIES, DIM, PAIRS = 50_000, 256, 384, 2048

Call = Callable[[], object]


def unit_rows(n: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def digest(*arrays: np.ndarray) -> str:
    found = hashlib.blake2b(digest_size=8)
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def loss_and_gradients() -> list[float]:
    anchor, positive = (torch.from_numpy(unit_rows(PAIRS, seed)).requires_grad_() for seed in (3, 4))
    loss = info_nce(anchor, positive, log_scale=torch.tensor(3.0))
    loss.backward()
    return [float(loss.detach()), float(anchor.grad.norm()), float(positive.grad.norm())]


class Checkout:
    """The calls that are measured. facts: what each gives, for the two checkouts to be compared."""

    def __init__(self, given: dict[str, Any]) -> None:
        torch.set_num_threads(given["threads"])
        table = pa.array(given["texts"], pa.large_string())
        encoder = Encoder("minilm", device="cpu", threads=given["threads"])
        multilingual = self._multilingual(given["threads"])
        corpus, queries = unit_rows(ROWS, 1), unit_rows(QUERIES, 2)
        self._answers, self._folder, self._stores = given["answers"], Path(given["folder"]), 0
        self._encoder = encoder
        self.calls: dict[str, Call] = {
            "tokenise WordPiece": lambda: encoder.tokenize(table),
            "encode": lambda: encoder.encode(given["texts"]),
            "embed": self._embed,
            "knn": lambda: knn(queries, corpus, 10, device="cpu"),
            "info_nce": loss_and_gradients,
        }
        if multilingual is not None:
            self.calls["tokenise Unigram"] = lambda: multilingual.tokenize(table)
        encoded = encoder.encode(given["texts"])
        store = Store(self._embed())
        self.facts = {
            "package": str(Path(univar.__file__).parent),
            "tokens": [digest(*one.tokenize(table)) for one in (encoder, multilingual) if one],
            "embeddings": [encoded[:64].ravel().tolist(), np.asarray(store.embeddings)[:64].ravel().tolist()],
            "neighbours": digest(knn(queries, corpus, 10, device="cpu")[1]),
            "losses": loss_and_gradients(),
        }
        self._repeats = {name: self._repeats_of(call) for name, call in self.calls.items()}

    @staticmethod
    def _multilingual(threads: int) -> Encoder | None:
        try:
            return Encoder("e5-multilingual", device="cpu", threads=threads)
        except Exception:  # not installed: WordPiece alone is measured
            return None

    def _embed(self) -> Path:
        self._stores += 1
        store = self._folder / f"store-{self._stores}"
        embed([self._answers], store, encoder=self._encoder)
        return store

    @staticmethod
    def _repeats_of(call: Call) -> int:
        started = time.perf_counter()
        call()
        return 1 + int(LEAST_S / (time.perf_counter() - started))

    def cost(self, name: str) -> dict[str, float]:
        """Mean seconds of a call."""
        call, repeats = self.calls[name], self._repeats[name]
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(repeats):
            call()
        spent = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu_s": spent[0] / repeats, "wall_s": spent[1] / repeats}


def main() -> None:
    """Answer commands until stdin ends; what libraries print goes to stderr."""
    out, sys.stdout = sys.stdout, sys.stderr

    def answer(facts: Any) -> None:
        print(json.dumps(facts), file=out, flush=True)

    checkout = Checkout(json.loads(sys.stdin.readline()))
    answer({"calls": list(checkout.calls), "facts": checkout.facts})
    for line in sys.stdin:
        answer(checkout.cost(line.strip()))


if __name__ == "__main__":
    main()
