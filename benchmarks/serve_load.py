"""Many clients at one server: latency, lost and refused requests, memory, CPU beside `encode`.

    python -m benchmarks.serve_load [--encoder minilm] [--clients 500] [--seconds 60] [--texts 32]
        [--out benchmarks/results/serve_load.json]

The server, the clients and `encode` are processes of their own; the clients' CPU seconds are printed.
Halfway one client sends a text of 50 MB and another 100,000 short texts. `encode` embeds the same texts
before and after. Every reply is counted; of one in ten the vectors are compared with those that the same
texts got before.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.data import read_texts
from benchmarks.facts import write_result

MIB = 2**20
MAX_TOKENS = 200
"""Texts of one piece, so that `encode` and the server do the same work."""
ENCODE_TEXTS = 2_000

ENCODE = """
import json, sys, time
from univar.encoder.encoder import Encoder
encoder = Encoder(sys.argv[1], threads=int(sys.argv[2]))
texts = json.load(sys.stdin)
encoder.encode(texts[:64])
cpu, wall = time.process_time(), time.perf_counter()
encoder.encode(texts)
print(json.dumps([(time.process_time() - cpu) / len(texts), (time.perf_counter() - wall) / len(texts)]))
"""


def short_texts(encoder: str) -> list[str]:
    """Answers of at most MAX_TOKENS tokens."""
    from univar.encoder.encoder import Encoder

    texts = read_texts(6_000)
    lengths = np.diff(Encoder(encoder).tokenize(texts)[1])
    return [text for text, length in zip(texts, lengths, strict=True) if length <= MAX_TOKENS]


def encode_cost(encoder: str, threads: int, texts: list[str]) -> list[float]:
    """CPU and wall seconds of a text in `encode`."""
    command = [sys.executable, "-c", ENCODE, encoder, str(threads)]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


class Load:
    """What the clients saw."""

    def __init__(self, url: str, texts: list[str], size: int, seconds: float) -> None:
        self.url, self.texts, self.size = url, texts, size
        self.end = time.monotonic() + seconds
        self.half = time.monotonic() + seconds / 2
        self.statuses: Counter[str] = Counter()
        self.seconds: list[tuple[float, float]] = []  # when answered, after how long
        self.sent = 0
        self.unlike = 0
        self.first: dict[int, np.ndarray] = {}
        self.without_retry_after = 0

    async def client(self, session: Any, number: int) -> None:
        """Ask, wait for the reply, ask again."""
        rng = random.Random(number)
        while time.monotonic() < self.end:
            chosen = [rng.randrange(len(self.texts)) for _ in range(self.size)]
            body = {"input": [self.texts[n] for n in chosen], "model": "any", "encoding_format": "base64"}
            began = time.monotonic()
            self.sent += 1
            status, facts, wait = await self.ask(session, body)
            self.statuses[status] += 1
            if status == "200":
                self.seconds.append((time.monotonic(), time.monotonic() - began))
                if rng.random() < 0.1:
                    self.compare(chosen, facts)
            elif status == "503":
                await asyncio.sleep(min(wait, 60) * (1 + 0.2 * rng.random()))

    async def ask(self, session: Any, body: Any) -> tuple[str, Any, float]:
        """Status, reply, seconds to wait."""
        try:
            async with session.post(f"{self.url}/v1/embeddings", json=body) as reply:
                text = await reply.read()
                wait = reply.headers.get("retry-after")
                self.without_retry_after += reply.status == 503 and wait is None
                return str(reply.status), json.loads(text), float(wait or 1)
        except Exception as error:
            return type(error).__name__, None, 1.0

    def compare(self, chosen: list[int], facts: Any) -> None:
        """Every text has got its own vector, and the same as before."""
        if [one["index"] for one in facts["data"]] != list(range(len(chosen))):
            self.unlike += 1
        for text, one in zip(chosen, facts["data"], strict=True):
            vector = np.frombuffer(base64.b64decode(one["embedding"]), "<f4")
            before = self.first.setdefault(text, vector)
            self.unlike += float(before @ vector) < 0.9999

    async def giants(self, session: Any) -> None:
        """Halfway, two requests that are far too large."""
        await asyncio.sleep(max(0.0, self.half - time.monotonic()))
        giants = ({"input": "a " * 25_000_000}, {"input": ["a"] * 100_000})
        found = await asyncio.gather(*(self.ask(session, body) for body in giants))
        self.statuses.update(f"giant {status}" for status, _, _ in found)

    async def run(self, clients: int) -> dict[str, Any]:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=180)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            work = [self.client(session, number) for number in range(clients)]
            await asyncio.gather(self.giants(session), *work)
        return self.facts()

    def facts(self) -> dict[str, Any]:
        taken = np.array([seconds for _, seconds in self.seconds])
        when = np.array([moment for moment, _ in self.seconds])
        second = taken[when > self.half] if len(when) else taken
        own = {name: count for name, count in self.statuses.items() if not name.startswith("giant")}
        return {
            "sent": self.sent,
            "answered": sum(own.values()),
            "statuses": dict(self.statuses),
            "503_without_retry_after": self.without_retry_after,
            "vectors_unlike_before": self.unlike,
            "texts": self.size * self.statuses["200"],
            "p50_s": round(float(np.median(taken)), 3),
            "p99_s": round(float(np.quantile(taken, 0.99)), 3),
            "p50_s_first_half": round(float(np.median(taken[when <= self.half])), 3),
            "p50_s_second_half": round(float(np.median(second)), 3),
            "load_cpu_s": round(time.process_time(), 1),
        }


def load_process(url: str, texts: int, clients: int, seconds: float) -> None:
    """What runs with --load: the clients."""
    pool = json.load(sys.stdin)
    print(json.dumps(asyncio.run(Load(url, pool, texts, seconds).run(clients))))


def served(arguments: argparse.Namespace, texts: list[str]) -> dict[str, Any]:
    """One run of the clients against a fresh server."""
    import urllib.request

    command = [
        sys.executable,
        "-m",
        "univar",
        "serve",
        "-e",
        arguments.encoder,
        "--port",
        str(arguments.port),
    ]
    server = subprocess.Popen([*command, "--threads", str(arguments.threads)])
    url = f"http://127.0.0.1:{arguments.port}"
    try:
        began = time.monotonic()
        while True:
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=10)
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit(f"the server ended with status {server.returncode}") from None
                time.sleep(0.02)
        ready_s = time.monotonic() - began
        process = psutil.Process(server.pid)
        before = process.cpu_times()
        options = ("--load", url, "--clients", str(arguments.clients), "--seconds", str(arguments.seconds))
        load = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serve_load", *options, "--texts", str(arguments.texts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert load.stdin is not None
        load.stdin.write(json.dumps(texts))
        load.stdin.close()
        load.stdin = None
        memory = []
        began = time.monotonic()
        while load.poll() is None:
            memory.append((round(time.monotonic() - began, 1), process.memory_info().rss / MIB))
            time.sleep(1)
        wall_s = time.monotonic() - began
        after = process.cpu_times()
        assert load.stdout is not None
        found = json.loads(load.stdout.read())
    finally:
        server.terminate()
        server.wait(150)
    cpu_s = after.user + after.system - before.user - before.system
    third = len(memory) // 3
    return {
        **found,
        "ready_s": round(ready_s, 2),
        "wall_s": round(wall_s, 1),
        "texts_per_s": round(found["texts"] / wall_s, 1),
        "server_cpu_s": round(cpu_s, 1),
        "server_cpu_ms_per_text": round(1000 * cpu_s / found["texts"], 3),
        "rss_mib_after_a_third": round(memory[third][1], 1),
        "rss_mib_last": round(memory[-1][1], 1),
        "rss_mib_most": round(max(rss for _, rss in memory), 1),
        "server_exit_code": server.returncode,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--texts", type=int, default=32, help="texts of a request")
    parser.add_argument("--threads", type=int, default=2, help="of the encoder, served and not")
    parser.add_argument("--port", type=int, default=8911)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.load:
        load_process(arguments.load, arguments.texts, arguments.clients, arguments.seconds)
        return
    texts = short_texts(arguments.encoder)
    sample = texts[:ENCODE_TEXTS]
    costs = [encode_cost(arguments.encoder, arguments.threads, sample)]
    facts = served(arguments, texts)
    costs.append(encode_cost(arguments.encoder, arguments.threads, sample))
    encode_ms = 1000 * float(np.mean([cpu for cpu, _ in costs]))
    facts["encode_cpu_ms_per_text"] = [round(1000 * cpu, 3) for cpu, _ in costs]
    facts["server_over_encode"] = round(facts["server_cpu_ms_per_text"] / encode_ms, 3)
    settings = {
        name: getattr(arguments, name) for name in ("encoder", "clients", "seconds", "texts", "threads")
    }
    facts = {"settings": settings, **facts}
    print(json.dumps(facts, indent=1))
    write_result(arguments.out, "serve_load", ("uvicorn", "fastapi", "numpy"), facts)


if __name__ == "__main__":
    main()
