"""Checks of a set of questions: what the shipped bank has to pass, and what a user's file is told."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from univar.questions.bank import Question
from univar.questions.lengths import LengthMatch, compare_lengths
from univar.questions.near import NEAR_DUPLICATE, Encode, near_pairs
from univar.questions.scripts import script_share
from univar.questions.values import Taxonomy

MIN_SCRIPT_SHARE = 0.9
MIN_LENGTH_P = 0.05
MIN_BALANCE = 0.5
"""A value with fewer questions than this share of the median value's is called unbalanced."""

_MODELS = re.compile(
    r"\b(chat\s?gpt|gpt-?\d\w*|openai|claude|anthropic|gemini|copilot|llama|mistral|mixtral|qwen|deepseek|grok|"
    r"language model|chatbot|as an ai|ai model)\b",
    re.IGNORECASE,
)
_QUESTION_MARKS = ("?", "？", "؟", "か。")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `check` says what kind, `question_id` where ("" for the whole set)."""

    check: str
    question_id: str
    detail: str


@dataclass(frozen=True)
class QuestionReport:
    """Counts, problems, and for each wording how the lengths of controls match those of value questions."""

    questions: int
    texts: int
    values: int
    controls: int
    languages: dict[str, int]
    core: int
    lengths: list[LengthMatch]
    problems: list[Problem]


def check_questions(
    questions: Sequence[Question],
    taxonomy: Taxonomy,
    encode: Encode | None = None,
    threshold: float = NEAR_DUPLICATE,
) -> QuestionReport:
    """Check `questions` against `taxonomy`.

    encode: makes the embeddings for near-duplicates among the English texts; None leaves that check out.
    Lengths are compared where there are controls, scripts where the language's is known, balance where values
    are named, and translations where some question is of the core set.
    """
    lengths = _lengths(questions)
    near = near_pairs([q for q in questions if q.language == "eng"], encode, threshold) if encode else []
    checks: list[Callable[[], Iterator[Problem]]] = [
        lambda: _texts(questions, taxonomy),
        lambda: _duplicates(questions),
        lambda: _wordings(questions),
        lambda: _balance(questions, taxonomy),
        lambda: _core(questions),
        lambda: (
            Problem("lengths", "", f"wording {match.wording}: controls differ in length, p = {match.p:.2g}")
            for match in lengths
            if match.p < MIN_LENGTH_P
        ),
        lambda: (
            Problem(
                "near-duplicate",
                pair.first.question_id,
                f"cosine {pair.cosine:.2f} with {pair.second.question_id}: {pair.second.question}",
            )
            for pair in near
        ),
    ]
    return QuestionReport(
        questions=len({question.question_id for question in questions}),
        texts=len(questions),
        values=len({question.value for question in questions if question.value}),
        controls=len({question.question_id for question in questions if question.kind == "control"}),
        languages=dict(Counter(question.language for question in questions)),
        core=len({question.question_id for question in questions if question.core}),
        lengths=lengths,
        problems=[problem for check in checks for problem in check()],
    )


def _texts(questions: Sequence[Question], taxonomy: Taxonomy) -> Iterator[Problem]:
    for question in questions:
        text, where = question.question, question.question_id
        if question.value and question.value not in taxonomy.values:
            yield Problem("unknown-value", where, f"{question.value!r} is not in the taxonomy")
        if text != " ".join(text.split()) or not text:
            yield Problem("white-space", where, "empty, or with line breaks, double or outer spaces")
        elif question.kind == "value" and not any(mark in text for mark in _QUESTION_MARKS):
            yield Problem("no-question", where, text)
        if named := _MODELS.search(text):
            yield Problem("names-model", where, f"names {named.group()!r}: {text}")
        share = script_share(text, question.language)
        if share is not None and share < MIN_SCRIPT_SHARE:
            yield Problem("script", where, f"{share:.0%} of the letters are {question.language}'s: {text}")


def _duplicates(questions: Sequence[Question]) -> Iterator[Problem]:
    """The same words twice, in one language or as a translation that is the English text."""
    seen: dict[tuple[str, str], Question] = {}
    for question in questions:
        words = " ".join(re.findall(r"\w+", question.question.casefold()))
        first = seen.setdefault((question.language, words), question)
        if first is not question:
            other = f"{first.question_id}, wording {first.wording}"
            yield Problem("duplicate", question.question_id, f"wording {question.wording} repeats {other}")
        if question.language != "eng" and ("eng", words) in seen:
            yield Problem("copied", question.question_id, f"{question.language}: the English text")


def _wordings(questions: Sequence[Question]) -> Iterator[Problem]:
    """Wordings of a question are numbered from 1 without gaps, in each language."""
    wordings: dict[tuple[str, str], list[int]] = defaultdict(list)
    for question in questions:
        wordings[question.question_id, question.language].append(question.wording)
    for (question_id, language), numbers in wordings.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield Problem("wordings", question_id, f"{language} has wordings {sorted(numbers)}, not 1 to n")


def _balance(questions: Sequence[Question], taxonomy: Taxonomy) -> Iterator[Problem]:
    pairs = {(question.value, question.question_id) for question in questions if question.value}
    counts = Counter(value for value, _ in pairs)
    if not counts:
        return
    median = float(np.median(list(counts.values())))
    families = {taxonomy.values[value].family for value in counts if value in taxonomy.values}
    for value in taxonomy.values.values():
        if value.family in families and counts[value.id] < MIN_BALANCE * median:
            yield Problem(
                "balance", "", f"{value.id}: {counts[value.id]} questions, half the values have {median:g}"
            )


def _core(questions: Sequence[Question]) -> Iterator[Problem]:
    """Core questions are in all languages that some core question of this set is in."""
    languages: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        if question.core:
            languages[question.question_id].add(question.language)
    wanted = set().union(*languages.values())
    for question_id, there in languages.items():
        missing = sorted(wanted - there)
        if missing:
            yield Problem("core", question_id, f"not in {', '.join(missing)}")


def _lengths(questions: Sequence[Question]) -> list[LengthMatch]:
    english = [question for question in questions if question.language == "eng"]
    matches = []
    for wording in sorted({question.wording for question in english}):
        values, controls = (
            np.array([len(q.question) for q in english if q.kind == kind and q.wording == wording])
            for kind in ("value", "control")
        )
        if len(values) and len(controls):
            matches.append(compare_lengths(wording, values, controls))
    return matches
