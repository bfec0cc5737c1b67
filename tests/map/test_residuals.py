"""The map of residuals: planted shifts, rows that cannot be centred, and the command."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.evaluate.conftest import qa_rows
from tests.search.stores import write_store
from univar.cli.map import map as map_command
from univar.errors import UsageError
from univar.map import points_of
from univar.map.draw import points_of_residuals
from univar.map.projection import project


def test_axes_come_from_the_fitted_rows_alone():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 5)) * [9, 4, 1, 1, 1]
    far = np.vstack([rows, 100 * np.eye(5)[4:] * np.ones((8, 1))])
    fit = np.arange(68) < 60
    alone, shares = project(rows)
    together, same = project(far, fit=fit)
    np.testing.assert_allclose(together[:60], alone)
    np.testing.assert_allclose(same, shares)
    assert abs(project(far)[0][0, 0] - alone[0, 0]) > 1e-3  # with them the axes turn


def planted(tmp_path, shift: float):
    """A store of 5 models in two languages: a large shift of the language, `shift` of one model."""
    models = [f"m{i}" for i in range(5)]
    rows = qa_rows(range(20), models) + qa_rows(range(20), models, "c2", "spa")
    vectors = np.random.default_rng(1).standard_normal((len(rows), 8)) * 0.3
    for row, vector in zip(rows, vectors, strict=True):
        row["question_id"] = row["question_id"].split(":")[-1]
        vector[0] += 6.0 * (row["language"] == "spa")
        vector[1] += shift * (row["model"] == "m0")
    return write_store(tmp_path / "store", rows, vectors)


def share_between(points) -> float:
    """Share of the variance of the two coordinates that lies between the named centroids."""
    xy = points.coordinates - points.coordinates.mean(axis=0)
    means = np.stack([xy[points.label_of == code].mean(axis=0) for code in range(len(points.labels))])
    return float(np.square(means[points.label_of]).sum() / np.square(xy).sum())


def test_language_goes_and_a_planted_shift_stays(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "shift").mkdir()
    none = planted(tmp_path / "none", 0.0)
    assert share_between(points_of(none, "language")) > 0.5
    within = points_of_residuals(none, "source")
    assert share_between(replace(within, label_of=within.group_of, labels=within.groups)) <= 0.05
    assert share_between(points_of_residuals(none, "model")) <= 0.15  # 5 means of 40 rows: noise alone
    assert share_between(points_of_residuals(planted(tmp_path / "shift", 2.0), "model")) >= 0.3
    assert share_between(points_of_residuals(none, "language")) > 0.3  # by question alone: it is the result


def test_rows_without_other_sources_are_hollow(tmp_path):
    rows = qa_rows(range(6), ["a", "b", "c", "d"]) + qa_rows(range(6, 8), ["a"])
    store = write_store(tmp_path / "store", rows, np.random.default_rng(0).standard_normal((len(rows), 4)))
    points = points_of_residuals(store)
    assert np.flatnonzero(~points.is_centred).tolist() == [24, 25]
    assert "2 rows not centred" in points.note


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_command_writes_a_picture(tmp_path, ending):
    pytest.importorskip("matplotlib", reason="pictures need the extra [map]")
    rows = qa_rows(range(6), ["a", "b", "c", "d"])
    write_store(tmp_path / "store", rows, np.random.default_rng(0).standard_normal((len(rows), 4)))
    path = tmp_path / f"map.{ending}"
    found = CliRunner().invoke(map_command, [str(tmp_path / "store"), "-o", str(path)])
    assert found.exit_code == 0, found.output
    assert path.stat().st_size > 1000
    again = CliRunner().invoke(map_command, [str(tmp_path / "store"), "-o", str(path)])
    assert again.exit_code != 0


def test_the_command_refuses_another_ending(tmp_path):
    rows = qa_rows(range(3), ["a", "b"])
    write_store(tmp_path / "store", rows, np.eye(6))
    found = CliRunner().invoke(map_command, [str(tmp_path / "store"), "-o", str(tmp_path / "map.gif")])
    assert isinstance(found.exception, UsageError)
