"""A writer that is killed or interrupted loses nothing finished, and the same command continues."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.conftest import answer_rows, write_jsonl
from univar import Store
from univar.store import verify

SCRIPT = """
import sys
from univar import Encoder
from univar.bulk import embed
encoder = Encoder(sys.argv[3], dtype="fp32", device="cpu", threads=1)
print("ready", flush=True)
embed([sys.argv[1]], sys.argv[2], encoder=encoder, shard_rows=200, flush_s=0.0,
      on_progress=lambda report: print("batch", flush=True))
"""


def test_sigkill_at_random_moments_leaves_every_row_once(tmp_path: Path, tiny_bert: Path) -> None:
    rng = np.random.default_rng(0)
    rows = answer_rows(20_000)
    source, store = write_jsonl(tmp_path / "a.jsonl", rows), tmp_path / "store"
    command = [sys.executable, "-c", SCRIPT, str(source), str(store), str(tiny_bert)]
    seen = 0
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(int(rng.integers(1, 8))):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if Store.exists(store):
            now = len(Store(store))
            assert now >= seen
            assert not verify(store).problems
            seen = now
    subprocess.run(command, check=True, capture_output=True)
    ids = Store(store).column("id")
    assert len(ids) == len(set(ids)) == len(rows)
    assert not verify(store).problems


def test_sigint_stores_the_batch_and_exits_130(tmp_path: Path, tiny_bert: Path) -> None:
    source, store = write_jsonl(tmp_path / "a.jsonl", answer_rows(200_000)), tmp_path / "store"
    command = [
        sys.executable,
        "-m",
        "univar",
        "embed",
        str(source),
        "-o",
        str(store),
        "-e",
        str(tiny_bert),
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (store / "shards").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    facts = json.loads(stdout)
    assert process.returncode == 130
    assert "the same command continues" in stderr
    assert facts["interrupted"]
    assert facts["embedded"] == len(Store(store)) < 200_000
    assert not verify(store).problems
