"""Standard streams: closed, full, stalled, and what strangers wrote that would steer a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from tests.cli.conftest import Run
from tests.conftest import answer_rows, write_jsonl

UNIVAR = f"{sys.executable} -m univar"
STALLED = "{ head -c 200000 many.jsonl; exec sleep 60 2>/dev/null; }"
"""Gives rows, then nothing more without ending."""


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "answers.jsonl", answer_rows(40))
    return tmp_path


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>&- <&-", "2>/dev/full"])
def test_a_stream_that_is_closed_is_as_dev_null(folder: Path, closed: str) -> None:
    done = shell(f"{UNIVAR} check answers.jsonl --json {closed}", folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 40


def test_a_closed_stdout_takes_nothing_and_no_file_takes_its_place(folder: Path) -> None:
    done = shell(f"{UNIVAR} check answers.jsonl --drop clean.jsonl >&-", folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len((folder / "clean.jsonl").read_text().splitlines()) <= 40


def test_a_closed_stdin_is_empty(folder: Path) -> None:
    done = shell(f"{UNIVAR} check - <&-", folder)
    assert done.returncode == 3
    assert done.stderr == b"univar: stdin is empty, there are no rows in it: give a file with answers\n"


@pytest.mark.parametrize("arguments", ["check answers.jsonl", "check answers.jsonl --json", "--help"])
def test_a_full_disk_under_stdout_is_told(folder: Path, arguments: str) -> None:
    done = shell(f"{UNIVAR} {arguments} > /dev/full", folder)
    assert done.returncode == 1
    assert done.stderr.startswith(b"univar: ")
    assert b"No space left on device" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_ends_a_command_without_a_word(folder: Path) -> None:
    done = shell(f"{UNIVAR} questions list all -q | true; echo ${{PIPESTATUS[0]}}", folder)
    assert (done.stdout.splitlines()[-1], done.stderr) == (b"1", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", ["check -", "check <(STALLED)", "check fifo.jsonl"])
def test_a_stalled_pipe_is_left_within_a_second(folder: Path, arguments: str, number: int) -> None:
    write_jsonl(folder / "many.jsonl", answer_rows(4000))
    os.mkfifo(folder / "fifo.jsonl")
    command = f"exec {UNIVAR} {arguments.replace('STALLED', STALLED)}"
    if "<(" in command:
        command += " --format jsonl"
    _ends_soon(["bash", "-c", command], folder, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_embed_keeps_what_came_before_a_stall(folder: Path, tiny_bert: Path, number: int) -> None:
    write_jsonl(folder / "many.jsonl", answer_rows(4000))
    source = ["bash", "-c", "head -c 700000 many.jsonl; exec sleep 60"]
    with subprocess.Popen(source, cwd=folder, stdout=subprocess.PIPE) as giving:
        command = [*UNIVAR.split(), "embed", "-", "-o", "store", "-e", str(tiny_bert), "--json"]
        out = _ends_soon(command, folder, number, giving.stdout)
        giving.kill()
    found = json.loads(out)
    assert found["interrupted"]
    assert found["embedded"] + found["unfinished"] == found["rows_read"]


def _ends_soon(command: list[str], folder: Path, number: int, stdin: IO[bytes] | None = None) -> bytes:
    """Start a command, let it wait for input, signal it: it must be gone within a second or so."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=stdin or subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _wait_until_it_waits(process.pid)
    process.send_signal(number)
    out, error = process.communicate(timeout=5)
    assert process.returncode == 130, error
    assert b"interrupted" in error
    assert b"Traceback" not in error
    return bytes(out)


