"""A state of an earlier version, with `ara` for `ar` and without scripts, goes on: nothing is asked twice."""

from __future__ import annotations

import json
import sqlite3

from tests.elicit.conftest import Fake, Project


def ask(project: Project, fake: Fake, language: str) -> None:
    row = {"question_id": "q1", "wording": 1, "language": language, "question": "one?"}
    (project.folder / "questions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    project.models(f'[[models]]\nname = "m"\nurl = "{fake.url}"\n')
    code, _, error = project.run()
    assert code == 0, error


def as_an_earlier_version(project: Project, label: str) -> None:
    """Give the state the label and the tables that an earlier version would have made."""
    with sqlite3.connect(project.folder / "answers.jsonl.state") as state:
        state.execute("UPDATE questions SET language = ?", (label,))
        state.execute("ALTER TABLE questions DROP COLUMN asked_as")
    state.close()


def test_a_language_under_its_older_label_is_not_asked_again(project: Project, fake: Fake) -> None:
    ask(project, fake, "ar")
    as_an_earlier_version(project, "ara")
    for code in ("ar", "arb", "arb_Arab"):
        ask(project, fake, code)
    assert fake.requests == 1
    (row,) = project.rows()
    assert (row["language"], row["id"]) == ("arb", "q1/1/m/ara/0")  # a store knows the row by its old id


def test_a_language_whose_script_was_dropped_is_not_asked_again(project: Project, fake: Fake) -> None:
    ask(project, fake, "zh-TW")
    as_an_earlier_version(project, "zho")
    ask(project, fake, "zho_Hant")
    assert fake.requests == 1
    (row,) = project.rows()
    assert (row["language"], row["id"]) == ("zho_Hant", "q1/1/m/zho/0")


def test_another_text_in_another_script_is_asked(project: Project, fake: Fake) -> None:
    ask(project, fake, "sr")
    row = {"question_id": "q1", "wording": 1, "language": "sr-Latn", "question": "jedno?"}
    (project.folder / "questions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert project.run()[0] == 0
    assert fake.requests == 2
    assert {row["language"] for row in project.rows()} == {"srp", "srp_Latn"}


def test_a_persona_under_an_older_label_is_the_same_persona(project: Project, fake: Fake) -> None:
    row = {"question_id": "q1", "wording": 1, "language": "ar", "question": "one?"}
    (project.folder / "questions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    entry = f'[[models]]\nname = "m"\nurl = "{fake.url}"\npersonas = ["rebel"]\n'
    project.models(f'[personas.rebel]\nar = "Be bold."\n{entry}')
    assert project.run()[0] == 0
    as_an_earlier_version(project, "ara")
    with sqlite3.connect(project.folder / "answers.jsonl.state") as state:
        state.execute("UPDATE sources SET settings = replace(settings, '\"arb\"', '\"ara\"')")
    state.close()
    assert project.run()[0] == 0
    assert fake.requests == 1
    project.models(f'[personas.rebel]\nar = "Be shy."\n{entry}')
    code, _, error = project.run()
    assert code == 2
    assert "asked before with other settings" in error


def test_a_question_planned_under_both_labels_is_not_asked_again(project: Project, fake: Fake) -> None:
    rows = [
        {"question_id": "q1", "wording": 1, "language": code, "question": "one?"} for code in ("ar", "fa")
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (project.folder / "questions.jsonl").write_text(text, encoding="utf-8")
    project.models(f'[[models]]\nname = "m"\nurl = "{fake.url}"\n')
    assert project.run()[0] == 0
    with sqlite3.connect(project.folder / "answers.jsonl.state") as state:
        (pending,) = state.execute("SELECT MAX(question) FROM requests").fetchone()
        state.execute("UPDATE requests SET status = 0, answer = NULL WHERE question = ?", (pending,))
        state.execute("UPDATE questions SET language = 'arb' WHERE id != ?", (pending,))
        state.execute("UPDATE questions SET language = 'ara' WHERE id = ?", (pending,))
    state.close()
    project.answers.unlink()  # it held the answer that is pending now
    ask(project, fake, "arb")
    assert fake.requests == 2
    assert [row["language"] for row in project.rows()] == ["arb"]
