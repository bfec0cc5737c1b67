"""What is in the embedding: labels of values, distances of cultures, style, the language of translations."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import answer_rows, write_jsonl
from tests.evaluate.conftest import qa_rows
from tests.search.stores import write_store
from univar.answers.maker_names import MASK
from univar.errors import DataError, UsageError
from univar.evaluate import evaluate
from univar.evaluate.against import encoded
from univar.evaluate.protocol import EvalSettings
from univar.evaluate.studies.culture import culture, mantel
from univar.evaluate.studies.fulcra import fulcra
from univar.evaluate.studies.style import stripped
from univar.evaluate.studies.translationese import translationese

VALUES = ("benevolence", "power")


def labelled(path: Path, n: int = 120) -> Path:
    """Answers whose words tell their value."""
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 2, (n, 2))
    rows = {
        "question": [f"what about {number} ?" for number in range(n)],
        "answer": [" ".join(f"{v}{on}" for v, on in zip(VALUES, row, strict=True)) for row in wanted],
        "schwartz_types_json": [
            json.dumps({v: 1 for v, on in zip(VALUES, row, strict=True) if on} | {"hedonism": -1})
            for row in wanted
        ],
    }
    pq.write_table(pa.table(rows), path)
    return path


def knows(texts: list[str]) -> np.ndarray:
    """Embeds the value words."""
    return np.array(
        [[f"{v}{on}" in text for v in VALUES for on in (0, 1)] for text in texts], dtype=np.float32
    )


def guesses(texts: list[str]) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((len(texts), 8)).astype(np.float32)


def test_a_probe_finds_the_values_that_an_embedding_holds(tmp_path):
    found = fulcra(labelled(tmp_path / "f.parquet"), {"knows": knows, "guesses": guesses}, seed=0)
    assert found.labels == ["benevolence +", "power +"]  # hedonism is in all answers
    representations = found.representations
    assert representations["knows"].macro_auc.value == 1.0
    assert representations["TF-IDF"].macro_auc.value == pytest.approx(1.0)
    blind = representations["guesses"]
    assert blind.macro_auc.low < 0.5 < blind.macro_auc.high
    assert blind.difference.low > 0.3
    assert blind.difference.p < 0.02


@pytest.mark.parametrize(
    "columns",
    [{"question": ["a"]}, {"question": ["a"], "answer": ["b"], "schwartz_types_json": ["[1]"]}],
)
def test_another_file_is_no_fulcra(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet"):
        fulcra(tmp_path / "x.parquet", {"knows": knows}, seed=0)


def test_mantel_finds_the_same_distances_under_noise():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((12, 3))
    near = np.linalg.norm(points[:, None] - points[None], axis=2)
    other = points + 0.2 * rng.standard_normal(points.shape)
    r, p = mantel(near, np.linalg.norm(other[:, None] - other[None], axis=2))
    assert r > 0.9
    assert p < 0.01


def test_mantel_of_three_things_cannot_be_sure():
    points = np.array([[0.0], [1.0], [3.0]])
    near = np.abs(points - points.T)
    assert mantel(near, near) == (pytest.approx(1.0), pytest.approx(1 / math.factorial(3)))


def test_without_agreement_the_p_values_of_mantel_are_uniform():
    rng = np.random.default_rng(1)
    small = 0
    for _ in range(100):
        first, second = (np.linalg.norm(x[:, None] - x[None], axis=2) for x in rng.standard_normal((2, 5, 2)))
        small += mantel(first, second)[1] <= 0.2
    assert 8 <= small <= 34


def test_languages_that_lie_as_their_cultures_do_agree(tmp_path):
    """Embeddings are made of the very scores."""
    scores = {"finland": (2.0, 1.0), "japan": (1.5, -0.5), "spain": (0.2, 0.4), "germany": (1.0, 0.8)}
    with (tmp_path / "inglehart_welzel_by_year.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["geo", "country", "year", "tradagg", "survsagg", "self_expression"])
        for country, (x, y) in scores.items():
            writer.writerow(["", country.title(), 2010, 9 - x, "", 9 + y])  # an old survey
            writer.writerow(["", country.title(), 2020, x, "", y])
    languages = {"fin": "finland", "jpn": "japan", "spa": "spain", "deu": "germany"}
    rows = [row for language in languages for row in qa_rows(range(2), ["m"], language, language)]
    flat = np.array([[*scores[languages[row["language"]]], 20.0] for row in rows])
    store = write_store(tmp_path / "store", rows, flat)
    facts = culture(tmp_path, store, [encoded("tiny", store, store)], None)["tiny"]["inglehart_welzel"]
    assert facts.languages == ["deu", "fin", "jpn", "spa"]
    assert facts.r > 0.9
    assert facts.p == pytest.approx(1 / 24)


def test_a_folder_without_cultures_is_a_data_error(tmp_path):
    store = write_store(tmp_path / "store", qa_rows(range(2), ["m"]), np.eye(2))
    with pytest.raises(DataError, match="hofstede_6d_2015"):
        culture(tmp_path, store, [encoded("tiny", store, store)], None)


def strip(answer: str, models: tuple[str, ...] = (), seed: int = 0) -> str:
    return stripped([answer], models, np.random.default_rng(seed))[0]


def test_stripping_removes_formatting_order_and_names():
    answer = "## As ChatGPT\n\n- **First** point. Second one!\n1. I am Mini-9b, made by OpenAI\n"
    plain = strip(answer, ("vendor/mini-9b",))
    expected = f"As {MASK} First point. Second one! I am {MASK}, made by {MASK}"
    assert sorted(plain.split()) == sorted(expected.split())
    assert plain != strip(answer, ("vendor/mini-9b",), seed=3)
    assert "\n" not in plain


def test_words_that_hold_a_name_stay():
    assert strip("a cohered mini-9bish thing", ("mini-9b", "x")) == "a cohered mini-9bish thing"


def test_chinese_sentences_are_shuffled():
    texts = {strip("一。二。三。", seed=seed) for seed in range(20)}
    assert len(texts) == 6
    assert {"".join(sorted(text)) for text in texts} == {"".join(sorted("一。 二。 三。"))}


def europarl(folder: Path) -> Path:
    folder.mkdir()
    for part, n in (("train", 40), ("valid", 4), ("test", 20)):
        with (folder / f"europarl_{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["original_language", "text", "para_qa"])
            for number in range(n):
                language = ("de", "fr")[number % 2]
                writer.writerow([language, f"{language} sign {number}", f"no sign {number // 2}"])
    return folder


def test_translationese_is_measured_for_each_text(tmp_path):
    def sees(texts: list[str]) -> np.ndarray:
        return np.array(
            [[text.startswith("de"), text.startswith("fr"), 0.1] for text in texts], dtype=np.float32
        )

    found = translationese(europarl(tmp_path / "e"), {"sees": sees}, EvalSettings(k=(5,), bootstrap=50))
    assert (found.labels, found.rows) == (2, 20)
    assert list(found.encoders["sees"]) == ["text", "para_qa"]
    assert found.encoders["sees"]["text"].knn.accuracy[1].value == 1.0
    assert found.encoders["sees"]["para_qa"].probe.accuracy[1].value == 0.5


def test_a_folder_without_test_file_is_a_data_error(tmp_path):
    folder = europarl(tmp_path / "e")
    (folder / "europarl_test.csv").unlink()
    with pytest.raises(DataError, match="one CSV file with 'test'"):
        translationese(folder, {"x": guesses}, EvalSettings())


@pytest.fixture
def embedded(tmp_path, tiny_bert):
    """Two stores that a real encoder made."""
    from univar.bulk import embed
    from univar.encoder.encoder import Encoder
    from univar.store import Store

    rows = answer_rows(80)
    for side, part in (("train", rows[:56]), ("eval", rows[56:])):
        path = write_jsonl(tmp_path / f"{side}.jsonl", part)
        embed([path], tmp_path / side, encoder=Encoder(str(tiny_bert)))
    return Store(tmp_path / "train"), Store(tmp_path / "eval")


def test_tests_of_texts_run_with_the_stores_encoder(embedded, other_tiny_bert, tiny_bert, tmp_path):
    report = evaluate(
        *embedded, encoders=[str(other_tiny_bert), str(tiny_bert)],
        k=(5,), bags=(), bootstrap=20, permutations=0, targets=("model",),
        fulcra=labelled(tmp_path / "f.parquet", 60), style_rows=20, translationese=europarl(tmp_path / "e"),
    )  # fmt: skip
    name = report.encoder["id"]
    assert set(report.fulcra.representations) == {name, "TF-IDF", "length"}
    style = report.style_stripped["all"][name]
    assert (style.rows, style.train_rows) == (20, 20)
    assert style.knn_stripped.at_1.value <= 1
    assert set(report.translationese.encoders) == {name}
    assert json.loads(json.dumps(report.to_json(), allow_nan=False)) == report.to_json()


def test_a_missing_encoder_is_told_before_anything_is_measured(embedded, tmp_path):
    said: list[str] = []
    with pytest.raises(UsageError, match="needs the encoder tiny-bert"):
        evaluate(*embedded, style_rows=5, on_progress=said.append)
    assert not said


@pytest.mark.parametrize("option", ["fulcra", "culture", "translationese"])
def test_a_wrong_file_is_told_before_anything_is_measured(embedded, tiny_bert, tmp_path, option):
    said: list[str] = []
    with pytest.raises(DataError):
        evaluate(
            *embedded, encoders=[str(tiny_bert)], on_progress=said.append, **{option: tmp_path / "nothing"}
        )
    assert not said


def test_an_encoder_is_not_compared_with_itself_by_name(embedded, tiny_bert, tmp_path):
    from univar.evaluate.against import other_stores

    with pytest.raises(UsageError, match="rename its folder"):
        other_stores(str(tiny_bert), embedded, tmp_path / "work")


def test_another_encoder_by_its_name_embeds_the_rows_once(embedded, other_tiny_bert, tmp_path):
    from univar.evaluate.against import other_stores

    said: list[str] = []
    name, stores = other_stores(str(other_tiny_bert), embedded, tmp_path / "work", said.append)
    assert len(said) == 2
    assert name == stores[0].encoder["id"] != embedded[0].encoder["id"]
    assert other_stores(str(other_tiny_bert), embedded, tmp_path / "work", said.append)[0] == name
    assert len(said) == 2
    report = evaluate(*embedded, against={name: stores}, k=(5,), bags=(), bootstrap=20, permutations=0)
    assert set(report.against) == {name}
    with pytest.raises(UsageError, match="--work"):
        other_stores(str(other_tiny_bert), embedded, None)
