"""One store in folds, centred rows, k and C chosen inside train, value content within questions."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.evaluate.conftest import qa_rows, vectors
from tests.search.stores import write_store
from univar.errors import DataError, UsageError
from univar.evaluate import evaluate
from univar.evaluate.classifiers import PROBE_STRENGTHS, chosen_c
from univar.evaluate.folds import folds
from univar.evaluate.protocol import EvalSettings

MODELS = ["a", "b", "c", "d", "e"]
FAST = {"k": (5,), "bags": (5,), "permutations": 0, "targets": ("model",)}


@pytest.fixture
def store(tmp_path):
    rows = qa_rows(range(40), MODELS)
    return write_store(tmp_path / "s", rows, vectors(rows, signal=1.0))


def test_no_question_is_in_two_folds_and_every_row_counts_once(store):
    split = folds(store, EvalSettings(folds=4))
    questions = store.column("question_id")
    for group in split.groups:
        assert not set(questions[group.train]) & set(questions[group.eval])
    everything = np.concatenate([group.eval for group in split.groups])
    assert sorted(everything.tolist()) == list(range(len(store)))


def test_questions_of_one_text_or_cluster_stay_together(tmp_path):
    rows = qa_rows(range(20), MODELS)
    for row in rows:  # the same text under two ids
        number = int(row["question_id"].split(":")[1])
        row["question"] = f"what about {number // 2}?"
        row["topic"] = f"t{number // 4}"
    made = write_store(tmp_path / "s", rows, vectors(rows, signal=1.0))
    for column, cluster in (("question", None), ("topic", "topic")):
        for group in folds(made, EvalSettings(folds=3, cluster=cluster)).groups:
            assert not set(made.column(column)[group.train]) & set(made.column(column)[group.eval])
    with pytest.raises(DataError, match="cannot be parted"):
        folds(made, EvalSettings(folds=11))


def test_folds_find_the_models(store):
    report = evaluate(store, folds=5, **FAST)
    target = report.groups[0].targets["model"]
    assert target.rows == len(store)
    assert target.scores.probe.at_1.value > 0.5
    assert target.scores.knn[5].at_1.value > 0.4
    assert [label.label for label in target.per_label] == MODELS
    assert target.bags[5].bags == len(store) // 5
    assert target.bags[5].probe.value > target.scores.probe.at_1.value
    assert report.counts.evaluated_rows == len(store)


def test_folds_of_groups_are_kept_apart(tmp_path):
    rows = qa_rows(range(15), MODELS, "c1") + qa_rows(range(15), ["x", "y"], "c2")
    made = write_store(tmp_path / "s", rows, vectors(rows, signal=1.0))
    report = evaluate(made, folds=3, within="source_corpus", **FAST)
    assert [(group.group, group.targets["model"].labels) for group in report.groups] == [("c1", 5), ("c2", 2)]
    assert report.overall["model"].rows == len(made)


def test_one_store_without_folds_is_refused(store):
    with pytest.raises(UsageError, match="--folds"):
        evaluate(store, **FAST)
    for bad in ({"folds": 1}, {"folds": 3, "protocol": "paper"}, {"folds": 3, "centre": "moon"}):
        with pytest.raises(UsageError):
            evaluate(store, **FAST, **bad)


def topical(path, models, questions=40, seed=0):
    """Answers that lie where their question does, and a little toward their model."""
    rng = np.random.default_rng(seed)
    rows = qa_rows(range(questions), models)
    topics = {row["question_id"]: 4 * rng.standard_normal(24) for row in rows}
    own = vectors(rows, signal=0.7, seed=seed)
    return write_store(path, rows, np.array([topics[row["question_id"]] for row in rows]) + own)


def test_centring_takes_the_topic_away(tmp_path):
    made = topical(tmp_path / "s", MODELS)
    plain, centred = (evaluate(made, folds=4, centre=how, **FAST) for how in ("none", "question"))
    found = [r.groups[0].targets["model"].scores for r in (plain, centred)]
    assert found[1].knn[5].at_1.value > found[0].knn[5].at_1.value + 0.15
    assert centred.centring["train"].question == len(made)
    assert plain.centring is None


def test_centring_needs_three_others_and_counts_the_rest(tmp_path):
    made = topical(tmp_path / "s", MODELS[:3])
    report = evaluate(made, folds=4, centre="question", **FAST)
    assert vars(report.centring["train"]) == {"question": 0, "cluster": 0, "none": len(made)}


def test_words_are_centred_as_embeddings_are(store):
    from univar.evaluate.centred import sparse_centring
    from univar.statistics.centring import centre

    sparse = pytest.importorskip("scipy.sparse")
    rows = np.random.default_rng(0).permutation(len(store))[:150]
    x = np.random.default_rng(1).random((150, 9)).astype(np.float32)
    done = sparse_centring(store, rows, EvalSettings(folds=2, centre="question"))
    sources, questions = (store.codes(name)[0][rows].astype(np.int64) for name in ("source", "question_id"))
    expected = centre(x, sources, questions).embeddings
    np.testing.assert_allclose(done(sparse.csr_matrix(x)).toarray(), expected, atol=1e-5)


def test_k_and_c_are_chosen_inside_train(store):
    report = evaluate(store, folds=4, **{**FAST, "k": (1, 5, 20)})
    scores = report.groups[0].targets["model"].scores
    assert scores.knn_chosen.at_1.value >= scores.knn[1].at_1.value


def test_c_follows_the_noise():
    rng = np.random.default_rng(0)
    questions = np.repeat(np.arange(30), 10)
    x = rng.standard_normal((300, 60)).astype(np.float32)
    clear = (x[:, 0] > 0).astype(np.int64)
    noise = rng.integers(0, 2, 300)
    assert chosen_c(x, noise, questions, 0) == min(PROBE_STRENGTHS)
    assert chosen_c(x[:, :1], clear, questions, 0) > min(PROBE_STRENGTHS)


def labelled(path, n_questions=25, per=8):
    """The topic is in the question; the value is a word of the answer."""
    rng = np.random.default_rng(0)
    rows = {"question": [], "answer": [], "values": []}
    for question in range(n_questions):
        for _ in range(per):
            held = rng.random() < 0.5
            rows["question"].append(f"topic{question} ?")
            rows["answer"].append(f"word{rng.integers(99)} {'keep' if held else 'leave'} topic{question}")
            rows["values"].append(json.dumps(["Tradition"] if held else []))
    pq.write_table(pa.table(rows), path)
    return path


def test_value_content_is_of_the_answer_not_of_the_topic(tmp_path):
    from univar.evaluate.studies.value_content import value_content

    def knows(texts):
        return np.array([[" keep " in text, len(text) % 3] for text in texts], np.float32)

    def topic(texts):
        numbers = [int(text.split("topic")[1].split()[0]) for text in texts]
        return np.eye(25, dtype=np.float32)[numbers]

    found = value_content(labelled(tmp_path / "f.parquet"), {"knows": knows, "topic": topic}, seed=0)
    assert found.labels == ["Tradition"]
    assert found.representations["knows"].macro_auc.value > 0.95
    assert found.representations["topic"].macro_auc.value == 0.5
    assert found.representations["TF-IDF (LSA)"].macro_auc.value > 0.9
    assert found.representations["topic"].difference.value > 0.45


def test_labels_in_the_store_are_a_standard_section(tmp_path):
    rows = qa_rows(range(30), MODELS)
    x = vectors(rows, signal=1.0)
    for row, vector in zip(rows, x, strict=True):
        row["values"] = json.dumps(["Tradition"] if vector[3] > 0 else [])
    made = write_store(tmp_path / "s", rows, x)
    report = evaluate(made, folds=3, **FAST)
    assert report.value_content.representations["tiny"].macro_auc.value > 0.8
    assert evaluate(made, folds=3, baselines=False, **FAST).value_content is None
