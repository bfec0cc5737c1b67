"""`make truth` on planted answers: same rows for all, planted sources found, its tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import truth_table
from benchmarks.truth_corpora import CORPORA, SMALLEST_FIRST, Corpus
from benchmarks.truth_scores import TFIDF, TFIDF_CENTRED, UNIVAR, UNIVAR_ALONE, attribution, fitted
from benchmarks.truth_unseen import BASE, unseen_models
from tests.search.planted import planted, planted_rows, planted_vectors
from tests.search.stores import write_store
from univar.store import Store

ONE = Corpus("planted", "planted", "en")


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Store]:
    """Four sources in train, five in eval, the fifth unknown to train, as are all but five questions."""
    folder = tmp_path_factory.mktemp("truth")
    known = planted_rows(range(35, 65), models=4)
    new = [{**row, "model": "m9", "id": f"new-{row['id']}"} for row in known if row["model"] == "m0"]
    vectors = np.concatenate([planted_vectors(known), planted_vectors(new, seed=1)])
    train = planted(folder / "train", range(40))
    return {"train": train, "eval": write_store(folder / "eval", known + new, vectors)}


@pytest.fixture(scope="module")
def found(stores: dict[str, Store]) -> dict:
    return attribution(ONE, stores["train"], stores["eval"], fitted(ONE, stores["train"]))


def test_only_known_sources_and_new_questions_are_scored(found: dict) -> None:
    assert found["rows"] == 100
    assert found["rows_left_out"] == {"question in train": 20, "source not in train": 30}
    assert found["centred"] == {"by question": 100, "by proposition": 0, "share": 1.0}


def test_planted_sources_are_found_by_all_four_methods(found: dict) -> None:
    values = {name: found["accuracy"][name]["value"] for name in (UNIVAR, UNIVAR_ALONE, TFIDF, TFIDF_CENTRED)}
    assert min(values.values()) > 0.8, values
    difference = found["difference"][f"{UNIVAR} - {TFIDF}"]["value"]
    assert difference == pytest.approx(values[UNIVAR] - values[TFIDF], abs=2e-4)


def test_unseen_models_are_compared_with_the_centred_base(tmp_path: Path) -> None:
    rows = planted_rows(range(200, 300), models=3)
    store = write_store(tmp_path / "eval", rows, planted_vectors(rows))
    found = unseen_models(Corpus("planted", "planted", "en", unseen=True), {"eval": store}, None)
    assert found is not None
    assert found["models"] == 3
    assert found["same_model"][BASE]["value"] > found["chance"]


def test_a_corpus_without_unseen_models_has_no_such_figure(stores: dict[str, Store]) -> None:
    assert unseen_models(ONE, {"train": stores["train"], "eval": stores["train"]}, None) is None


def test_every_corpus_is_measured_once() -> None:
    assert sorted(SMALLEST_FIRST) == sorted(one.name for one in CORPORA)


@pytest.mark.parametrize(
    ("difference", "level"),
    [
        ({"value": -0.05, "low": -0.09, "high": -0.01}, True),
        ({"value": -0.05, "low": -0.07, "high": -0.03}, False),
        ({"value": 0.0, "low": None, "high": None}, True),
    ],
)
def test_level_means_that_the_interval_reaches_above_two_hundredths(difference: dict, level: bool) -> None:
    assert truth_table.is_level(difference) is level


def test_the_tables_hold_every_corpus_of_a_result_file(found: dict) -> None:
    read = {"to_the_end": 0.5, "tokens_read": 0.7, "nothing_read": 3, "cut": 9}
    result = {
        "corpora": {"planted": json.loads(json.dumps(found))},
        "unseen": {"planted": None},
        "read": {"planted en": {"rows": 120, "paper": read, "whole": read}},
    }
    text = truth_table.text(result)
    assert text.count("| planted |") == 3
    assert "| planted en | 120 | 0.500 | 0.700 | 3 | 0.500 | 0.700 | 9 |" in text
