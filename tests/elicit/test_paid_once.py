"""What a run pays and keeps, through a server: a final reply once, an unreadable one twice."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.elicit.conftest import CANARY, Project, completion
from tests.elicit.test_replies import ANSWER, THOUGHT, chat, said

REJECTED = "20 requests in a row were rejected, the last one: HTTP 400: max_tokens is not taken"


def ask(
    project: Project, server: HTTPServer, replies: dict[str, Any], questions: int = 2, more: str = ""
) -> Any:
    """(exit code, result as JSON, stderr, requests by model): each model gets always the same reply."""
    counts: Counter[str] = Counter()
    server.clear()

    def handle(request: Request) -> Response:
        name = request.path.split("/")[1]
        reply = replies[name]
        request.get_data()
        counts[name] += 1
        return reply if isinstance(reply, Response) else reply(request)

    models = []
    for name in replies:
        server.expect_request(f"/{name}/chat/completions").respond_with_handler(handle)
        models.append(f'[[models]]\nname = "{name}"\nurl = "{server.url_for(f"/{name}")}"\n')
    project.questions(questions)
    rest = f'backoff_s = 0.001\nkey_env = "CANARY_KEY"\n{more}'
    project.models("".join(f"{model}{rest}" for model in models))
    code, facts, err = project.run(CANARY_KEY=CANARY)
    return code, facts, err, counts


def question_in(request: Request) -> str:
    return json.loads(request.get_data())["messages"][-1]["content"]


def json_reply(body: Any, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/json")


def test_a_final_reply_is_paid_once_and_an_unreadable_one_twice(
    project: Project, httpserver: HTTPServer
) -> None:
    replies = {
        "answer": json_reply(chat(said(ANSWER))),
        "filter": json_reply(chat({"role": "assistant"}, "content_filter")),
        "length": json_reply(chat({"role": "assistant"}, "length")),
        "reject": json_reply({"detail": [{"loc": ["seed"], "msg": "not taken"}]}, 422),
        "page": Response("<html>hello</html>"),
        "stream": Response("data: {}\n\n", content_type="text/event-stream"),
    }
    code, facts, err, counts = ask(project, httpserver, replies, questions=3)
    assert code == 4, err
    assert counts == {"answer": 3, "filter": 3, "length": 3, "reject": 3, "page": 6, "stream": 6}
    assert facts["failures"]["reject"] == {"HTTP 422: seed: not taken": 3}
    assert facts["stopped"] == {}


def test_a_request_that_may_have_been_billed_is_sent_three_times_at_most(
    project: Project, httpserver: HTTPServer
) -> None:
    def closes(request: Request) -> Response:
        request.environ["werkzeug.socket"].shutdown(2)
        return Response("")

    replies = {"broken": closes, "down": json_reply({"error": "later"}, 500)}
    code, facts, _, counts = ask(project, httpserver, replies, more="attempts = 6\n")
    assert code == 1
    assert counts == {"broken": 6, "down": 12}  # what is not billed is tried as often as the file says
    assert facts["failures"]["broken"] == {"the connection broke (ServerDisconnectedError)": 2}


def test_one_question_held_back_fails_alone(project: Project, httpserver: HTTPServer) -> None:
    def moderated(request: Request) -> Response:
        if question_in(request) == "eng 1?":
            return json_reply({"error": {"message": "this input was flagged", "code": 403}}, 403)
        return json_reply(chat(said(ANSWER)))

    code, facts, err, counts = ask(
        project, httpserver, {"m": moderated}, questions=30, more="concurrency = 1\n"
    )
    assert (code, counts["m"]) == (4, 30), err
    assert facts["failures"] == {"m": {"HTTP 403: this input was flagged": 1}}
    assert facts["stopped"] == {}
    assert project.run(CANARY_KEY=CANARY)[1]["answered"] == 0
    assert counts["m"] == 30


def test_a_rerun_does_not_stall_at_questions_that_are_held_back(
    project: Project, httpserver: HTTPServer
) -> None:
    def forbidden(request: Request) -> Response:
        if int(question_in(request).split()[1].rstrip("?")) < 25:
            return json_reply({"error": "Forbidden"}, 403)
        return json_reply(chat(said(ANSWER)))

    asked = ask(project, httpserver, {"m": forbidden}, questions=50, more="concurrency = 1\n")
    for _ in range(3):
        if sum(one["pending"] for one in asked[1]["respondents"]) == 0:
            break
        asked = project.run(CANARY_KEY=CANARY)
    (counts,) = asked[1]["respondents"]
    assert (counts["done"], counts["failed"], counts["pending"]) == (25, 25, 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": f"wrong api key {CANARY}"}}, 403),
        ({"error": {"message": "no credits"}}, 402),
        ({"error": {"message": "your account is not active", "code": "account"}}, 403),
    ],
)
def test_a_model_that_the_key_may_not_use_is_dropped_at_once(
    body: Any, status: int, project: Project, httpserver: HTTPServer
) -> None:
    code, facts, err, counts = ask(
        project, httpserver, {"m": json_reply(body, status)}, 50, "concurrency = 2\n"
    )
    assert (code, set(facts["stopped"])) == (1, {"m"})
    assert counts["m"] <= 2
    assert CANARY not in f"{facts} {err}"


def test_a_model_that_rejects_everything_is_dropped_after_some(
    project: Project, httpserver: HTTPServer
) -> None:
    reply = json_reply({"error": {"message": "max_tokens is not taken"}}, 400)
    code, facts, _, counts = ask(project, httpserver, {"m": reply}, questions=60, more="concurrency = 2\n")
    assert code == 1
    assert facts["stopped"] == {"m": REJECTED}
    assert counts["m"] <= 22


def test_reasoning_has_a_column_of_its_own(project: Project, httpserver: HTTPServer) -> None:
    replies = {
        "thinks": json_reply(chat(said(f"<think>{THOUGHT}</think>{ANSWER}<|im_end|>"))),
        "plain": json_reply(chat(said(ANSWER))),
    }
    assert ask(project, httpserver, replies, questions=1)[0] == 0
    rows = {row["model"]: row for row in project.rows()}
    assert (rows["thinks"]["answer"], rows["thinks"]["reasoning"]) == (ANSWER, THOUGHT)
    assert rows["plain"]["answer"] == ANSWER
    assert "reasoning" not in rows["plain"]


def test_a_state_without_the_column_for_reasoning_is_continued(
    project: Project, httpserver: HTTPServer
) -> None:
    replies = {"m": json_reply(chat(said(f"<think>{THOUGHT}</think>{ANSWER}")))}
    ask(project, httpserver, replies, questions=1)
    with sqlite3.connect(project.folder / "answers.jsonl.state") as state:
        state.execute("ALTER TABLE requests DROP COLUMN reasoning")
    code, facts, err, counts = ask(project, httpserver, replies, questions=2)
    assert (code, facts["answered"], counts["m"]) == (0, 1, 1), err
    assert [row.get("reasoning") for row in project.rows()] == [None, THOUGHT]


def test_a_key_that_comes_back_in_json_escapes_is_masked(project: Project, httpserver: HTTPServer) -> None:
    escaped = "".join(f"\\u{ord(char):04X}" if number % 2 else char for number, char in enumerate(CANARY))
    body = json.dumps(completion("is KEY yours, I wonder?")).replace("KEY", escaped)
    code, _, err, _ = ask(project, httpserver, {"m": Response(body, content_type="application/json")}, 1)
    assert code == 0, err
    assert project.rows()[0]["answer"] == "is [key] yours, I wonder?"


def test_nothing_answered_is_a_failure_and_nothing_to_ask_is_told(
    project: Project, httpserver: HTTPServer
) -> None:
    code, facts, _, _ = ask(project, httpserver, {"m": json_reply({"error": "no"}, 400)})
    assert (code, facts["answered"], facts["failed"]) == (1, 0, 2)
    code, facts, err, counts = ask(project, httpserver, {"m": json_reply(chat(said(ANSWER)))})
    assert (code, facts["answered"], counts["m"]) == (1, 0, 0)
    assert "everything was asked before" in err
    assert "put the version into its name" in err
    assert "--retry-failed" in err
    assert project.run("--retry-failed", CANARY_KEY=CANARY)[0] == 0
    code, facts, err = project.run(CANARY_KEY=CANARY)
    assert (code, facts["answered"]) == (0, 0)
    assert "everything was asked before" in err
