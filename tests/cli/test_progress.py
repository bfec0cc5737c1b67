"""Lines about a long run say what is known and no more."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from univar.answers.inputs import Reading
from univar.bulk import EmbedReport
from univar.cli.common import Output
from univar.cli.progress import ProgressReporter


@pytest.fixture
def training() -> Callable[..., str]:
    pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")
    from univar.cli.train import TrainReporter
    from univar.train.run import TrainProgress

    def line(**facts: object) -> str:
        return TrainReporter(Output(False, False))._line(TrainProgress(step=3, steps=10, loss=1.5, **facts))

    return line


def test_an_accuracy_from_before_the_first_step_is_called_that(training: Callable[..., str]) -> None:
    early = training(accuracy=0.284, first_accuracy=0.284)
    assert "held-out attribution not measured yet (0.284 before the first step)" in early
    later = training(accuracy=0.31, first_accuracy=0.284, validated_step=2)
    assert "held-out attribution 0.310" in later
    assert "not measured" not in later
    assert "attribution" not in training()


def test_rows_are_counted_and_not_the_lines_of_a_table(tmp_path: Path) -> None:
    """Answers of many lines once made five times as many rows as there were."""
    path = tmp_path / "answers.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["model", "language", "question", "answer"])
        table.writerows(["m", "eng", f"why {n}?", "one\ntwo\n\nfour\nfive"] for n in range(2000))
    reporter = ProgressReporter([str(path)], Reading(), Output(False, False))
    line = reporter._line(EmbedReport(encoded=500, rejected=7, already_stored=20, tokens=9, seconds=2.0))
    found = re.match(r"527 of about ([\d,]+) rows, 250 rows/s", line)
    assert found
    assert int(found[1].replace(",", "")) == pytest.approx(2000, rel=0.1)
