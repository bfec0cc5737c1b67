"""Value training: losses by plain loops, planted values found, the held-out fold in no loss, resuming."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.conftest import Run
from tests.cli.conftest import univar as univar
from tests.conftest import answer_rows, write_jsonl
from tests.train.conftest import weights_of
from univar.answers.labelled import read_labelled
from univar.encoder.checkpoint import load_weights
from univar.encoder.config import read_config
from univar.encoder.encoder import Encoder
from univar.errors import DataError, UsageError
from univar.train.values.distil import mapped_cosine, principal
from univar.train.values.folds import fold_of
from univar.train.values.loop import ValueRun
from univar.train.values.objective import LabelObjective, TeacherObjective, least_squares, within_question
from univar.train.values.run import RunOptions, ValueReport, distil, train_values
from univar.train.values.settings import ValueSettings
from univar.train.values.texts import bank_pairs, sentences, sentences_of

VALUES = {"Tradition": "duty", "Security: personal": "trust", "Power: dominance": "lead"}
FILLER = ("care", "law", "free", "risk", "work", "rest", "share", "keep", "give", "calm", "fair", "kind")


def labelled_file(path: Path, questions: int = 20, each: int = 8, flip_fold: int | None = None) -> Path:
    """Answers that carry a value when they have its word, and hide it among others."""
    chance = random.Random(0)
    rows = []
    for q in range(questions):
        question = f"why {FILLER[q % len(FILLER)]} {q} ?"
        for _ in range(each):
            held = [name for name in VALUES if chance.random() < 0.4]
            words = [VALUES[name] for name in held] + chance.choices(FILLER, k=9)
            chance.shuffle(words)
            if flip_fold is not None and fold_of([question], 5)[0] == flip_fold:
                held, words = [], ["no"]
            rows.append({"question": question, "answer": " ".join(words), "values": held})
    return write_jsonl(path, rows)


def settings_for(base: Path, **changes: Any) -> ValueSettings:
    start: dict[str, Any] = {
        "base": str(base),
        "epochs": 3,
        "batch": 16,
        "learning_rate": 2e-3,
        "dtype": "fp32",
    }
    return ValueSettings.from_dict({"held_out": 0, **start, **changes})


def train(
    labels: Path, out: Path, base: Path, options: RunOptions | None = None, **changes: Any
) -> ValueReport:
    return train_values(labels, out, settings_for(base, **changes), options or RunOptions(threads=1))


def test_pairs_within_a_question_equal_a_plain_loop() -> None:
    draw = np.random.default_rng(0)
    odds = torch.tensor(draw.standard_normal((9, 3)))
    labels = torch.tensor(draw.random((9, 3)) < 0.5)
    questions = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2])
    losses = [
        float(torch.log1p(torch.exp(odds[j, v] - odds[i, v])))
        for i in range(9)
        for j in range(9)
        for v in range(3)
        if questions[i] == questions[j] and labels[i, v] and not labels[j, v]
    ]
    assert float(within_question(odds, labels, questions)) == pytest.approx(np.mean(losses))
    assert float(within_question(odds, torch.zeros_like(labels), questions)) == 0


def test_a_student_that_is_the_teacher_but_for_a_rotation_loses_nothing() -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((200, 12)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    turned = x @ np.linalg.qr(draw.standard_normal((12, 12)))[0].astype(np.float32)
    objective = TeacherObjective(least_squares(x, turned, ridge=0.0))
    assert float(objective(torch.from_numpy(x), torch.from_numpy(turned)).detach()) == pytest.approx(
        0, abs=1e-5
    )
    other = torch.from_numpy(np.roll(turned, 1, axis=0).copy())
    assert float(objective(torch.from_numpy(x), other).detach()) > 0.5
    rows = np.arange(200)
    assert mapped_cosine(x, turned, rows[:100], rows[100:]).estimate > 0.99


def test_principal_axes_keep_similarities() -> None:
    draw = np.random.default_rng(1)
    x = draw.standard_normal((50, 3)) @ draw.standard_normal((3, 40))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    kept = principal(x, 3)
    assert kept.shape == (50, 3)
    np.testing.assert_allclose(kept @ kept.T, x @ x.T, atol=1e-5)


def test_a_fold_is_the_same_on_every_machine() -> None:
    assert fold_of(["We should ban human cloning", "b", "b", ""], 5).tolist() == [1, 0, 0, 4]


def test_training_finds_planted_values_on_questions_that_it_did_not_see(
    tmp_path: Path, tiny_bert: Path
) -> None:
    labels = labelled_file(tmp_path / "labels.jsonl", questions=40)
    report = train(labels, tmp_path / "out", tiny_bert, epochs=6)
    before, after = report.facts["before"], report.facts["after"]
    assert before["high"] < after["low"] or after["estimate"] > before["estimate"] + 0.03
    assert after["estimate"] > 0.9
    assert f"{before['estimate']:.3f}" in report.summary()
    assert not (tmp_path / "out.run").exists()
    assert json.loads((tmp_path / "out" / "training" / "training.json").read_text())["after"] == after


def test_the_held_out_fold_is_in_no_loss(tmp_path: Path, tiny_bert: Path) -> None:
    one = labelled_file(tmp_path / "one.jsonl")
    other = labelled_file(tmp_path / "other.jsonl", flip_fold=0)
    assert one.read_text() != other.read_text()
    for path in (one, other):
        train(path, tmp_path / path.stem, tiny_bert, epochs=1)
    a, b = (weights_of(tmp_path / name) for name in ("one", "other"))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    train(other, tmp_path / "all", tiny_bert, epochs=1, held_out=None)
    assert any(not np.array_equal(a[name], it) for name, it in weights_of(tmp_path / "all").items())


def test_only_the_upper_layers_move(tmp_path: Path, tiny_bert: Path) -> None:
    labels = labelled_file(tmp_path / "labels.jsonl")
    train(labels, tmp_path / "out", tiny_bert, epochs=1, trained_layers=1)
    base, after = (load_weights(read_config(folder)) for folder in (tiny_bert, tmp_path / "out"))
    assert np.array_equal(base.word, after.word)
    moved = [
        not np.array_equal(a.up.weight, b.up.weight) for a, b in zip(base.layers, after.layers, strict=True)
    ]
    assert moved == [False, True]
    with pytest.raises(UsageError, match="has 2 layers"):
        train(labels, tmp_path / "more", tiny_bert, trained_layers=3)


def test_a_stopped_run_resumes_bit_for_bit(tmp_path: Path, tiny_bert: Path) -> None:
    labels = labelled_file(tmp_path / "labels.jsonl")
    train(labels, tmp_path / "whole", tiny_bert)
    steps = iter(range(100))
    stopped = train(
        labels, tmp_path / "parts", tiny_bert, RunOptions(threads=1, should_stop=lambda: next(steps) == 7)
    )
    assert stopped.folder is None
    assert stopped.facts["steps"] == 8
    assert "--resume" in stopped.summary()
    with pytest.raises(UsageError, match="--resume"):
        train(labels, tmp_path / "parts", tiny_bert)
    with pytest.raises(UsageError, match="other settings"):
        train(labels, tmp_path / "parts", tiny_bert, RunOptions(threads=1, resume=True), seed=7)
    train(labels, tmp_path / "parts", tiny_bert, RunOptions(threads=1, resume=True))
    a, b = (weights_of(tmp_path / name) for name in ("whole", "parts"))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_a_run_that_is_killed_while_it_is_measured_resumes(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labelled_file(tmp_path / "labels.jsonl")
    with monkeypatch.context() as broken:
        broken.setattr(ValueRun, "embed", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(labels, tmp_path / "out", tiny_bert, epochs=1)
    assert not (tmp_path / "out").exists()
    report = train(labels, tmp_path / "out", tiny_bert, RunOptions(threads=1, resume=True), epochs=1)
    assert report.facts["after"] is not None
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_student_comes_nearer_to_its_teacher(
    tmp_path: Path, tiny_bert: Path, other_tiny_bert: Path
) -> None:
    rows = [{**row, "language": "eng"} for row in answer_rows(300)]
    corpus = write_jsonl(tmp_path / "answers.jsonl", rows)
    labels = labelled_file(tmp_path / "labels.jsonl")
    settings = settings_for(tiny_bert, teacher=str(other_tiny_bert), learning_rate=1e-3, teacher_dims=16)
    report = distil([corpus], tmp_path / "student", settings, RunOptions(threads=1), labels)
    seen = [q for q in read_labelled(labels).questions if fold_of([q], 5)[0] != 0]
    assert report.facts["texts"] - report.facts["sentences"] == 2 * len(seen)
    assert report.facts["after"]["estimate"] > report.facts["before"]["estimate"]


def test_a_distillation_that_goes_on_does_not_ask_its_teacher_again(
    tmp_path: Path, tiny_bert: Path, other_tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_jsonl(tmp_path / "a.jsonl", [{**row, "language": "eng"} for row in answer_rows(200)])
    settings = settings_for(tiny_bert, teacher=str(other_tiny_bert), teacher_dims=16)
    distil([corpus], tmp_path / "whole", settings, RunOptions(threads=1))
    asked: list[int] = []
    plain = Encoder.encode

    def counted(self: Encoder, texts: Any, **how: Any) -> np.ndarray:
        asked.append(len(texts))
        return plain(self, texts, **how)

    monkeypatch.setattr(Encoder, "encode", counted)
    steps = iter(range(99))
    stop = RunOptions(threads=1, should_stop=lambda: next(steps) == 1)
    assert distil([corpus], tmp_path / "parts", settings, stop).folder is None
    assert len(asked) == 1
    distil([corpus], tmp_path / "parts", settings, RunOptions(threads=1, resume=True))
    assert len(asked) == 1
    a, b = (weights_of(tmp_path / name) for name in ("whole", "parts"))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_sentences_are_neither_short_nor_long_and_drawn_by_their_text(tmp_path: Path) -> None:
    assert sentences(f"Short. {'a' * 50}. {'b' * 400}. {'c' * 45}!") == [f"{'a' * 50}.", f"{'c' * 45}!"]
    texts = [f"this is sentence number {n} of the whole collection." for n in range(40)]
    rows = [
        {"model": "m", "language": language, "question": "q ?", "answer": text}
        for text in texts
        for language in ("eng", "spa")
    ]
    corpus = write_jsonl(tmp_path / "a.jsonl", rows)
    turned = write_jsonl(tmp_path / "b.jsonl", rows[::-1])
    found = sentences_of([corpus], 10)
    assert len(found) == 10
    assert found.sentences == 40
    assert found.student == sentences_of([turned], 10).student
    with pytest.raises(DataError, match="no sentence of 40 to 300 characters in deu"):
        sentences_of([corpus], 10, "deu")


def test_questions_of_the_bank_stand_beside_their_english() -> None:
    pairs = bank_pairs()
    assert len(pairs) > 500
    assert all(there != english for there, english in zip(pairs.student, pairs.teacher, strict=True))


def test_heads_start_from_the_probe() -> None:
    from univar.heads.lda import LinearHead

    draw = np.random.default_rng(0)
    head = LinearHead(draw.standard_normal((4, 2)).astype(np.float32), np.zeros(2, np.float32))
    objective = LabelObjective(head, 1.0, 0.5)
    np.testing.assert_array_equal(objective.head.detach().numpy(), head.weights)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--task", "sources", "--teacher", "minilm"], "--teacher goes with --task distil"),
        (["--task", "values", "--teacher", "minilm"], "no --teacher"),
        (["--task", "distil"], "name the encoder to learn from: --teacher"),
        (["--task", "values", "--set", "pairwize=1"], "unknown setting 'pairwize'"),
        (["--task", "values", "--set", "held_out=9"], "a fold from 0 to 4"),
        (["--task", "values", "--lora-rank", "4"], "--lora-rank is of --task sources"),
        (["--task", "values", "--preset", "paper-lambda-1"], "is of --task sources"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    tmp_path: Path, univar: Run, tiny_bert: Path, arguments: list[str], told: str
) -> None:
    labels = labelled_file(tmp_path / "labels.jsonl")
    done = univar("train", labels, "-o", tmp_path / "out", "--base", tiny_bert, *arguments)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_trains_and_reports(tmp_path: Path, univar: Run, tiny_bert: Path) -> None:
    labels = labelled_file(tmp_path / "labels.jsonl")
    done = univar(
        "train", labels, "-o", tmp_path / "out", "--task", "values", "--base", tiny_bert, "--epochs", "1",
        "--set", "held_out=0", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["task"] == "values"
    assert facts["values"] == sorted(VALUES)
    unlabelled = write_jsonl(tmp_path / "plain.jsonl", answer_rows(4))
    done = univar("train", unlabelled, "-o", tmp_path / "no", "--task", "values", "--base", tiny_bert)
    assert done.exit_code == 3
    assert "has no columns question, answer and values" in done.stderr
