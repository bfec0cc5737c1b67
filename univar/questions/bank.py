"""The shipped question bank.

english/<family>.toml   one table per value: question number to two wordings
controls.toml           the same, one table per kind of question that elicits no value
core/<language>.toml    question id to its translation by hand (first wording only), for the core set
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.errors import DataError, UsageError, did_you_mean
from univar.files import read_toml
from univar.schema import language_family

FOLDER = Path(__file__).parent
CORE_LANGUAGES = ("eng", "zho", "spa", "fra", "arb", "hin", "por", "rus", "jpn", "deu", "ind", "swh")
KINDS = ("value", "control")


@dataclass(frozen=True)
class Question:
    """One wording of one question in one language.

    question_id: shared by all wordings and languages of a question
    wording: number of the wording, from 1
    language: ISO 639-3
    question: the text to ask
    value: id of the value it elicits; "" for a control, or if a user's file has none
    kind: "value" or "control"
    core: whether the question is in the core set, which exists in all of CORE_LANGUAGES
    """

    question_id: str
    wording: int
    language: str
    question: str
    value: str = ""
    kind: str = "value"
    core: bool = False


@functools.cache
def load_bank() -> tuple[Question, ...]:
    """All shipped questions: English by value, then controls, then the core set by language."""
    from univar.questions.values import load_taxonomy

    translations = {path.stem: _translations(path) for path in sorted((FOLDER / "core").glob("*.toml"))}
    core = {question_id for texts in translations.values() for question_id in texts}
    english = [
        question
        for family in load_taxonomy().families
        for question in _english(FOLDER / "english" / f"{family}.toml", family, "value", core)
    ]
    controls = list(_english(FOLDER / "controls.toml", "control", "control", core))
    by_id = {question.question_id: question for question in english}
    return (*english, *controls, *_core(translations, by_id))


def select(
    questions: Iterable[Question],
    *,
    languages: Collection[str] = (),
    values: Collection[str] = (),
    kind: str | None = None,
    core: bool = False,
    wordings: int | None = None,
) -> tuple[Question, ...]:
    """Those of `questions` in `languages`, for `values`, of `kind` and, with `core`, in the core set.

    An empty collection or None does not restrict. wordings: the most wordings per question. Raises UsageError
    for an unknown kind, and for a language or value that no question has.
    """
    questions = tuple(questions)
    languages = {language_family(language)[0] for language in languages}
    if kind is not None and kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r}: use value or control")
    for what, asked, there in (
        ("language", languages, {question.language for question in questions}),
        ("value", values, {question.value for question in questions}),
    ):
        missing = sorted(set(asked) - there)
        if missing:
            raise UsageError(
                f"no question has the {what} {missing[0]!r}{did_you_mean(missing[0], there)}: "
                f"choose from {', '.join(sorted(there))}"
            )
    return tuple(
        question
        for question in questions
        if (not languages or question.language in languages)
        and (not values or question.value in values)
        and (kind is None or question.kind == kind)
        and (question.core or not core)
        and (wordings is None or question.wording <= wordings)
    )


def sample(questions: Iterable[Question], n: int, seed: int = 0) -> tuple[Question, ...]:
    """`n` questions drawn evenly over the values, with all their wordings and languages, in their old order.

    Each round takes one question per value; controls count as one more value. Raises UsageError if there are
    fewer than `n`.
    """
    questions = tuple(questions)
    groups: dict[str, list[str]] = {}
    for question_id, value in dict.fromkeys((q.question_id, q.value) for q in questions):
        groups.setdefault(value, []).append(question_id)
    there = sum(len(ids) for ids in groups.values())
    if not 1 <= n <= there:
        raise UsageError(f"cannot draw {n} questions from {there}: choose a number from 1 to {there}")
    rng = random.Random(seed)
    values = sorted(groups)
    rng.shuffle(values)
    drawn = [rng.sample(groups[value], len(groups[value])) for value in values]
    rounds = [question_id for ids in itertools.zip_longest(*drawn) for question_id in ids if question_id]
    chosen = set(rounds[:n])
    return tuple(question for question in questions if question.question_id in chosen)


def passages(each: int = 5, questions: int = 6) -> list[str]:
    """Texts as long as a paragraph: `each` for every core language, of `questions` core questions."""
    texts = []
    for language in CORE_LANGUAGES:
        asked = select(load_bank(), languages=(language,), core=True, wordings=1)[: each * questions]
        groups = range(0, len(asked), questions)
        texts += ["\n".join(q.question for q in asked[first : first + questions]) for first in groups]
    return texts


def _english(path: Path, prefix: str, kind: str, core: set[str]) -> Iterator[Question]:
    """The questions of one file. Value: `prefix` and the table's name; id: value and number."""
    for name, numbered in read_toml(path).items():
        group = f"{prefix}-{name}"
        if not isinstance(numbered, dict):
            raise DataError(f"{path}: {name!r} must be a table of numbered questions")
        for number, texts in numbered.items():
            question_id = f"{group}-{number}"
            if not (isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)):
                raise DataError(f"{path}: {name}.{number} must be a list of wordings in quotes")
            value = group if kind == "value" else ""
            for wording, text in enumerate(texts, start=1):
                yield Question(question_id, wording, "eng", text, value, kind, question_id in core)


def _translations(path: Path) -> dict[str, Any]:
    texts = read_toml(path)
    for question_id, text in texts.items():
        if not isinstance(text, str):
            raise DataError(f"{path}: {question_id} must be a text in quotes")
    return texts


def _core(translations: dict[str, dict[str, str]], english: dict[str, Question]) -> Iterator[Question]:
    for language, texts in translations.items():
        for question_id, text in texts.items():
            if question_id not in english:
                raise DataError(
                    f"core/{language}.toml: {question_id!r} has no English text: add it, or remove this one"
                )
            value = english[question_id].value
            yield Question(question_id, 1, language, text, value, "value", True)
