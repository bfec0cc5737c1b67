"""Checks of a set of questions, for the shipped bank and for users' files.

Lengths of controls against value questions, near-duplicates, scripts, and the rules for texts and sets.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from univar.answers.scripts import script_share as script_share
from univar.questions.bank import Question
from univar.questions.values import Taxonomy


@dataclass(frozen=True)
class LengthMatch:
    """Lengths in characters of value questions and of controls, for one wording.

    distance, p: two-sample Kolmogorov-Smirnov test that both have one distribution.
    """

    wording: int
    values: int
    controls: int
    median_value: float
    median_control: float
    distance: float
    p: float


def compare_lengths(wording: int, values: np.ndarray, controls: np.ndarray) -> LengthMatch:
    """Compare two sets of lengths. values, controls: (n,), (m,) integers."""
    ordered = np.sort(np.concatenate([values, controls]))
    shares = [
        np.searchsorted(np.sort(part), ordered, side="right") / len(part) for part in (values, controls)
    ]
    distance = float(np.abs(shares[0] - shares[1]).max())
    effective = math.sqrt(len(values) * len(controls) / (len(values) + len(controls)))
    return LengthMatch(
        wording,
        len(values),
        len(controls),
        float(np.median(values)),
        float(np.median(controls)),
        distance,
        _p_value((effective + 0.12 + 0.11 / effective) * distance),
    )


def _p_value(scaled: float) -> float:
    """Kolmogorov's asymptotic tail probability. scaled: the distance with Stephens' correction."""
    if scaled < 0.2:
        return 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))


NEAR_DUPLICATE = 0.78
"""Cosine (minilm, English) from which two questions count as duplicates.

Measured on the shipped bank: of 2.3 million pairs of different questions one in 100,000 reaches 0.64, the
nearest 0.73. A question without two of its words stays above 0.85 in 95 % of cases; 60 % of the rewordings
written by hand reach 0.78 (median 0.80).
"""

_BLOCK = 1024

Encode = Callable[[list[str]], np.ndarray]
"""n texts to (n, D) float32 embeddings of length 1."""


@dataclass(frozen=True)
class NearPair:
    """Two wordings of different questions, and their cosine."""

    first: Question
    second: Question
    cosine: float


def near_pairs(questions: Sequence[Question], encode: Encode, threshold: float) -> list[NearPair]:
    """Pairs of `questions` with different ids and a cosine of at least `threshold`, nearest first."""
    if len(questions) < 2:
        return []
    embeddings = encode([question.question for question in questions])
    ids = np.unique([question.question_id for question in questions], return_inverse=True)[1]
    found: list[NearPair] = []
    for start in range(0, len(questions), _BLOCK):
        cosines = embeddings[start : start + _BLOCK] @ embeddings.T  # (block, N)
        rows, columns = np.nonzero(cosines >= threshold)
        later = columns > rows + start
        for row, column in zip(rows[later] + start, columns[later], strict=True):
            if ids[row] != ids[column]:
                cosine = float(cosines[row - start, column])
                found.append(NearPair(questions[row], questions[column], cosine))
    return sorted(found, key=lambda pair: -pair.cosine)


MIN_SCRIPT_SHARE = 0.9
MIN_LENGTH_P = 0.05
MIN_BALANCE = 0.5
"""A value with fewer questions than this share of the median counts as unbalanced."""

_MODELS = re.compile(
    r"\b(chat\s?gpt|gpt-?\d\w*|openai|claude|anthropic|gemini|copilot|llama|mistral|mixtral|qwen|deepseek|grok|"
    r"language model|chatbot|as an ai|ai model)\b",
    re.IGNORECASE,
)
_QUESTION_MARKS = ("?", "？", "؟", "か。")


@dataclass(frozen=True)
class Problem:
    """One problem: `check` is its kind, `question_id` its place ("" for the whole set)."""

    check: str
    question_id: str
    detail: str


@dataclass(frozen=True)
class QuestionReport:
    """Counts, problems, and per wording how the lengths of controls match those of value questions."""

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

    encode: embeds the English texts to find near-duplicates; None skips that check. Lengths are compared if
    there are controls, scripts for known languages, balance if questions name values, and translations if
    there are core questions.
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
            yield Problem(
                "white-space", where, "empty, or with line breaks, double spaces or spaces at an end"
            )
        elif question.kind == "value" and not any(mark in text for mark in _QUESTION_MARKS):
            yield Problem("no-question", where, text)
        if named := _MODELS.search(text):
            yield Problem("names-model", where, f"names {named.group()!r}: {text}")
        share = script_share(text, question.language)
        if share is not None and share < MIN_SCRIPT_SHARE:
            yield Problem(
                "script", where, f"only {share:.0%} of the letters belong to {question.language}: {text}"
            )


def _duplicates(questions: Sequence[Question]) -> Iterator[Problem]:
    """Texts with the same words, in one language or as a translation equal to the English text."""
    seen: dict[tuple[str, str], Question] = {}
    for question in questions:
        words = " ".join(re.findall(r"\w+", question.question.casefold()))
        first = seen.setdefault((question.language, words), question)
        if first is not question:
            other = f"{first.question_id}, wording {first.wording}"
            yield Problem("duplicate", question.question_id, f"wording {question.wording} repeats {other}")
        if question.language != "eng" and ("eng", words) in seen:
            yield Problem("copied", question.question_id, f"{question.language}: same as the English text")


def _wordings(questions: Sequence[Question]) -> Iterator[Problem]:
    """Gaps in the numbers of a question's wordings, which start from 1 in each language."""
    wordings: dict[tuple[str, str], list[int]] = defaultdict(list)
    for question in questions:
        wordings[question.question_id, question.language].append(question.wording)
    for (question_id, language), numbers in wordings.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield Problem(
                "wordings",
                question_id,
                f"{language} has wordings {sorted(numbers)}: number them from 1 without gaps",
            )


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
                "balance", "", f"{value.id} has {counts[value.id]} questions, the median is {median:g}"
            )


def _core(questions: Sequence[Question]) -> Iterator[Problem]:
    """Core questions that lack a language which other core questions of this set have."""
    languages: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        if question.core:
            languages[question.question_id].add(question.language)
    wanted = set().union(*languages.values())
    for question_id, there in languages.items():
        missing = sorted(wanted - there)
        if missing:
            yield Problem("core", question_id, f"missing in {', '.join(missing)}")


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
