"""The demo runs offline from the shipped corpus, shows what it found, and continues when run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from univar import Encoder
from univar.demo import run_demo, split_corpus


def test_no_question_is_on_both_sides(tmp_path: Path) -> None:
    parts = [
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in split_corpus(tmp_path)
    ]
    reference, held_out = ({row["question_id"] for row in part} for part in parts)
    assert not reference & held_out
    assert sum(map(len, parts)) >= 1000
    sources = [{(row["model"], row["language"]) for row in part} for part in parts]
    assert sources[0] == sources[1]
    assert len(sources[0]) >= 8


def test_demo_prints_a_table_and_draws_a_map(tmp_path: Path, univar: Run, tiny_bert: Path) -> None:
    pytest.importorskip("matplotlib", reason="the map needs the extra [map]")
    finished = univar("demo", "-o", tmp_path / "demo", "-e", tiny_bert)
    assert finished.exit_code == 0, finished.stderr
    for word in ("chance", "TF-IDF", "source", "truth:", "univar attribute"):
        assert word in finished.stdout
    assert (tmp_path / "demo" / "map.png").read_bytes()[:4] == b"\x89PNG"
    for name in ("map.html", "report.html"):
        assert (tmp_path / "demo" / name).stat().st_size > 10_000
        assert name in finished.stdout


@pytest.mark.slow
def test_second_run_embeds_nothing(tmp_path: Path, tiny_bert: Path) -> None:
    pytest.importorskip("matplotlib", reason="the map needs the extra [map]")
    encoder = Encoder(str(tiny_bert), dtype="fp32", device="cpu")
    first = run_demo(tmp_path / "demo", encoder, note=lambda sentence: None)
    second = run_demo(tmp_path / "demo", encoder, note=lambda sentence: None)
    assert first.embedded["reference"]["embedded"] > 0
    assert second.embedded["reference"]["embedded"] == 0
    assert second.evaluation.overall == first.evaluation.overall
