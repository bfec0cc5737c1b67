"""`check_rows` finds what is wrong with answers, and says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.data.conftest import GOOD, lines
from univar.data.check import CheckReport, SourceFacts, check_rows

FINE = GOOD | {"answer": "because it is so"}


def report_on(tmp_path: Path, *rows: Any) -> CheckReport:
    return check_rows(lines(tmp_path / "a.jsonl", *rows))


def rows_of(finding: Any) -> list[int]:
    assert finding.count == len(finding.first)
    return [place["row"] for place in finding.first]


def test_clean_rows_have_no_findings(tmp_path: Path) -> None:
    report = report_on(tmp_path, FINE, FINE | {"model": "n", "answer": "for another reason"})
    found = (
        report.refused,
        report.duplicates,
        report.shared_answers,
        report.short_answers,
        report.label_leaks,
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


def test_label_leaks_are_own_names_as_words_in_any_case(tmp_path: Path) -> None:
    answers = ["I am GPT-4.", "I am gpt-45, you see", "I am LLaMA, you see", "As org/GPT-4 I say"]
    report = report_on(tmp_path, *(FINE | {"model": "org/gpt-4", "answer": answer} for answer in answers))
    assert rows_of(report.label_leaks) == [1, 4]


def test_refused_rows_are_listed_with_reasons_and_empty_answers_counted(tmp_path: Path) -> None:
    report = report_on(
        tmp_path, FINE, FINE | {"answer": " "}, FINE | {"language": "xx"}, FINE | {"question": ""}
    )
    assert rows_of(report.refused) == [2, 3, 4]
    assert report.refused.first[0] == {
        "file": str(tmp_path / "a.jsonl"),
        "row": 2,
        "reason": "answer is empty",
    }
    assert (report.rows, report.empty_answers) == (1, 1)


def test_only_the_first_twenty_places_are_kept(tmp_path: Path) -> None:
    report = report_on(tmp_path, FINE, *([FINE | {"answer": ""}] * 50))
    assert report.refused.count == 50
    assert [place["row"] for place in report.refused.first] == list(range(2, 22))


def test_sources_have_rows_questions_and_median_length(tmp_path: Path) -> None:
    answers = ["a" * 12, "a" * 20, "a" * 40]
    rows = [FINE | {"answer": answer, "question": f"q{number // 2}"} for number, answer in enumerate(answers)]
    report = report_on(tmp_path, *rows, FINE | {"model": "l", "language": "fi", "answer": "b" * 15})
    assert report.sources == [SourceFacts("l", "fin", 1, 1, 15.0), SourceFacts("m", "eng", 3, 2, 20.0)]


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
        "the sources are unbalanced: m/eng has 5 rows, n/eng has 1; neighbours favour the larger"
    ]


def test_real_answers_are_clean_but_for_shared_ones(real_data: Path) -> None:
    report = check_rows(real_data / "answers_eval.parquet")
    assert (report.rows, report.refused.count, report.duplicates.count, report.short_answers.count) == (
        16_484,
        0,
        0,
        0,
    )
    assert len(report.sources) == 195
