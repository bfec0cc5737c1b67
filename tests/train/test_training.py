"""A run from answers to an encoder: what it learns, when it stops, what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.train.conftest import losses, metrics, quick, run, styled_rows, weights_of, write_rows
from univar import Encoder
from univar.encoder.tokenizer import load_tokenizer
from univar.errors import UsageError
from univar.train.corpus import build_corpus
from univar.train.gradients import Backpropagation
from univar.train.metrics import open_tracker
from univar.train.validation import Validation, Validator, split_questions

TEXTS = ["Q: why law ? A: we care", "Q: who ? A: trust and duty , keep calm", "Q: a A: b"]


def test_training_learns_to_tell_sources_apart(tiny_bert: Path, tmp_path: Path) -> None:
    corpus = write_rows(tmp_path / "corpus.jsonl", styled_rows(questions=40))
    settings = quick(
        tiny_bert, steps=60, batch=16, learning_rate=3e-3, held_out=0.25, validate_every=20, patience=99
    )
    facts = run(corpus, tmp_path / "out", settings).facts
    assert facts["chance"] == pytest.approx(0.25)
    assert facts["best_accuracy"] > facts["first_accuracy"] + 0.2
    recorded = [
        line["validation_accuracy"] for line in metrics(tmp_path / "out") if "validation_accuracy" in line
    ]
    assert max(recorded) == facts["best_accuracy"]
    assert facts["accuracy"] > facts["first_accuracy"] + 0.2  # with the base mixed in


def test_finished_weights_are_mixed_with_the_base(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    settings = quick(tiny_bert, learning_rate=1e-2, base_share=0.0)
    run(corpus_file, tmp_path / "pure", settings)
    run(corpus_file, tmp_path / "mixed", replace(settings, base_share=0.25))
    run(corpus_file, tmp_path / "base", replace(settings, steps=1, learning_rate=1e-12))
    base, pure, mixed = (weights_of(tmp_path / name) for name in ("base", "pure", "mixed"))
    assert max(np.abs(pure[name] - base[name]).max() for name in base) > 0.01
    for name in base:
        np.testing.assert_allclose(mixed[name], 0.75 * pure[name] + 0.25 * base[name], atol=1e-6)


def test_no_better_validations_stop_the_run_and_the_best_weights_are_kept(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    settings = quick(
        tiny_bert, steps=500, learning_rate=0.3, clip=1e9, held_out=0.3, validate_every=2, patience=3,
        schedule="inverse_sqrt", depth=1.0,
    )  # fmt: skip
    facts = run(corpus_file, tmp_path / "out", settings).facts
    assert facts["stopped"] == "3 validations without improvement"
    found = [
        line["validation_accuracy"] for line in metrics(tmp_path / "out") if "validation_accuracy" in line
    ]
    assert facts["steps"] == 2 * int(np.argmax(found)) + 6
    assert facts["best_accuracy"] == max(found)
    if facts["kept_step"] == 0:
        got, base = Encoder(tmp_path / "out", dtype="fp32"), Encoder(tiny_bert, dtype="fp32")
        np.testing.assert_allclose(got.encode(TEXTS), base.encode(TEXTS), atol=1e-6)


def test_the_last_weights_as_good_as_the_best_are_kept(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred queries: 0.47 is as good as 0.5, 0.44 is not."""
    found = iter([0.1, 0.5, 0.47, 0.44])
    seen: list[list[np.ndarray]] = []

    def validation(_: Validator, backpropagation: Backpropagation) -> Validation:
        seen.append([parameter.detach().numpy().copy() for parameter in backpropagation.parameters])
        return Validation(next(found), 0.25, 100)

    monkeypatch.setattr(Validator, "run", validation)
    settings = quick(tiny_bert, steps=6, learning_rate=1e-2, held_out=0.3, validate_every=2, base_share=0.0)
    facts = run(corpus_file, tmp_path / "out", settings).facts
    assert (facts["kept_step"], facts["accuracy"], facts["best_accuracy"]) == (4, 0.47, 0.5)
    word = weights_of(tmp_path / "out")["embeddings.word_embeddings.weight"]
    assert [any(np.array_equal(word, matrix) for matrix in step) for step in seen] == [0, 0, 1, 0]


