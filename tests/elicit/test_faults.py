"""Whatever an endpoint does, each request ends in one answer or one reason; kills lose and repeat nothing."""

from __future__ import annotations

import random
import sqlite3

import pytest

from tests.elicit.conftest import Fake, Project

MODELS = """
[personas.calm]
all = "Stay calm."
[[models]]
name = "fake"
url = "{url}"
personas = ["", "calm"]
concurrency = {concurrency}
timeout_s = {timeout_s}
backoff_s = 0.1
attempts = 12
"""
FINAL = {"the answer is empty"}
"""Reasons of replies that are final."""

BILLED = ("no reply within ", "the connection broke ", "the reply is not the JSON of this api ")
"""How reasons begin of replies that may have been billed: there are few attempts at them."""


def check_complete(project: Project, questions: int, samples: int) -> dict[str, int]:
    """Every planned request is answered once or failed with a reason; returns the reasons' counts."""
    rows = project.rows()
    keys = {
        (r["question_id"], r["wording"], r["language"], r["model"], r["id"].rpartition("/")[2]) for r in rows
    }
    assert len(keys) == len(rows)
    with sqlite3.connect(project.folder / "answers.jsonl.state") as state:
        failed = dict(
            state.execute("SELECT reason, COUNT(*) FROM requests WHERE status = 2 GROUP BY reason").fetchall()
        )
        assert state.execute("SELECT COUNT(*) FROM requests WHERE status = 0").fetchone() == (0,)
    assert len(rows) + sum(failed.values()) == questions * 2 * samples
    assert all(row["answer"] for row in rows)
    return failed


def run_with_kills(
    fake: Fake, project: Project, questions: int, samples: int, kills: int, timeout_s: float
) -> None:
    """Kill it so often at random moments, then let it end.

    timeout_s: of a request; one that a busy machine answers later than that is rightly asked again.
    """
    concurrency = 32
    fake.share = 0.05
    project.questions(questions)
    project.models(MODELS.format(url=fake.url, concurrency=concurrency, timeout_s=timeout_s))
    chance = random.Random(3)
    step = questions * 2 * samples // (kills + 1)
    for _ in range(kills):
        process = project.start("-n", str(samples))
        fake.wait_for(fake.requests + chance.randint(1, step), process)
        process.kill()
        process.communicate()
    code, facts, err = project.run("-n", str(samples))
    assert code == 4, err
    failed = check_complete(project, questions, samples)
    gone = {reason: count for reason, count in failed.items() if reason not in FINAL}
    assert all(reason.startswith(BILLED) for reason in gone), failed
    assert sum(gone.values()) < 0.1 * questions * 2 * samples
    assert facts["failures"]
    repeated = sum(count - 1 for count in fake.answered.values())
    assert repeated <= kills * concurrency


def test_every_request_ends_once_whatever_fails_and_whenever_killed(fake: Fake, project: Project) -> None:
    run_with_kills(fake, project, questions=150, samples=2, kills=5, timeout_s=0.7)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_requests_survive_twenty_kills(fake: Fake, project: Project) -> None:
    run_with_kills(fake, project, questions=2500, samples=2, kills=20, timeout_s=2.5)
