"""Languages, their kin and human values: what is compared, what is dropped, what is said."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.search.stores import write_store
from univar.compare.culture import culture, kinship_distances, kinship_similarity
from univar.compare.culture_text import facts, sentences, tables
from univar.errors import DataError
from univar.questions.cultures import languages, unread_languages
from univar.statistics.mantel import agreement
from univar.store import Store

MANY = ("eng", "deu", "swe", "spa", "pol", "rus", "fin", "jpn", "kor", "ind", "tur", "hin")
PLACES = ("usa", "germany", "sweden", "spain", "poland", "russia", "finland", "japan", "southkorea",
          "indonesia", "turkey", "india")  # fmt: skip
COUNTRY = dict(zip(MANY, PLACES, strict=True))


def store_of(
    path: Path, place: dict[str, np.ndarray], *, questions: int = 12, lost: tuple[str, ...] = ()
) -> Store:
    """Two models answer each question in each language, at its place; `lost` are asked other questions."""
    rng = np.random.default_rng(0)
    rows, vectors = [], []
    for question in range(questions):
        topic = rng.standard_normal(16)
        for language, at in place.items():
            for model in "ab":
                own = f"{language}{question}" if language in lost else f"q{question}"
                rows.append(
                    {
                        "model": model,
                        "language": language,
                        "question_id": own,
                        "question": f"{own} ?",
                        "answer": f"{model} {language} {question}",
                    }
                )
                vectors.append(topic + np.pad(at, (0, 14)) + 0.1 * rng.standard_normal(16))
    return write_store(path, rows, np.array(vectors))


def random_places(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {language: 2 * rng.standard_normal(2) for language in MANY}


def values_file(folder: Path, scores: dict[str, np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "inglehart_welzel_by_year.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["geo", "country", "year", "tradagg", "survsagg", "self_expression"])
        for language, (first, second) in scores.items():
            writer.writerow(["x", COUNTRY[language].capitalize(), 2018, first, -second, second])
    return folder


def test_values_that_the_answers_follow_are_compatible(tmp_path: Path) -> None:
    place = random_places()
    found = culture(store_of(tmp_path / "s", place), values_file(tmp_path / "t", place))
    (result,) = found.tables
    assert result.found.partial > 0.8
    assert result.p_holm < 0.01
    assert "compatible with" in sentences(found)[0]
    assert found.models == ["a", "b"]
    assert found.questions == 12


def test_values_that_they_do_not_follow_are_not(tmp_path: Path) -> None:
    found = culture(
        store_of(tmp_path / "s", random_places()), values_file(tmp_path / "t", random_places(seed=2))
    )
    assert "no sign of agreement" in sentences(found)[0]


def test_without_tables_distances_and_kinship_are_given(tmp_path: Path) -> None:
    found = culture(store_of(tmp_path / "s", random_places()))
    assert set(found.kinship) == {"family", "script", "geography"}
    assert not found.tables
    assert "nothing is said about cultures" in sentences(found)[0]
    assert found.distances.interval(0, 1).low is not None
    assert len(tables(found)) == 3
    json.dumps(facts(found), allow_nan=False)


def test_few_languages_can_only_suggest(tmp_path: Path) -> None:
    place = {language: at for language, at in random_places().items() if language in MANY[:5]}
    found = culture(store_of(tmp_path / "s", place), values_file(tmp_path / "t", place))
    assert "p cannot be below 0.12" in sentences(found)[0]
    three = {language: place[language] for language in MANY[:3]}
    few = culture(store_of(tmp_path / "u", three), tmp_path / "t")
    assert "too few to take kinship out" in sentences(few)[0]
    json.dumps(facts(few), allow_nan=False)


def test_languages_that_were_asked_other_questions_are_dropped_by_name(tmp_path: Path) -> None:
    place = {**random_places(), "xho": np.zeros(2)}
    found = culture(store_of(tmp_path / "s", place, lost=("rus", "fin")))
    assert set(found.dropped) == {"rus", "fin", "xho"}
    assert not {"rus", "fin"} & set(found.languages)
    text = "\n".join(sentences(found))
    assert "rus is left out" in text
    assert "xho is left out: the table of languages does not have it" in text


def test_no_common_questions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="same questions in each language"):
        culture(store_of(tmp_path / "s", random_places(), lost=MANY[1:]))
    with pytest.raises(DataError, match="no 3 languages"):
        culture(store_of(tmp_path / "t", {"eng": np.zeros(2)}))
    with pytest.raises(DataError, match="no 3 languages"):
        culture(store_of(tmp_path / "u", random_places(), questions=1))


def test_identical_vectors_and_nan_are_told(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", random_places())
    whole = np.asarray(store.embeddings)
    store.embeddings_of_part = lambda name: np.ones_like(whole)  # type: ignore[method-assign]
    with pytest.raises(DataError, match="same vectors"):
        culture(store)
    whole[:3] = np.nan
    store.embeddings_of_part = lambda name: whole  # type: ignore[method-assign]
    found = culture(store)
    assert found.notes[0].startswith("3 rows left out")
    assert np.isfinite(found.distances.d2).all()


def test_tables_of_another_kind_are_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", random_places())
    with pytest.raises(DataError, match="holds none of"):
        culture(store, tmp_path)
    (tmp_path / "hofstede_6d_2015.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is no CSV file with country"):
        culture(store, tmp_path)


def test_the_table_of_languages_is_whole() -> None:
    table = languages()
    assert len(table) >= 50
    for code, language in table.items():
        assert len(code) == 3
        assert len(language.family) == 4
        assert language.script
        assert -90 <= language.place[0] <= 90
        assert -180 <= language.place[1] <= 180
    for control in kinship_distances(list(table)).values():
        np.testing.assert_array_equal(control, control.T)
        assert not np.diag(control).any()
    np.testing.assert_allclose(
        kinship_distances(["dan", "swe", "eng", "jpn"])["family"][0], [0, 1 - 4 / 5, 1 - 2 / 5, 1]
    )


def test_brownian_noise_on_the_tree_and_neighbourhood_is_not_called_culture() -> None:
    """The short form of benchmarks/culture_level.py, which draws 1,000."""
    called = 0
    for seed in range(100):
        rng = np.random.default_rng([3, seed])
        codes = sorted(rng.permutation(sorted(languages()))[:15].tolist())
        called += null_p(codes, rng) <= 0.05
    assert called <= 12  # at a true rate of 5 %, 12 of 100 or more come once in 250 times


def null_p(codes: list[str], rng: np.random.Generator) -> float:
    """p of two unrelated sides that both follow the tree and, at another range than the test's, the map."""
    from univar.questions.cultures import family_distances, place_distances

    spread = 1 - family_distances(codes) + np.exp(-place_distances(codes) / 1000)
    root = np.linalg.cholesky(spread + 1e-9 * np.eye(len(codes)))
    x, y = root @ rng.standard_normal((len(codes), 20)), root @ rng.standard_normal((len(codes), 2))
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)
    return agreement(apart, y, list(kinship_distances(codes).values()), kinship_similarity(codes)).partial_p


def test_an_encoder_that_reads_english_only_is_told() -> None:
    assert unread_languages("univar-2-multilingual", ["eng", "deu"]) is None
    assert unread_languages("minilm", ["eng"]) is None
    told = str(unread_languages("minilm", ["fra", "eng", "deu"]))
    assert "what it makes of deu, fra is not to be trusted" in told
