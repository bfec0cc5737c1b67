"""The benchmarks can be imported and selected by topic, and their results are described."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"
TOPICS = ("tokenise", "embed", "store", "search", "info_nce", "train", "attribute", "gpu")
MODULES = sorted(f"benchmarks.{path.stem}" for path in (REPOSITORY / "benchmarks").glob("*.py"))


def test_every_benchmark_can_be_imported():
    pytest.importorskip("triton", reason="aot.py compiles kernels")
    pytest.importorskip("aiohttp", reason="elicit.py asks endpoints")
    script = f"import importlib\nfor name in {MODULES}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_selects_its_file(topic):
    named = [path.stem for path in (REPOSITORY / "benchmarks").glob("test_*.py") if topic in path.stem]
    assert named == [f"test_{topic}"]


def test_every_result_is_described_and_every_description_has_its_result():
    described = re.findall(r"^\| `([^`]+)` \|", (RESULTS / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(described) == sorted(path.name for path in RESULTS.iterdir() if path.name != "README.md")
