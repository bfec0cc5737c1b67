"""A translation that loops, has no end or is empty is none: its row is left out and counted by its reason."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_jsonl
from univar.translate import translate_file
from univar.translate.memory import Memory
from univar.translate.outcome import EMPTY, LOOPS, NO_END, NONE, Outcome, Untranslated, checked, repeats


class Canned:
    """Gives the translations of a table, capitals for all else."""

    name = "canned"

    def __init__(self, table: Mapping[str, Outcome], sentencewise: bool = True) -> None:
        self.table, self.sentencewise = dict(table), sentencewise
        self.seen: list[str] = []

    def check_pair(self, origin: str, target: str) -> None:
        pass

    def translate(self, texts: Sequence[str], origin: str, target: str) -> list[Outcome]:
        self.seen += texts
        return [self.table.get(text, text.upper()) for text in texts]


LOOPING = "the peace and " * 30


def answers(path: Path, *texts: str, language: str = "fra") -> Path:
    rows = [
        {"model": f"m{n}", "language": language, "question_id": "q", "question": "quoi?", "answer": text}
        for n, text in enumerate(texts)
    ]
    return write_jsonl(path, rows)


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("sentencewise", [True, False])
def test_rows_fail_with_their_reasons_and_the_others_are_written(tmp_path: Path, sentencewise: bool) -> None:
    table = {
        "boucle.": LOOPING,
        "sans fin.": Untranslated(NO_END, "and and"),
        "vide.": "  ",
        "rien.": None,
    }
    path = answers(tmp_path / "a.jsonl", "boucle.", "bien.", "sans fin.", "vide.", "rien.", "boucle.")
    report = translate_file(path, tmp_path / "b.jsonl", ["eng"], Canned(table, sentencewise))
    assert [row["answer"] for row in written(tmp_path / "b.jsonl")] == ["BIEN."]
    assert (report.rows, report.translated, report.failed) == (6, 1, 5)
    assert report.reasons == {LOOPS: 2, NO_END: 1, EMPTY: 1, NONE: 1}
    assert [(failed.row, failed.reason) for failed in report.first_failed][:2] == [
        (1, f"answer: {LOOPS}"),
        (3, f"answer: {NO_END}"),
    ]


def test_one_bad_sentence_fails_the_whole_answer(tmp_path: Path) -> None:
    path = answers(tmp_path / "a.jsonl", "bien. boucle. bien.")
    report = translate_file(path, tmp_path / "b.jsonl", ["eng"], Canned({"boucle.": LOOPING}))
    assert (report.translated, report.reasons) == (0, {LOOPS: 1})


def test_questions_fail_too(tmp_path: Path) -> None:
    row = {"question_id": "q", "language": "fra", "question": "boucle."}
    path = write_jsonl(tmp_path / "q.jsonl", [row])
    report = translate_file(path, tmp_path / "b.jsonl", ["eng", "spa"], Canned({"boucle.": LOOPING}))
    assert (report.translated, report.reasons) == (0, {LOOPS: 2})
    assert written(tmp_path / "b.jsonl") == []


def test_a_round_trip_fails_where_its_first_half_does(tmp_path: Path) -> None:
    path = answers(tmp_path / "a.jsonl", "loop.", "fine.", language="eng")
    canned = Canned({"loop.": LOOPING})
    report = translate_file(path, tmp_path / "b.jsonl", ["eng"], canned, round_trip="fra")
    assert (report.translated, report.reasons) == (1, {LOOPS: 1})


def test_a_remembered_loop_is_no_translation(tmp_path: Path) -> None:
    path, out = answers(tmp_path / "a.jsonl", "boucle.", "bien."), tmp_path / "b.jsonl"
    translate_file(path, out, ["eng"], Canned({}))
    with sqlite3.connect(tmp_path / "b.jsonl.memory") as memory:  # as an earlier version would have kept it
        memory.execute("UPDATE translations SET translation = ? WHERE translation = 'BOUCLE.'", (LOOPING,))
    memory.close()
    report = translate_file(path, out, ["eng"], Canned({"boucle.": LOOPING}))
    assert (report.translated, report.reasons) == (1, {LOOPS: 1})
    assert [row["answer"] for row in written(out)] == ["BIEN."]
    mended = translate_file(path, out, ["eng"], Canned({}))  # an engine that does better is asked again
    assert (mended.translated, mended.failed) == (2, 0)


def test_failures_are_not_remembered_as_translations(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m", Canned({"boucle.": LOOPING}))
    assert memory.translate(["boucle."], "fra", "eng") == {"boucle.": Untranslated(LOOPS, LOOPING)}
    assert memory._db.execute("SELECT COUNT(*) FROM translations").fetchone() == (0,)
    memory.close()


def test_translations_under_a_language_older_label_are_remembered(tmp_path: Path) -> None:
    first = Memory(tmp_path / "m", Canned({"نعم.": "yes."}))
    first.translate(["نعم."], "arb", "fas")
    first._db.execute("UPDATE translations SET source = 'ara', target = 'pes'")
    first.close()
    canned = Canned({})
    again = Memory(tmp_path / "m", canned)
    assert again.translate(["نعم."], "arb", "fas") == {"نعم.": "yes."}
    assert canned.seen == []
    again.close()


@pytest.mark.parametrize(
    "text",
    [
        "no " * 60,
        "Yes. " + "very, " * 9 + "good.",  # a loop that ends
        "ظ" * 40,
        "和平" * 15,
        "I say that I say that I say that I say that I say that I say that I say that I say that.",
    ],
)
def test_loops_are_found_anywhere(text: str) -> None:
    assert repeats(text)
    assert checked("oui.", text) == Untranslated(LOOPS, text)
    assert checked(text, text) == text  # the original loops itself


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no, no. I would not do that.",
        "Ha ha ha ha ha!",
        "1. a\n2. b\n3. c\n" + "-" * 80,
        "哈哈哈哈哈哈，好。",
        "She sells sea shells, he sells sea shells, they sell sea shells, we sell sea shells.",
        "Wait........................................ what?",
    ],
)
def test_ordinary_repetitions_are_no_loops(text: str) -> None:
    assert not repeats(text)
