"""Killed at any step, a run goes on as if nothing had been; two processes train as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.train.conftest import losses, metrics, quick, run, weights_of
from univar.errors import DataError, UsageError
from univar.train.metrics import MetricsFile
from univar.train.run_folder import RunFolder

STEPS = 30
SCRIPT = f"""
import sys
from pathlib import Path
from tests.train.conftest import quick, run
base, corpus, out, resume = sys.argv[1:]
views = {{"qa_per_view": [1, 3]}}
settings = quick(Path(base), steps={STEPS}, held_out=0.2, validate_every=7, patience=99, views=views)
run(Path(corpus), Path(out), settings, resume=resume == "yes", checkpoint_every=4)
"""


def start(base: Path, corpus: Path, out: Path, resume: bool, **environment: str) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", SCRIPT, str(base), str(corpus), str(out), "yes" if resume else "no"]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(arguments, cwd=root, env={**os.environ, **environment})


def wait_for_steps(folder: Path, steps: int, process: subprocess.Popen[bytes]) -> None:
    """Until the run has written that many losses or is over."""
    while process.poll() is None:
        if folder.joinpath("metrics.jsonl").is_file() and len(losses(folder)) >= steps:
            return
        time.sleep(0.005)


@pytest.mark.parametrize("killed_after", [17, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_run_resumes_bit_for_bit(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, killed_after: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = quick(
        tiny_bert, steps=STEPS, held_out=0.2, validate_every=7, patience=99, views={"qa_per_view": [1, 3]}
    )
    run(corpus_file, whole, settings)
    process = start(tiny_bert, corpus_file, broken, resume=False)
    wait_for_steps(tmp_path / "broken.run", killed_after, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not broken.exists():
        assert start(tiny_bert, corpus_file, broken, resume=True).wait() == 0
    assert losses(broken) == losses(whole)
    ours, theirs = weights_of(broken), weights_of(whole)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_two_processes_train_as_one(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = quick(
        tiny_bert, steps=STEPS, held_out=0.2, validate_every=7, patience=99, views={"qa_per_view": [1, 3]}
    )
    run(corpus_file, one, settings)
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20_000 + os.getpid() % 20_000)}
    workers = [start(tiny_bert, corpus_file, two, False, RANK=str(rank), **group) for rank in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    np.testing.assert_allclose(losses(two), losses(one), atol=1e-5)
    ours, theirs = weights_of(two), weights_of(one)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5, err_msg=name)


def test_unfinished_run_is_neither_overwritten_nor_mixed_up(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    settings = quick(tiny_bert, steps=6)
    stopped = run(corpus_file, out, settings, should_stop=lambda: True)
    assert stopped.folder is None
    with pytest.raises(UsageError, match="--resume"):
        run(corpus_file, out, settings)
    with pytest.raises(UsageError, match="other settings"):
        run(corpus_file, out, quick(tiny_bert, steps=6, temperature=0.1), resume=True)
    finished = run(corpus_file, out, settings, resume=True)
    assert finished.facts["steps"] == 6
    assert [line["step"] for line in metrics(out)] == list(range(6))


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt"])
def test_resuming_after_the_last_step_takes_none(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    settings = quick(tiny_bert, steps=6, schedule=schedule)
    run(corpus_file, tmp_path / "whole", settings)

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt  # killed after the checkpoint of the last step

    with monkeypatch.context() as patch:
        patch.setattr("univar.train.run.write_encoder", cut)
        with pytest.raises(KeyboardInterrupt):
            run(corpus_file, tmp_path / "broken", settings, checkpoint_every=3)
    finished = run(corpus_file, tmp_path / "broken", settings, resume=True)
    assert finished.facts["steps"] == 6
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    ours, theirs = weights_of(tmp_path / "broken"), weights_of(tmp_path / "whole")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "emptied":
        data.clear()
    else:
        data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "emptied", "flipped"])
def test_a_damaged_token_cache_is_made_anew(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, how: str
) -> None:
    settings = quick(tiny_bert, steps=4)
    run(corpus_file, tmp_path / "whole", settings)
    out = tmp_path / "out"
    stopped = run(corpus_file, out, settings, should_stop=lambda: True)
    assert stopped.folder is None
    (cache,) = (tmp_path / "out.run" / "tokens").iterdir()
    names = sorted(path.name for path in cache.iterdir())
    assert {"ids.bin", "meta.json"} < set(names)
    for name in names:
        damaged(cache / name, how)
    run(corpus_file, out, settings, resume=True)
    ours, theirs = weights_of(out), weights_of(tmp_path / "whole")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("how", ["cut", "emptied", "flipped"])
def test_a_damaged_checkpoint_is_refused(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, name: str, how: str
) -> None:
    settings = quick(tiny_bert, steps=6)
    run(corpus_file, tmp_path / "out", settings, should_stop=lambda: True)
    (checkpoint,) = (tmp_path / "out.run" / "checkpoints").iterdir()
    damaged(checkpoint / name, how)
    with pytest.raises(DataError, match=r"cannot be read .*: remove it, and --resume continues"):
        run(corpus_file, tmp_path / "out", settings, resume=True)


@pytest.mark.parametrize("how", ["cut", "emptied", "flipped"])
def test_damaged_kept_weights_are_refused(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, how: str
) -> None:
    settings = quick(tiny_bert, steps=6, held_out=0.2, validate_every=2, patience=99)
    folder = RunFolder(tmp_path / "out.run")
    run(corpus_file, tmp_path / "out", settings, should_stop=lambda: True)
    kept = folder.path / "kept.safetensors"
    damaged(kept, how)
    with pytest.raises(
        DataError, match=r"kept.safetensors cannot be read .*: remove .*out.run and train again"
    ):
        folder.load_kept(None)  # type: ignore[arg-type]


def test_odd_lines_of_metrics_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    odd = [b'{"step": 1e999}', b"\xff\xfe", b"[" * 100_000, b'{"step": null}', b"", b'{"step": "x"}', b"3"]
    path.write_bytes(b"\n".join([b'{"step": 0, "loss": 1.0}', *odd]) + b"\n")
    file = MetricsFile(path, 5)
    file.write(5, {"loss": 2.0})
    file.close()
    assert path.read_text().splitlines() == ['{"step": 0, "loss": 1.0}', '{"step": 5, "loss": 2.0}']
