"""How fast `elicit` asks, and how well it keeps a rate, against a server without latency in another process.

python -m benchmarks.elicit --out benchmarks/results/elicit.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.facts import write_result
from univar.elicit.elicitation import Elicitation
from univar.elicit.requests import ModelEntry
from univar.questions import Question

REQUESTS = 10_000
RATES_PER_MINUTE = (6_000, 18_000)
CONNECTIONS = 32
_BODY = json.dumps(
    {
        "choices": [{"message": {"content": "I would think about it first."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 10},
    }
).encode()
_REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)


def serve(pipe: Connection) -> None:
    """Answer everything at once; send the port, and for each message received the times of the requests."""
    times: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                times.append(time.monotonic())
                writer.write(_REPLY)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(pipe.recv):
            pipe.send(list(times))
            times.clear()

    asyncio.run(main())


def run(port: int, requests: int, per_minute: float) -> float:
    """Seconds that the requests took."""
    url = f"http://127.0.0.1:{port}/v1"
    model = ModelEntry("fake", "openai", "fake", url, concurrency=CONNECTIONS, requests_per_minute=per_minute)
    questions = [Question(f"q{n}", 1, "eng", f"Would you do number {n}, and why?") for n in range(requests)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Elicitation(Path(folder) / "answers.jsonl", [model], questions) as asked,
    ):
        report = asked.run()
    assert (report.answered, report.failed) == (requests, 0)
    return report.seconds


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    run(port, 500, 0)  # warm-up
    seconds = [run(port, REQUESTS, 0) for _ in range(3)]
    result: dict[str, Any] = {
        "requests": REQUESTS,
        "connections": CONNECTIONS,
        "requests_per_s": [round(REQUESTS / took) for took in seconds],
        "rates": [],
    }
    for rate in RATES_PER_MINUTE:
        ours.send(True)
        ours.recv()
        run(port, rate // 6, rate)  # ten seconds' worth
        ours.send(True)
        times = ours.recv()
        seen = 60 * (len(times) - 1) / (times[-1] - times[0])
        result["rates"].append({"set_per_minute": rate, "seen_per_minute": round(seen, 1)})
        print(f"{rate} a minute set, {seen:.1f} seen ({seen / rate - 1:+.2%})")
    print("requests a second:", result["requests_per_s"])
    write_result(options.out, "elicit", ["aiohttp", "tenacity"], result)
    ours.send(False)
    server.terminate()


if __name__ == "__main__":
    main()
