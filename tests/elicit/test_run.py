"""Runs: what is asked when, what it costs, how it stops and goes on."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.elicit.conftest import Fake, Project
from univar.elicit.config import read_models
from univar.elicit.elicitation import Elicitation, gather_questions
from univar.elicit.plan import ASSUMED, BY_LENGTH, BY_USAGE, FULL_LENGTH
from univar.elicit.run import ElicitReport
from univar.errors import DataError, StoreLocked, UsageError

MODEL = """
[[models]]
name = "m"
url = "{url}"
concurrency = {concurrency}
price_input = 1000
price_output = 10000
backoff_s = 0.01
sampling = {{ max_tokens = 10 }}
{more}
"""


def elicitation(
    project: Project, fake: Fake, *, concurrency: int = 4, more: str = "", **options: Any
) -> Elicitation:
    project.models(MODEL.format(url=fake.url, concurrency=concurrency, more=more))
    models = read_models(project.folder / "models.toml", {})
    return Elicitation(
        project.answers, models, gather_questions(project.folder / "questions.jsonl"), **options
    )


def test_each_request_is_asked_once_in_all_runs(project: Project, fake: Fake) -> None:
    project.questions(10, ("eng", "spa"))
    for samples in (1, 1, 3):
        with elicitation(project, fake, samples=samples) as asked:
            asked.run()
    assert len(fake.answered) == 60
    assert set(fake.answered.values()) == {1}
    assert len(project.rows()) == 60


def test_a_limit_asks_a_fair_sample_and_the_rest_later(project: Project, fake: Fake) -> None:
    project.questions(100, ("eng", "spa"))
    with elicitation(project, fake) as asked:
        assert asked.run(limit=60).answered == 60
        languages = [row["language"] for row in project.rows()]
        assert 15 < languages.count("eng") < 45
        assert asked.run().answered == 140
    assert set(fake.answered.values()) == {1}


def test_seeds_follow_from_the_request_and_not_from_the_run(project: Project, fake: Fake) -> None:
    project.questions(5)
    with elicitation(project, fake, samples=2) as asked:
        asked.run()
    seeds = [json.loads(row["sampling"])["seed"] for row in project.rows()]
    assert len(set(seeds)) == 10
    assert {key[3] for key in fake.answered} == set(seeds)


def test_max_cost_is_overshot_by_requests_in_flight_at_most(project: Project, fake: Fake) -> None:
    project.questions(300)
    each = (20 * 1000 + 10 * 10000) / 1e6
    with elicitation(project, fake, concurrency=4) as asked:
        report = asked.run(max_cost=100 * each)
        assert report.over_budget
        assert 90 * each <= report.cost <= 104 * each
        assert sum(count.cost for count in asked.counts()) == pytest.approx(report.cost)
        assert asked.run(max_cost=100 * each).attempts <= 4
        assert not asked.run(max_cost=1000 * each).over_budget
    assert len(project.rows()) == 300


def test_repeated_attempts_that_may_have_been_paid_do_not_pass_max_cost(project: Project, fake: Fake) -> None:
    fake.share, fake.faults = 1.0, ("broken",)
    project.questions(50)
    with elicitation(project, fake, concurrency=4) as asked:
        each = asked.plan().respondents[0].cost / 50
        assert asked.run(max_cost=10 * each).over_budget
        assert 8 * each < sum(count.cost for count in asked.counts()) <= 10 * each


def test_what_may_have_been_paid_counts_as_paid(project: Project, fake: Fake) -> None:
    fake.share, fake.faults = 1.0, ("broken",)
    project.questions(2)
    with elicitation(project, fake, more="attempts = 3") as asked:
        report = asked.run()
        assert (report.failed, report.attempts) == (2, 6)
        assert report.cost > 0
        assert asked.failures() == {"m": {"the reply is not the JSON of this api": 2}}


def test_failures_are_asked_again_only_when_that_is_wanted(project: Project, fake: Fake) -> None:
    fake.share, fake.faults = 1.0, ("empty",)
    project.questions(4)
    with elicitation(project, fake) as asked:
        assert asked.run().failed == 4
        fake.share = 0.0
        assert asked.run().attempts == 0
        assert asked.retry_failed() == 4
        assert asked.run().answered == 4
        assert asked.failures() == {}


def test_a_model_that_is_down_does_not_keep_the_others_waiting(project: Project, fake: Fake) -> None:
    project.questions(5)
    down = '[[models]]\nname = "down"\nurl = "http://127.0.0.1:9/v1"\n'
    project.models(MODEL.format(url=fake.url, concurrency=2, more="") + down)
    models = read_models(project.folder / "models.toml", {})
    stop = threading.Event()

    def all_five(report: ElicitReport) -> None:
        if report.answered == 5:
            stop.set()

    with Elicitation(project.answers, models, gather_questions(project.folder / "questions.jsonl")) as asked:
        asked.run(stop=stop, on_progress=all_five)
        assert [(count.respondent, count.pending) for count in asked.counts()] == [("m", 0), ("down", 5)]


def test_ctrl_c_finishes_what_is_in_flight_and_the_same_command_goes_on(project: Project, fake: Fake) -> None:
    fake.share, fake.faults = 0.3, ("hang",)
    project.questions(200)
    project.models(MODEL.format(url=fake.url, concurrency=4, more="timeout_s = 1"))
    process = project.start()
    fake.wait_for(20, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"run the same command again to continue" in err
    first = len(project.rows())
    assert 0 < first == json.loads(out)["answered"]
    fake.share = 0.0
    assert project.run()[0] == 0
    assert len(project.rows()) == 200
    assert set(fake.answered.values()) == {1}


def test_a_dry_run_asks_and_writes_nothing(project: Project, fake: Fake) -> None:
    project.questions(7)
    with elicitation(project, fake, samples=3, dry=True) as asked:
        assert asked.plan().pending == 21
    assert fake.requests == 0
    assert not project.answers.exists()
    assert not (project.folder / "answers.jsonl.state").exists()


def test_estimates_follow_from_usage_so_far(project: Project, fake: Fake) -> None:
    project.questions(400)
    with elicitation(project, fake) as asked:
        before = asked.plan().respondents[0]
        assert (before.prompts_by, before.answers_by) == (BY_LENGTH, FULL_LENGTH)
        assert before.completion_tokens == before.completion_tokens_at_most == 4000
        asked.run(limit=40)
        plan = asked.plan().respondents[0]
        asked.run()
        used = asked.counts()[0]
    assert (plan.prompts_by, plan.answers_by) == (BY_USAGE, BY_USAGE)
    rest = 360
    assert plan.prompt_tokens == pytest.approx(rest * 20, rel=0.1)
    assert plan.completion_tokens == pytest.approx(rest * 10, rel=0.1)
    assert used.prompt_tokens == 400 * 20


def test_answers_can_be_assumed_to_have_a_length(project: Project, fake: Fake) -> None:
    project.questions(30)
    with elicitation(project, fake, dry=True) as asked:
        (plan,) = asked.plan(answer_tokens=7).respondents
    assert (plan.completion_tokens, plan.completion_tokens_at_most, plan.answers_by) == (210, 300, ASSUMED)


def test_the_same_name_never_means_two_things(project: Project, fake: Fake) -> None:
    project.questions(2)
    with elicitation(project, fake) as asked:
        asked.run()
    with (
        pytest.raises(UsageError, match="other settings"),
        elicitation(project, fake, more='model = "other"'),
    ):
        pass
    text = (project.folder / "questions.jsonl").read_text()
    (project.folder / "questions.jsonl").write_text(text.replace("eng 0?", "eng zero?"))
    with pytest.raises(UsageError, match="with another text"), elicitation(project, fake):
        pass


def test_two_runs_on_one_file_and_strange_files_are_refused(project: Project, fake: Fake) -> None:
    project.questions(2)
    with elicitation(project, fake), pytest.raises(StoreLocked), elicitation(project, fake):
        pass
    (project.folder / "answers.jsonl.state").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="state"), elicitation(project, fake):
        pass
    (project.folder / "answers.jsonl.state").unlink()
    project.answers.write_text("{}\n")
    with pytest.raises(UsageError, match="already exists"):
        elicitation(project, fake)


def test_a_missing_package_is_named(project: Project, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    project.questions(1)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with elicitation(project, fake) as asked, pytest.raises(UsageError, match=r"univar-embed\[elicit\]"):
        asked.run()


def test_languages_limit_questions_and_models(project: Project, fake: Fake) -> None:
    project.questions(3, ("eng", "spa"))
    with elicitation(project, fake, more='languages = ["es"]') as asked:
        assert asked.run().answered == 3
    assert {row["language"] for row in project.rows()} == {"spa"}
    with pytest.raises(UsageError, match=r"3 of 3 questions .* no text in fra.*univar translate"):
        gather_questions(project.folder / "questions.jsonl", ["eng", "fra"])


def results(folder: Path, change: dict[int, dict[str, Any]]) -> Path:
    """The result file of an exported batch; line n as `change` says, the others answered."""
    lines = []
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            asked = json.loads(text)
            words = asked["body"]["messages"][-1]["content"]
            reply = {
                "choices": [{"message": {"content": f"To {words} I say yes."}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 20, "completion_tokens": 10},
            }
            good = {"custom_id": asked["custom_id"], "response": {"status_code": 200, "body": reply}}
            lines.append({**good, **change.get(len(lines), {})})
    out = folder / "results.out"
    out.write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0], {"custom_id": "x"}]))
    return out


def test_batches_go_out_and_come_back_once(project: Project, fake: Fake) -> None:
    project.questions(6)
    folder = project.folder / "batches"
    with elicitation(project, fake) as asked:
        (path,) = asked.export_batches(folder)
        line = json.loads(path.read_text().splitlines()[0])
        assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
        assert line["body"]["max_tokens"] == 10
        assert asked.export_batches(folder) == []
        assert asked.run().attempts == 0
        refused = {"response": {"status_code": 400, "body": {}}}
        report = asked.import_batches([results(folder, {2: refused})])
        assert (report.answered, report.failed, report.unknown) == (5, 1, 2)
        assert asked.import_batches([folder / "results.out"]).answered == 0
        assert asked.counts()[0].cost == pytest.approx(5 * 0.12)
    assert len(project.rows()) == 5


def test_a_batch_that_never_came_back_can_be_asked_here(project: Project, fake: Fake) -> None:
    project.questions(3)
    with elicitation(project, fake) as asked:
        asked.export_batches(project.folder / "batches")
        assert asked.release_batches() == 3
        assert asked.run().answered == 3
