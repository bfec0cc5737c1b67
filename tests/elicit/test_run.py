"""Runs: what is asked when, what it costs, how it stops and goes on."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.elicit.conftest import Fake, Project, completion
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


def test_max_cost_is_not_passed_by_a_model_whose_costs_are_even(project: Project, fake: Fake) -> None:
    project.questions(300)
    each = (20 * 1000 + 10 * 10000) / 1e6
    with elicitation(project, fake, concurrency=4) as asked:
        report = asked.run(max_cost=100 * each)
        assert report.over_budget
        assert 90 * each <= report.cost <= 100 * each
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
        assert (report.failed, report.attempts) == (2, 4)
        assert report.cost > 0
        (reason,) = asked.failures()["m"]
        assert reason.startswith("the reply is not the JSON of this api")


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


def test_a_state_that_lost_its_answers_is_refused_and_nothing_is_asked(project: Project, fake: Fake) -> None:
    project.questions(3)
    with elicitation(project, fake) as asked:
        asked.run()
    before, state = project.answers.read_bytes(), project.folder / "answers.jsonl.state"
    state.write_bytes(b"")
    for _ in range(2):
        with (
            pytest.raises(DataError, match=r"holds 3 answers, but its state .* only 0"),
            elicitation(project, fake),
        ):
            pass
    assert project.answers.read_bytes() == before
    assert fake.requests == 3


def test_an_answer_that_was_recorded_survives_a_power_cut(project: Project, fake: Fake) -> None:
    project.questions(1)
    with elicitation(project, fake) as asked:
        (level,) = asked.state._db.execute("PRAGMA synchronous").fetchone()
    assert level == 2  # FULL: each commit reaches the disk


def test_an_unforeseen_error_ends_its_model_alone(
    project: Project, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from univar.elicit.endpoint import Endpoint

    real = Endpoint.ask

    async def ask(self: Endpoint, request: Any) -> Any:
        if self._model.name == "odd":
            raise OverflowError("a date \x1b[31m too far away")
        return await real(self, request)

    monkeypatch.setattr(Endpoint, "ask", ask)
    project.questions(5)
    project.models(
        MODEL.format(url=fake.url, concurrency=2, more="") + f'[[models]]\nname = "odd"\nurl = "{fake.url}"\n'
    )
    models = read_models(project.folder / "models.toml", {})
    with Elicitation(project.answers, models, gather_questions(project.folder / "questions.jsonl")) as asked:
        report = asked.run()
        assert [(count.respondent, count.done, count.pending) for count in asked.counts()] == [
            ("m", 5, 0),
            ("odd", 0, 5),
        ]
    assert report.stopped == {"odd": "unexpected OverflowError: a date [31m too far away"}


@pytest.mark.parametrize("factor", [1, 20])
def test_max_cost_holds_before_any_usage_is_known(
    factor: int, project: Project, httpserver: HTTPServer
) -> None:
    """Answers that cost `factor` times the estimate, asked by many workers at once."""

    def handle(request: Request) -> Response:
        request.get_data()
        return Response(json.dumps(completion("Yes, I think so.", 20, 10 * factor)))

    httpserver.expect_request("/chat/completions").respond_with_handler(handle)
    project.questions(60)
    each = (20 * 1000 + 10 * factor * 10000) / 1e6
    fake = Fake(httpserver.url_for("").rstrip("/"))
    with elicitation(project, fake, concurrency=32) as asked:
        report = asked.run(max_cost=3.5 * each)
    assert report.over_budget
    assert (report.answered, report.cost) == (3, pytest.approx(3 * each))


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


def batch_reply(message: Any, finish: str) -> dict[str, Any]:
    body = {"choices": [{"message": message, "finish_reason": finish}], "usage": {"prompt_tokens": 9}}
    return {"response": {"status_code": 200, "body": body}}


BATCH_FAILURES: dict[str, dict[str, Any]] = {
    "HTTP 400: the question is too long": {
        "response": {"status_code": 400, "body": {"error": {"message": "the question is too long"}}},
        "error": None,
    },
    "the batch gave no result: not done in time": {
        "response": None,
        "error": {"code": "batch_expired", "message": "not done in time"},
    },
    "the endpoint's content filter withheld the answer": batch_reply({"role": "assistant"}, "content_filter"),
    "the reasoning used up all tokens: raise max_tokens in the model's sampling": batch_reply(
        {"content": "<think>Well"}, "length"
    ),
    "HTTP 500: it broke": {"response": {"status_code": 500, "body": None}, "error": "it broke"},
    "the batch gave no result": {"response": None},
    "error 404: no such model": {
        "response": {
            "status_code": 200,
            "body": {"error": {"code": "model_not_found", "message": "no such model"}},
        }
    },
    'the reply is not the JSON of this api (it begins: {"choices": []})': {
        "response": {"status_code": 200, "body": {"choices": []}}
    },
}


def test_results_of_a_batch_fail_in_the_servers_own_words(project: Project, fake: Fake) -> None:
    project.questions(len(BATCH_FAILURES) + 1)
    folder = project.folder / "batches"
    thinks = batch_reply({"content": "<think>Well.</think>I say yes.</s>"}, "stop")
    with elicitation(project, fake) as asked:
        asked.export_batches(folder)
        report = asked.import_batches([results(folder, dict(enumerate([thinks, *BATCH_FAILURES.values()])))])
        assert report.reasons == dict.fromkeys(BATCH_FAILURES, 1)
        assert asked.failures() == {"m": dict.fromkeys(sorted(BATCH_FAILURES), 1)}
    (row,) = project.rows()
    assert (row["answer"], row["reasoning"]) == ("I say yes.", "Well.")


def test_a_batch_that_never_came_back_can_be_asked_here(project: Project, fake: Fake) -> None:
    project.questions(3)
    with elicitation(project, fake) as asked:
        asked.export_batches(project.folder / "batches")
        assert asked.release_batches() == 3
        assert asked.run().answered == 3