def _wait_until_it_waits(pid: int) -> None:
    """Until the process has used no more CPU time for a while, so that it is in its read."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < 1.0:
        time.sleep(0.1)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used = int(fields[11]) + int(fields[12])
        if used != before and used - before > 1:
            before, since = used, time.monotonic()


STEERING = "\x1b[31m\x1b]8;;http://x.example\x07\u061c\u202e\u2066\x9b2J\U000e0041"


def test_nothing_of_a_stranger_steers_the_terminal(tmp_path: Path, univar: Run) -> None:
    rows = [{**row, "model": f"m{STEERING}", "answer": row["answer"]} for row in answer_rows(4)]
    rows.append({**rows[0], "language": STEERING})
    name = tmp_path / f"answers{STEERING.replace('/', '')}.jsonl"
    write_jsonl(name, rows)
    for arguments in (["--json"], [], ["--as", "csv"], ["--as", "markdown"], ["--as", "latex"]):
        done = univar("check", name, *arguments)
        assert done.exit_code == 4
        assert not set(STEERING) & set("\x1b\x07\x9b\u061c\u202e\u2066\U000e0041") & set(done.stdout)
        assert not set("\x1b\x07\x9b\u061c\u202e\u2066\U000e0041") & set(done.stderr)
    refused = univar("check", f"{name}.none")
    assert refused.exit_code == 3
    assert "\\u001b" in refused.stderr
    assert "\x1b" not in refused.stderr
    unknown = univar("check", name, f"--{STEERING}")
    assert unknown.exit_code == 2
    assert "\x1b" not in unknown.stderr


@pytest.mark.parametrize(
    "model", [r"\[/x]", "m:fire:", r"\[link=http://x.example]y", "[bold]b[/bold]", "[/]"]
)
def test_markup_in_a_models_name_is_text(tmp_path: Path, univar: Run, tiny_bert: Path, model: str) -> None:
    rows = [{**row, "model": model} for row in answer_rows(3)]
    answers = write_jsonl(tmp_path / "answers.jsonl", rows)
    assert model in univar("check", answers).stdout
    assert univar("check", answers, "--json").exit_code == 0
    assert univar("embed", answers, "-o", tmp_path / "store", "-e", tiny_bert, "-q").exit_code == 0
    assert model in univar("info", tmp_path / "store").stdout
    facts = json.loads(univar("info", tmp_path / "store", "--json").stdout)
    assert list(facts["models"]) == [model]


def test_half_a_surrogate_pair_costs_its_row_alone(tmp_path: Path, univar: Run, tiny_bert: Path) -> None:
    good = write_jsonl(tmp_path / "good.jsonl", answer_rows(3)).read_text()
    bad = '{"model": ["\\ud800"], "language": "eng", "question": "q", "answer": "a"}\n'
    worse = '{"model": "m", "language": "\\udfff", "question": "q", "answer": "a"}\n'
    name = os.fsencode(tmp_path) + b"/answers-\xff.jsonl"
    Path(os.fsdecode(name)).write_text(good + bad + worse)
    for _ in range(2):
        for arguments in (["check"], ["embed", "-o", tmp_path / "store", "-e", tiny_bert]):
            done = univar(arguments[0], os.fsdecode(name), *arguments[1:], "--json")
            assert done.exit_code == 4, done.stderr
            json.loads(done.stdout)
    listed = [json.loads(line) for line in (tmp_path / "store/rejected.jsonl").read_text().splitlines()]
    assert [row["row"] for row in listed] == [4, 5]
    assert "\\ud800" in listed[0]["reason"]
    assert listed[0]["file"].endswith("answers-\\udcff.jsonl")
    assert univar("info", tmp_path / "store").exit_code == 0


def test_a_fault_of_ours_is_one_sentence(univar: Run, monkeypatch: pytest.MonkeyPatch, answers: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a\x1b[31m\nb")

    monkeypatch.setattr("univar.answers.check.check_rows", fail)
    done = univar("check", answers)
    assert done.exit_code == 1
    assert done.stderr == (
        "univar: unexpected ZeroDivisionError: a\\u001b[31m b. Set UNIVAR_DEBUG=1 to see where it happens, "
        "and report it\n"
    )
    monkeypatch.setenv("UNIVAR_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        univar("check", answers)


def test_too_little_memory_is_named(univar: Run, monkeypatch: pytest.MonkeyPatch, answers: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("univar.answers.check.check_rows", fail)
    done = univar("check", answers)
    assert (done.exit_code, "there is not enough memory" in done.stderr) == (1, True)


def test_a_step_that_lasts_tells_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, univar: Run, store: Path
) -> None:
    from univar.store import verify

    told = threading.Event()
    monkeypatch.setattr("univar.cli.progress.FIRST_LINE_S", 0.001)
    monkeypatch.setattr("univar.cli.progress.duration", lambda seconds: (told.set(), "0 s")[1])
    report = verify(store)
    monkeypatch.setattr("univar.store.verify", lambda path: (told.wait(10), report)[1], raising=False)
    done = univar("verify", store)
    assert done.stderr == "verifying: 0 s so far\n"
    assert "ok" in done.stdout
