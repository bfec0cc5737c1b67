"""Drafts by a model: from value to situation to question, and further wordings."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from univar.questions import Question
from univar.questions.generate import SETTINGS, generate_questions, paraphrase_questions
from univar.questions.values import load_taxonomy

WISDOM = load_taxonomy().values["terminal-wisdom"]
HIERARCHY = load_taxonomy().values["orientation-hierarchy"]


class Model:
    """Answers each step with the next of its texts and keeps the prompts."""

    def __init__(self, **answers: Sequence[str | None]) -> None:
        self.answers = {step: list(texts) for step, texts in answers.items()}
        self.prompts: dict[str, list[str]] = {}

    def __call__(self, prompts: Sequence[str], step: str) -> list[str | None]:
        self.prompts.setdefault(step, []).extend(prompts)
        return [self.answers[step].pop(0) for _ in prompts]


def test_a_value_becomes_situations_and_these_become_questions() -> None:
    model = Model(
        situations=["Situation: An old man is asked.", "A child {knows} best."],
        questions=["Question: Whom do you ask?", '**"Do you trust the child?"**\nBecause it is wise.'],
    )
    drafts = generate_questions([WISDOM], 2, model)
    assert [question.question for question in drafts.questions] == [
        "Whom do you ask?",
        "Do you trust the child?",
    ]
    assert [question.question_id for question in drafts.questions] == [
        "terminal-wisdom-g01",
        "terminal-wisdom-g02",
    ]
    assert {question.value for question in drafts.questions} == {"terminal-wisdom"}
    assert (drafts.asked, drafts.discarded) == ({"situations": 2, "questions": 2}, {})
    assert "A child {knows} best." in model.prompts["questions"][1]


def test_the_prompt_names_value_opposite_and_a_setting_each_time() -> None:
    count = len(SETTINGS) + 1
    model = Model(situations=["S."] * count, questions=[f"Is it {n}?" for n in range(count)])
    generate_questions([HIERARCHY], count, model)
    prompts = model.prompts["situations"]
    assert all(HIERARCHY.definition in prompt and HIERARCHY.opposite in prompt for prompt in prompts)
    assert all(setting in prompt for setting, prompt in zip(SETTINGS, prompts, strict=False))
    assert len(set(prompts)) == count


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "no answer"),
        ("  \n ", "no answer"),
        ("You should ask him.", "not a question"),
        ("Is " + "very " * 60 + "long?", "more than 60 words"),
        ("Whom do you ask?", "repeats another question"),
    ],
)
def test_a_useless_answer_is_counted_with_its_reason(answer: str | None, reason: str) -> None:
    model = Model(situations=["One.", "Two."], questions=["Whom do you ask?", answer])
    drafts = generate_questions([WISDOM], 2, model)
    assert len(drafts.questions) == 1
    assert drafts.discarded == {reason: 1}


def test_a_missing_situation_is_counted_and_not_asked_about() -> None:
    model = Model(situations=[None, None])
    drafts = generate_questions([WISDOM], 2, model)
    assert drafts.questions == ()
    assert (drafts.asked, drafts.discarded) == ({"situations": 2, "questions": 0}, {"no situation": 2})


def test_further_wordings_are_numbered_on_and_see_the_earlier_ones() -> None:
    first = Question("q1", 1, "eng", "May one lie?", "instrumental-honest")
    french = Question("q1", 1, "fra", "A-t-on le droit de mentir ?", "instrumental-honest")
    model = Model(
        wordings=["Is lying allowed?", "Peut-on mentir ?", "may one lie?", "Mentir, est-ce permis ?"]
    )
    drafts = paraphrase_questions([first, french], 2, model)
    texts = {(q.language, q.wording): q.question for q in drafts.questions}
    assert texts == {
        ("eng", 1): "May one lie?",
        ("eng", 2): "Is lying allowed?",
        ("fra", 1): "A-t-on le droit de mentir ?",
        ("fra", 2): "Peut-on mentir ?",
        ("fra", 3): "Mentir, est-ce permis ?",
    }
    assert (drafts.asked, drafts.discarded) == ({"wordings": 4}, {"repeats another question": 1})
    assert "Is lying allowed?" in model.prompts["wordings"][2]
