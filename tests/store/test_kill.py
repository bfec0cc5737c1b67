"""A writer is killed at random moments: what it acknowledged is there, and the store is sound."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.store.store_rows import rows, write
from univar.store import Store, verify


def kill_writers(store, seed, kills):
    command = [sys.executable, "-m", "tests.store.killed_writer", str(store), str(seed), str(kills)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(outcomes):
    for outcome in outcomes:
        assert outcome["found"] >= outcome["acknowledged"]
        assert outcome["found"] % 40 == 0


def test_acknowledged_rows_survive_kills_and_the_next_writer_goes_on(tmp_path):
    outcomes = kill_writers(tmp_path / "s", seed=7, kills=12)
    assert len(outcomes) == 12
    check(outcomes)
    assert outcomes[-1]["found"] > 0
    before = len(Store(tmp_path / "s"))
    write(tmp_path / "s", rows(3, 10**9))
    assert len(Store(tmp_path / "s")) == before + 3
    report = verify(tmp_path / "s")
    assert (report.problems, report.notes) == ([], [])


@pytest.mark.slow
def test_acknowledged_rows_survive_many_kills(tmp_path):
    for seed in range(5):
        check(kill_writers(tmp_path / str(seed), seed, kills=20))
        assert verify(tmp_path / str(seed)).ok
