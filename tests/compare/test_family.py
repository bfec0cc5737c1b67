"""Pairs that are asked about, energy distances, and which answers moved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.compare.stores import planted, planted_store, write_store
from univar.compare import transport
from univar.compare.compare import compare
from univar.compare.rows import rows_of
from univar.errors import UsageError
from univar.statistics.permutation import holm

MODELS = {"a": 0.0, "b": 0.0, "c": 0.6, "d": 1.2}


def test_p_is_corrected_for_the_pairs_that_are_asked_about(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "s", MODELS, 12)
    whole = {(pair.a, pair.b): pair for pair in compare(store, test=True).pairs}
    asked = [("a", "b"), ("d", "a")]
    found = compare(store, family=[*asked, ("a", "d")]).pairs
    assert [(pair.a, pair.b) for pair in found] == [("a", "b"), ("a", "d")]  # each once, as they are named
    p = [whole["a", "b"].p, whole["a", "d"].p]
    assert [pair.p for pair in found] == p
    assert [pair.p_holm for pair in found] == pytest.approx(holm(p).tolist())
    assert found[1].p_holm < whole["a", "d"].p_holm
    for wrong in (("a", "x"), ("a", "a")):
        with pytest.raises(UsageError, match="names no two of the sources; there are a, b, c, d"):
            compare(store, family=[wrong])


def test_energy_sees_a_difference_of_spread_that_d2_does_not(tmp_path: Path) -> None:
    rows, vectors = planted({"calm": 0.0, "wild": 0.0}, 60, noise=0.2)
    wild = [i for i, row in enumerate(rows) if row["model"] == "wild"]
    vectors[wild, 5] += np.resize([2.0, -2.0], len(wild))  # both ways, so that the mean stays
    pair = compare(write_store(tmp_path / "s", rows, vectors), energy=True).pairs[0]
    assert pair.energy.low > 0
    assert pair.energy.estimate > 5 * abs(pair.distance.estimate)
    assert pair.detectable > 0


def test_transport_is_the_best_assignment_where_both_sides_gave_as_many_answers(tmp_path: Path) -> None:
    pytest.importorskip("ot", reason="needs the extra [compare]")
    optimize = pytest.importorskip("scipy.optimize")
    rows = rows_of(planted_store(tmp_path / "s", {"a": 0.0, "b": 0.5}, 4, samples=6), ("model",), part=None)
    assert len(transport.several(rows)) == 4
    found = {move.a: move for move in transport.moves(rows)}
    for proposition in range(4):
        here = np.flatnonzero(rows.cluster == proposition)
        left, right = (here[rows.source[here] == side] for side in (0, 1))
        cost = ((rows.embeddings[left][:, None] - rows.embeddings[right][None]) ** 2).sum(axis=2)
        for i, j in zip(*optimize.linear_sum_assignment(cost), strict=True):
            assert found[left[i]].b == right[j]
            assert found[left[i]].cost == pytest.approx(cost[i, j], rel=1e-4)


def test_the_answer_that_moved_is_named(tmp_path: Path) -> None:
    pytest.importorskip("ot", reason="needs the extra [compare]")
    rows, vectors = planted({"old": 0.0, "new": 0.0}, 6, samples=5, noise=0.05)
    moved = next(i for i, row in enumerate(rows) if row["model"] == "old" and ":q03:" in row["question_id"])
    rows[moved]["answer"] = "the one that moved"
    vectors[moved, 6] += 3
    by_old = [{**row, "model": {"old": "1 old", "new": "2 new"}[row["model"]]} for row in rows]
    detail = compare(write_store(tmp_path / "s", by_old, vectors), only=("1 old", "2 new")).detail
    assert detail.a == "1 old"
    assert detail.moved[0].a == "the one that moved"
    assert detail.moved[0].squared > 4 * detail.moved[1].squared
    one_each = planted_store(tmp_path / "t", {"old": 0.0, "new": 0.0}, 6)
    assert compare(one_each, only=("old", "new")).detail.moved == ()


def test_without_the_library_a_note_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "is_installed", lambda: False)
    store = planted_store(tmp_path / "s", {"old": 0.0, "new": 0.0}, 6, samples=2)
    assert "univar-embed[compare]" in compare(store, only=("old", "new")).detail.notes[-1]


def test_the_command_takes_families(tmp_path: Path, univar: Run) -> None:
    planted_store(tmp_path / "s", MODELS, 12)
    done = univar("compare", tmp_path / "s", "--pair", "a=b", "--pair", "c = d", "--energy", "--json")
    assert done.exit_code == 0, done.stderr
    pairs = json.loads(done.stdout)["pairs"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [("a", "b"), ("c", "d")]
    assert all(pair["energy"]["value"] is not None and pair["p_holm"] is not None for pair in pairs)
    table = univar("compare", tmp_path / "s", "--pair", "a=b", "--energy", "--as", "csv")
    assert "energy" in table.stdout.splitlines()[0]
    wrong = univar("compare", tmp_path / "s", "--pair", "ab")
    assert wrong.exit_code == 2
    assert "is not A=B" in wrong.stderr


def test_a_matrix_that_no_terminal_shows_is_left_out_and_told(tmp_path: Path, univar: Run) -> None:
    planted_store(tmp_path / "s", {f"m{n:02d}": 0.0 for n in range(31)}, 4)
    done = univar("compare", tmp_path / "s")
    assert done.exit_code == 0, done.stderr
    assert "the matrix of 31 sources is left out" in " ".join(done.stdout.split())
    assert not any(line.startswith("D2 ") for line in done.stdout.splitlines())


def test_consistency_lies_between_minus_one_and_one(tmp_path: Path) -> None:
    models = {"a": 0.0, "b": 0.4, "c": 0.8, "d": 1.2, "e": 1.6}
    values = []
    for seed in range(6):
        store = planted_store(tmp_path / f"s{seed}", models, 6, languages=("eng", "deu"), seed=seed)
        values += [each.value for each in compare(store).consistencies if each.value.low is not None]
    assert any(value.high == 1 for value in values)
    assert all(-1 <= value.low <= value.estimate <= value.high <= 1 for value in values)