def test_a_question_is_trained_on_or_held_out_never_both(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    corpus = build_corpus([corpus_file], load_tokenizer(tiny_bert, 64), cache=tmp_path, tokenizer_id="t")
    train, held_out = split_questions(corpus, 0.3, seed=1)
    assert sorted([*train, *held_out]) == list(range(len(corpus)))
    assert len(held_out)
    assert not np.intersect1d(corpus.questions[train], corpus.questions[held_out]).size


def test_the_clock_ends_a_run(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    facts = run(corpus_file, tmp_path / "out", quick(tiny_bert, steps=None, budget_minutes=1e-6)).facts
    assert (facts["steps"], facts["stopped"]) == (1, "time budget of 1e-06 minutes used up")
    with pytest.raises(UsageError, match="--steps, --epochs or --budget-minutes"):
        run(corpus_file, tmp_path / "other", quick(tiny_bert, steps=None))


def test_learning_rate_warms_up_and_falls_to_zero(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    run(corpus_file, tmp_path / "out", quick(tiny_bert, steps=10, learning_rate=1e-3, warmup_steps=4))
    rates = [line["learning_rate"] for line in metrics(tmp_path / "out")]
    np.testing.assert_allclose(rates[:4], [0, 2.5e-4, 5e-4, 7.5e-4])
    assert all(np.diff(rates[4:]) < 0)
    assert rates[-1] < 1e-4


def test_the_lowest_layers_alone_are_trained_and_written(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    facts = run(corpus_file, tmp_path / "out", quick(tiny_bert, depth=0.5, learning_rate=1e-12)).facts
    assert facts["layers"] == 1
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 1
    assert not [name for name in weights_of(tmp_path / "out") if ".layer.1." in name]
    got = Encoder(tmp_path / "out", dtype="fp32").encode(TEXTS)
    assert np.abs(got - Encoder(tiny_bert, dtype="fp32").encode(TEXTS)).max() > 0.01
    adapter = run(corpus_file, tmp_path / "adapter", quick(tiny_bert, depth=0.5, lora_rank=2)).facts
    assert adapter["layers"] == 2
    with pytest.raises(UsageError, match=r"depth must be above 0 and at most 1, got 1\.5"):
        quick(tiny_bert, depth=1.5)


def test_exported_folder_opens_in_sentence_transformers(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers", reason="needs the extra [minilm]")
    run(corpus_file, tmp_path / "out", quick(tiny_bert, learning_rate=0.01))
    got = Encoder(tmp_path / "out", dtype="fp32").encode(TEXTS)
    expected = library.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    assert (got * expected).sum(axis=1).min() >= 0.99999
    card = (tmp_path / "out" / "README.md").read_text()
    assert "corpus.jsonl: 96 answers of 4 sources" in card
    assert json.loads((tmp_path / "out" / "training" / "training.json").read_text())["steps"] == 4
    assert not (tmp_path / "out.run").exists()


def test_command_takes_recipe_options_and_settings(
    univar: Run,
    tiny_bert: Path,
    corpus_file: Path,
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'base = "{tiny_bert}"\nsteps = 99\nbatch = 8\nmax_length = 48\n[views]\nbalance = 1.0\n'
    )
    options = [
        "--steps",
        "2",
        "--qa-per-view",
        "1-2",
        "--set",
        "views.matched=false",
        "--set",
        "symmetric=false",
    ]
    done = univar("train", corpus_file, "-o", tmp_path / "out", "--recipe", recipe, *options, "--json")
    assert done.exit_code == 0, done.stderr
    settings = json.loads(done.stdout)["settings"]
    assert settings["steps"] == 2
    assert settings["epochs"] is None
    assert settings["views"] == {
        "qa_per_view": [1, 2], "overlap": False, "matched": False, "balance": 1.0, "weigh": "questions",
        "block": 16,
    }  # fmt: skip
    assert settings["symmetric"] is False
    assert len(losses(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "paper-lambda-7"], "unknown preset 'paper-lambda-7'"),
        (["--qa-per-view", "five"], "'five' is not a number or a range"),
        (["--set", "batch"], "not KEY=VALUE"),
        (["--set", "batsch=3"], "unknown setting 'batsch'"),
    ],
)
def test_command_names_what_makes_no_sense(
    univar: Run,
    corpus_file: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
) -> None:
    done = univar("train", corpus_file, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_trackers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown tracker"):
        open_tracker("paper", tmp_path, {})
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    tracker = open_tracker("tensorboard", tmp_path, {})
    assert tracker is not None
    tracker.write(0, {"loss": 1.0})
    tracker.close()
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_share_of_tokens_that_the_base_lacks(tiny_bert: Path, tmp_path: Path, univar: Run) -> None:
    rows = styled_rows()
    for row in rows[::2]:
        row["answer"] += " 好 好 好 好 好"
    corpus = write_rows(tmp_path / "corpus.jsonl", rows)
    folder = build_corpus([corpus], load_tokenizer(tiny_bert, 64), cache=tmp_path, tokenizer_id="t")
    unknown = json.loads((tiny_bert / "tokenizer.json").read_text())["model"]["vocab"]["[UNK]"]
    assert folder.counts.unknown_tokens == np.count_nonzero(folder.ids == unknown) == 5 * len(rows[::2])
    options = ("--base", tiny_bert, "--steps", "1", "--batch", "8", "--set", "validate_every=0")
    done = univar("train", corpus, "-o", tmp_path / "out", *options)
    share = 100 * folder.counts.unknown_tokens / len(folder.ids)
    assert f"{share:.1f} % of the answers' tokens are unknown to" in done.stderr
    plain = write_rows(tmp_path / "plain.jsonl", styled_rows())
    assert "unknown to" not in univar("train", plain, "-o", tmp_path / "plain", *options).stderr
