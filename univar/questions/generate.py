"""New questions and wordings, written by a model: value -> situation -> question -> more wordings.

The prompts are the files in `prompts/`. A model writes drafts, which people have to read and check.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from univar.questions.bank import Question
from univar.questions.values import Value

PROMPTS = Path(__file__).with_name("prompts")

SETTINGS = (
    "at work",
    "in a family",
    "among neighbours",
    "with money",
    "at school or university",
    "in a hospital or when somebody is ill",
    "online",
    "in public life, such as a town council, a court or the street",
    "among friends",
    "on a journey",
    "in a club, a choir or a team",
    "in a shop, a restaurant or a workshop",
)
MAX_WORDS = 60

AskModel = Callable[[Sequence[str], str], list[str | None]]
"""(prompts, name of the step) to one answer per prompt, None if the model gave none."""

_LABEL = re.compile(
    r"^(?:#+\s*|\**(?:new wording|question|situation|wording)\**\s*:\s*|\d+[.)]\s+|[-*]\s+)+", re.I
)
_QUOTES = "\"'“”„«»「」 *"


@dataclass(frozen=True)
class Drafts:
    """The questions, the number of prompts per step, and how many answers were discarded per reason."""

    questions: tuple[Question, ...]
    asked: dict[str, int]
    discarded: dict[str, int]


def generate_questions(values: Sequence[Value], n: int, ask: AskModel) -> Drafts:
    """`n` drafts of English questions for each of `values`; fewer if answers of the model are useless.

    Each situation and each question is requested once, so even a useless model ends after 2 n prompts per
    value. Situations take their settings from SETTINGS in turn. Ids are `<value>-g<number>`.
    """
    wanted = [(value, number) for value in values for number in range(1, n + 1)]
    situations = ask([_situation_prompt(value, number) for value, number in wanted], "situations")
    discarded: Counter[str] = Counter()
    told = [(key, _one_line(text)) for key, text in zip(wanted, situations, strict=True)]
    discarded["no situation"] = sum(not text for _, text in told)
    told = [(key, text) for key, text in told if text]
    answers = ask([_prompt("question", situation=text) for _, text in told], "questions") if told else []
    made: dict[str, Question] = {}
    for ((value, number), _), answer in zip(told, answers, strict=True):
        text, fault = _question_text(answer, made)
        if fault:
            discarded[fault] += 1
        else:
            made[text.casefold()] = Question(f"{value.id}-g{number:02d}", 1, "eng", text, value.id)
    asked = {"situations": len(wanted), "questions": len(told)}
    return Drafts(tuple(made.values()), asked, +discarded)


def paraphrase_questions(questions: Sequence[Question], n: int, ask: AskModel) -> Drafts:
    """`questions` with up to `n` more wordings of each question in each of its languages.

    The model sees all wordings so far, so that it writes a different one.
    """
    wordings: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        wordings.setdefault((question.question_id, question.language), []).append(question)
    known = {question.question.casefold(): question for question in questions}
    discarded: Counter[str] = Counter()
    groups = list(wordings.values())
    for _ in range(n):
        answers = ask([_prompt("paraphrase", wordings=_listed(group)) for group in groups], "wordings")
        for group, answer in zip(groups, answers, strict=True):
            text, fault = _question_text(answer, known)
            if fault:
                discarded[fault] += 1
                continue
            last = max(group, key=lambda question: question.wording)
            known[text.casefold()] = replace(last, wording=last.wording + 1, question=text)
            group.append(known[text.casefold()])
    made = tuple(question for group in groups for question in group)
    return Drafts(made, {"wordings": n * len(groups)}, +discarded)


def _situation_prompt(value: Value, number: int) -> str:
    setting = SETTINGS[(number - 1) % len(SETTINGS)]
    if number > len(SETTINGS):
        setting += f" (situation {(number - 1) // len(SETTINGS) + 1} in this setting: find an unusual one)"
    opposite = value.opposite or "what people give up for it"
    return _prompt(
        "situation", name=value.name, definition=value.definition, opposite=opposite, setting=setting
    )


def _prompt(file: str, **fields: str) -> str:
    """The prompt file with its `{fields}` filled in; braces inside the filled-in texts stay as they are."""
    text = (PROMPTS / f"{file}.txt").read_text(encoding="utf-8").rstrip("\n")
    return re.sub(r"\{(\w+)\}", lambda match: fields[match.group(1)], text)


def _listed(group: Sequence[Question]) -> str:
    return "\n".join(f"Wording {place}: {question.question}" for place, question in enumerate(group, start=1))


def _one_line(text: str | None) -> str:
    return _LABEL.sub("", " ".join((text or "").split())).strip(_QUOTES)


def _question_text(answer: str | None, known: dict[str, Question]) -> tuple[str, str]:
    """(question, "") from a model's answer, or ("", reason) if it has none."""
    lines = [line.strip() for line in (answer or "").splitlines() if line.strip()]
    text = _one_line(lines[0]) if lines else ""
    if not text:
        return "", "no answer"
    if not text.endswith(("?", "？", "؟", "か。")):
        return "", "not a question"
    if len(text.split()) > MAX_WORDS:
        return "", f"more than {MAX_WORDS} words"
    if text.casefold() in known:
        return "", "repeats another question"
    return text, ""
