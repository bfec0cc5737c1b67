"""Where two sources differ, and the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.compare.stores import planted, planted_store
from tests.search.stores import write_store
from univar.compare.compare import compare
from univar.compare.picture import tree
from univar.compare.probes import by_score


def test_the_question_that_differs_most_comes_first_with_both_answers(tmp_path: Path) -> None:
    rows, vectors = planted({"a": 0.0, "b": 0.0}, 20)
    moved = [row["model"] == "b" and "q07" in row["question_id"] for row in rows]
    vectors[moved, 3] += 5.0
    for row, is_moved in zip(rows, moved, strict=True):
        if is_moved:
            row["answer"] = "I'm sorry, but I can't help with that."
    found = compare(write_store(tmp_path / "s", rows, vectors)).detail
    assert found is not None
    first = found.questions[0]
    assert first.proposition == "set:q07:w0"
    assert (first.a[:8], first.b[:9]) == ("answer 0", "I'm sorry")
    assert first.squared > 10 * found.questions[-1].squared
    assert (found.flips.only_a, found.flips.only_b, found.flips.neither) == (0, 1, 19)
    assert abs(found.energy.estimate) < 0.1
    assert any("no value probes are shipped for tiny" in note for note in found.notes)


def test_flips_both_ways_are_counted_where_the_mean_hides_them() -> None:
    left = np.zeros((12, 2))
    right = np.zeros((12, 2))
    right[:6, 0], right[6:, 0] = 1.0, -1.0
    right[:, 1] = 0.2 + 0.01 * np.arange(12)
    steady, hidden = by_score(["hidden", "steady"], left, right)
    assert (steady.value, steady.up, steady.down) == ("steady", 0, 0)
    assert (hidden.up, hidden.down) == (6, 6)
    assert hidden.change.estimate == pytest.approx(0.0)
    assert steady.p_holm < 0.05 < hidden.p_holm


def test_the_tree_joins_near_sources_first() -> None:
    distances = np.array([[0, 0.1, 1.0], [0.1, 0, np.nan], [1.0, np.nan, 0]])
    linked = tree(distances)
    assert set(linked[0, :2].astype(int)) == {0, 1}
    assert np.isfinite(linked).all()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_pictures_are_written_and_not_overwritten(tmp_path: Path, univar: Run, ending: str) -> None:
    pytest.importorskip("matplotlib")
    planted_store(tmp_path / "s", {"a": 0.0, "b": 1.0, "c$x": 1.0}, 12, wordings=2)
    for name, place in (("r0", 0.0), ("r1", 0.0), ("r2", 1.0)):
        planted_store(tmp_path / name, {"m": place}, 10, seed=len(name))
    heat, line = tmp_path / f"heat.{ending}", tmp_path / f"line.{ending}"
    assert univar("compare", tmp_path / "s", "--picture", heat).exit_code == 0
    runs = [tmp_path / name for name in ("r0", "r1", "r2")]
    assert univar("track", *runs, "--tolerance", "0.02", "--picture", line).exit_code in (0, 10, 11)
    assert min(heat.stat().st_size, line.stat().st_size) > 3000
    again = univar("compare", tmp_path / "s", "--picture", heat)
    assert again.exit_code != 0
    assert "--force" in again.stderr
