"""What is sent to each api, what is made of its replies, and what never happens to keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.elicit.conftest import CANARY, Project, completion
from univar.cli import cli
from univar.elicit.config import read_models
from univar.errors import UnivarError, UsageError

ANSWER = "I would say so, gladly."
REPLIES: dict[str, Any] = {
    "openai": completion(ANSWER, 11, 7),
    "anthropic": {
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "max_tokens",
        "usage": {"input_tokens": 11, "output_tokens": 7},
    },
    "cohere": {
        "message": {"content": [{"type": "text", "text": ANSWER}]},
        "finish_reason": "MAX_TOKENS",
        "usage": {"tokens": {"input_tokens": 11, "output_tokens": 7}},
    },
}
PATHS = {"openai": "/chat/completions", "anthropic": "/messages", "cohere": "/chat"}
MODEL = """
[personas.calm]
eng = "Stay calm."
[[models]]
name = "m"
api = "{api}"
url = "{url}"
model = "inner"
personas = ["calm"]
key_env = "CANARY_KEY"
backoff_s = 0.01
attempts = 3
timeout_s = 5
"""


@pytest.mark.parametrize("api", REPLIES)
def test_each_api_gets_its_request_and_gives_an_answer_with_usage(
    api: str, project: Project, httpserver: HTTPServer
) -> None:
    asked: list[Request] = []

    def handle(request: Request) -> Response:
        request.get_data()
        asked.append(request)
        return Response(json.dumps(REPLIES[api]), content_type="application/json")

    httpserver.expect_request(PATHS[api], method="POST").respond_with_handler(handle)
    project.questions(1)
    project.models(MODEL.format(api=api, url=httpserver.url_for("")))
    code, facts, err = project.run(CANARY_KEY=CANARY)
    assert code == 0, err
    body = json.loads(asked[0].get_data())
    assert (body["model"], body["max_tokens"], body["messages"][-1]["content"]) == ("inner", 128, "eng 0?")
    assert "Stay calm." in (body.get("system"), body["messages"][0]["content"])
    assert CANARY in (asked[0].headers.get("x-api-key", ""), asked[0].headers.get("Authorization", "")[7:])
    (row,) = project.rows()
    assert (row["model"], row["answer"], row["language"]) == ("m:calm", ANSWER, "eng")
    assert row["finish"] == ("stop" if api == "openai" else "length")
    (respondent,) = facts["respondents"]
    assert (respondent["prompt_tokens"], respondent["completion_tokens"]) == (11, 7)


def counted(api: str, project: Project, httpserver: HTTPServer) -> tuple[int, str]:
    """What a dry run says of the prompts of three questions, and how it knows."""
    project.questions(3)
    project.models(MODEL.format(api=api, url=httpserver.url_for("/v1")))
    code, facts, err = project.run("--dry-run", CANARY_KEY=CANARY)
    assert code == 0, err
    assert CANARY not in f"{facts} {err}"
    (respondent,) = facts["respondents"]
    return respondent["prompt_tokens"], respondent["prompts_by"]


@pytest.mark.parametrize(
    ("api", "path", "field"),
    [
        ("openai", "/v1/chat/completions/input_tokens", "input_tokens"),
        ("openai", "/tokenize", "count"),
        ("anthropic", "/v1/messages/count_tokens", "input_tokens"),
    ],
)
def test_a_dry_run_has_prompts_counted_where_the_endpoint_does_that(
    api: str, path: str, field: str, project: Project, httpserver: HTTPServer
) -> None:
    seen: list[dict[str, Any]] = []

    def handle(request: Request) -> Response:
        seen.append(json.loads(request.get_data()))
        return Response(json.dumps({field: 41}), content_type="application/json")

    httpserver.expect_request(path, method="POST").respond_with_handler(handle)
    assert counted(api, project, httpserver) == (3 * 41, "own tokenizer")
    assert "Stay calm." in json.dumps(seen[0])
    assert set(seen[0]) <= {"model", "system", "messages"}


@pytest.mark.parametrize(
    "reply",
    [
        Response("", 307, {"Location": "http://localhost:9/tokenize"}),
        Response("[" * 100_000),
        Response('{"input_tokens": "many"}'),
        Response("{}", 429),
    ],
)
def test_an_endpoint_that_does_not_count_is_estimated_by_length(
    reply: Response, project: Project, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/chat/completions/input_tokens").respond_with_response(reply)
    tokens, basis = counted("openai", project, httpserver)
    assert basis == "text length"
    assert 3 * 15 < tokens < 3 * 25


HOSTILE = {
    "echoes the key in an error": lambda _: Response(
        json.dumps({"error": {"message": f"bad {CANARY}"}}), 400
    ),
    "echoes the key in an answer": lambda _: Response(
        json.dumps(completion(f"your key is {CANARY}, I think"))
    ),
    "says the key is wrong": lambda _: Response(f"no such key {CANARY}", 401),
    "redirects to another host": lambda _: Response("", 307, {"Location": "http://localhost:9/v1"}),
    "sends terminal codes": lambda _: Response(json.dumps({"error": "\x1b]0;title\x07\x1b[2J\u202e"}), 422),
    "sends a bomb": lambda _: Response("[" * 100_000),
    "sends too much": lambda _: Response(b'"' + b"x" * (9 << 20)),
    "claims compression": lambda _: Response(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
}


def test_hostile_endpoints_get_no_key_out_and_no_code_through(
    project: Project, httpserver: HTTPServer
) -> None:
    project.questions(2)
    models = []
    for number, (what, handler) in enumerate(HOSTILE.items()):
        httpserver.expect_request(f"/{number}/chat/completions").respond_with_handler(handler)
        settings = 'key_env = "CANARY_KEY"\nbackoff_s = 0.01\nattempts = 3\n'
        models.append(f'[[models]]\nname = "{what}"\nurl = "{httpserver.url_for(str(number))}"\n{settings}')
    project.models("".join(models))
    process = project.start(CANARY_KEY=CANARY)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    written = b"".join(path.read_bytes() for path in project.folder.iterdir())
    for seen in (out, err, written):
        assert CANARY.encode() not in seen
    assert b"\x1b" not in out + err
    facts = json.loads(out)
    done = {one["respondent"]: one["done"] for one in facts["respondents"] if one["done"]}
    assert done == {"echoes the key in an answer": 2}
    assert set(facts["stopped"]) == {"says the key is wrong", "redirects to another host"}
    assert "not followed" in facts["stopped"]["redirects to another host"]
    assert {row["answer"] for row in project.rows()} == {"your key is [key], I think"}


def test_a_redirect_takes_no_key_along(project: Project, httpserver: HTTPServer) -> None:
    with HTTPServer() as elsewhere:
        elsewhere.expect_request("/x").respond_with_data("{}")
        location = elsewhere.url_for("/x").replace("localhost", "127.0.0.1")
        httpserver.expect_request("/chat/completions").respond_with_data("", 308, {"Location": location})
        project.questions(1)
        project.models(MODEL.format(api="openai", url=httpserver.url_for("")))
        assert project.run(CANARY_KEY=CANARY)[0] == 1
        assert elsewhere.log == []


def models_file(project: Project, line: str) -> Any:
    """The models of a file with one more line in the model's table."""
    project.models(f'[[models]]\nname = "m"\n{line}\n')
    return read_models(project.folder / "models.toml", {"CANARY_KEY": CANARY})


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ('key_env = "NOT_SET_ANYWHERE"', 2, "NOT_SET_ANYWHERE"),
        ('key_env = "CANARY_KEY"\nurl = "http://example.org/v1"', 3, "unencrypted"),
        ('url = "https://user:secret@example.org/v1"', 3, "no user, password or query"),
        ('url = "https://example.org/v1?key=secret"', 3, "no user, password or query"),
        ('url = "file:///etc/passwd"', 3, "url must be an address"),
        ('key = "sk-in-the-file"', 3, "unknown setting 'key'"),
        ("temprature = 1", 3, "unknown setting 'temprature'"),
        ('api = "gopher"', 3, "api must be one of"),
        ('timeout_s = "long"', 3, "must be a number"),
        ('personas = ["nobody"]', 3, "no [personas.nobody]"),
        ('languages = ["xx"]', 3, "unknown language"),
        ("concurrency = 0", 3, "whole number from 1"),
        ("concurrency = true", 3, "whole number from 1"),
        ("concurrency = 1.5", 3, "whole number from 1"),
        ("concurrency = 99999999999999999999", 3, "from 1 to 10,000"),
        ("requests_per_minute = -1", 3, "requests_per_minute must be a number from 0"),
        ("requests_per_minute = nan", 3, "requests_per_minute must be a number from 0"),
        ("tokens_per_minute = inf", 3, "tokens_per_minute must be a number from 0"),
        ("price_input = -0.5", 3, "price_input must be a number from 0"),
        ("price_output = nan", 3, "price_output must be a number from 0"),
        ("timeout_s = inf", 3, "timeout_s must be a number from 0.001"),
        ("backoff_s = 0", 3, "backoff_s must be a number from 0.001"),
        ("attempts = 1979-05-27", 3, "attempts must be a whole number from 1"),
        ("attempts = 100000", 3, "from 1 to 100"),
        ('seeded = "yes"', 3, "seeded must be true or false"),
        ("model = 7", 3, "model must be a text"),
        ('model = "a\\u0000b"', 3, "model must be a text of printable characters"),
        ("personas = [7]", 3, "personas must be a list of texts"),
        ('languages = "eng"', 3, "languages must be a list of texts"),
        ("sampling = 7", 3, "sampling must be a table"),
        ("sampling = { max_tokens = -5 }", 3, "sampling.max_tokens must be a whole number from 1"),
        ("sampling = { temperature = nan }", 3, "sampling.temperature must be a number from 0"),
        ("sampling = { stop = 1979-05-27 }", 3, "sampling.stop must be a value that JSON can hold"),
        ("sampling = { logit_bias = { a = [inf] } }", 3, "sampling.logit_bias must be a value that JSON"),
        ("sampling = { n = 3 }", 3, "use --samples"),
        ("sampling = { stream = true }", 3, "sampling.stream must be false"),
        ('sampling = { messages = "x" }', 3, "sampling.messages is set by univar"),
        ('api = "gguf"\nthreads = 0', 3, "threads must be a whole number from 1"),
        ('api = "gguf"\ncontext_tokens = -1', 3, "context_tokens must be a whole number from 64"),
        ('api = "transformers"\nload_in = "2bit"', 3, "load_in must be one of 8bit, 4bit"),
        ('api = "vllm"\ngpu_memory_utilization = 40', 3, "gpu_memory_utilization must be a number from 0.01"),
        ("threads = 4", 3, "unknown setting 'threads'"),
        ('url = "http://host:99999/v1"', 3, "url must be an address"),
        ('url = "http://[::1/v1"', 3, "url must be an address"),
        ('url = "http://a..b/v1"', 3, "url must be an address"),
        (f'url = "http://{"a" * 70}.org/v1"', 3, "url must be an address"),
        ('url = "http://ho st/v1"', 3, "url must be an address"),
        ('key_file = "a\\u0000b"', 2, "key file"),
        ('key_file = "~nobody-of-that-name/key"', 2, "key file"),
    ],
)
def test_a_wrong_models_file_is_refused_in_one_sentence(
    line: str, code: int, says: str, project: Project
) -> None:
    with pytest.raises(UnivarError) as caught:
        models_file(project, line)
    assert caught.value.exit_code == code
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models = 7", "names no model"),
        ("[[models]]\nname = 7", "needs a name"),
        ('[[models]]\nname = "a\\u001bb"', "needs a name"),
        ('[[models]]\nname = "m"\n[[models]]\nname = "m"', "two models are called 'm'"),
        ('personas = 7\n[[models]]\nname = "m"', "write personas as tables"),
        ('[[models]]\nname = "m"\n[personas.x]\neng = 7', "[personas.x] needs texts"),
        ('[[models]]\nname = "m"\n[personas.x]\neng = " "', "[personas.x] needs texts"),
        ('[[models]]\nname = "m"\n[personas.x]\nqqq = "a"', "[personas.x]: unknown language"),
        ('[[models]]\nname = "m"\n[personas.x]\nen = "a"\neng = "b"', "two texts in eng"),
        ('[[model]]\nname = "m"', "unknown table [model]"),
        (f"x = {'[' * 5000}{']' * 5000}", "is not valid TOML"),
        (f'[[models]]\nname = "m"\nattempts = {"9" * 5000}', "is not valid TOML"),
    ],
)
def test_a_file_that_names_no_models_is_refused_in_one_sentence(
    text: str, says: str, project: Project
) -> None:
    project.models(text)
    with pytest.raises(UnivarError) as caught:
        read_models(project.folder / "models.toml", {})
    assert caught.value.exit_code == 3
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_key_file_must_be_private_and_a_key_is_never_shown(project: Project) -> None:
    key = project.folder / "key"
    key.write_text(f"{CANARY}\n")
    key.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        models_file(project, f'key_file = "{key}"')
    key.chmod(0o600)
    (model,) = models_file(project, f'key_file = "{key}"')
    assert model.key.reveal() == CANARY
    assert CANARY not in f"{model!r} {model.key} {model.settings(model.personas[0])}"


def test_odd_questions_and_answers_are_data_to_the_end(project: Project, httpserver: HTTPServer) -> None:
    odd = "$(touch pwned) `touch pwned`; ../../../etc/passwd \x1b[31m\u202e\x00 {0} %s"
    handed = json.dumps(completion(odd))
    httpserver.expect_request("/chat/completions").respond_with_data(handed, content_type="application/json")
    row = {"question_id": "../../x", "language": "eng", "question": odd}
    (project.folder / "questions.jsonl").write_text(json.dumps(row) + "\n")
    project.models(f'[[models]]\nname = "../m;`id`"\nurl = "{httpserver.url_for("")}"\n')
    before = {path.name for path in project.folder.iterdir()}
    code, _, err = project.run()
    assert code == 0, err
    assert {path.name for path in project.folder.iterdir()} - before <= {
        "answers.jsonl",
        "answers.jsonl.state",
        "answers.jsonl.lock",
    }
    assert project.rows()[0]["answer"] == odd.strip()
    assert not list(Path(project.folder).rglob("pwned"))


ODD = "\x1b]0;owned\x07 \x9b31m \u202eevil\u2066 $(touch pwned) [red]"
UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def test_nothing_unprintable_is_printed_whatever_questions_answers_and_endpoints_say(
    project: Project, httpserver: HTTPServer
) -> None:
    replies = iter([json.dumps(completion(f"{ODD} is it")), json.dumps({"error": {"message": ODD}})])

    def handle(request: Request) -> Response:
        reply = next(replies)
        return Response(reply, 200 if "choices" in reply else 400, content_type="application/json")

    httpserver.expect_request("/chat/completions").respond_with_handler(handle)
    row = {"question_id": f"a {ODD}", "language": "eng", "question": f"Is it {ODD}?", "value": ODD}
    other = {"question_id": "b", "language": "eng", "question": ODD}
    lines = [json.dumps(row), json.dumps(other)]
    (project.folder / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    project.models(f'[[models]]\nname = "m\u202e[red]"\nurl = "{httpserver.url_for("")}"\n')
    answers, asked = str(project.answers), str(project.folder / "questions.jsonl")
    ask = ["--questions", asked, "--models", str(project.folder / "models.toml"), "-o", answers]
    for command, code in (
        (["elicit", *ask, "--dry-run"], 0),
        (["elicit", *ask], 4),
        (["questions", "list", asked], 0),
        (["questions", "check", asked, "-e", "none"], 4),
        (["check", answers], 0),
    ):
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == code, (command, done.output)
        assert done.output
        assert not UNPRINTABLE.search(done.output), command


def test_the_key_is_in_no_file_and_no_output_of_any_command_that_uses_it(
    project: Project, httpserver: HTTPServer
) -> None:
    echo = json.dumps(completion(f"Is {CANARY} yours?"))
    httpserver.expect_request("/chat/completions").respond_with_data(echo, content_type="application/json")
    project.questions(1)
    project.models(MODEL.format(api="openai", url=httpserver.url_for("")))
    models = ["--models", str(project.folder / "models.toml")]
    asked = str(project.folder / "questions.jsonl")
    ask = ["elicit", "--questions", asked, *models, "-o", str(project.answers)]
    draft = ["--model", "m", *models, "-o", str(project.folder / "new.jsonl")]
    through = ["--to", "spa", "--with", "model:m", *models, "-o", str(project.folder / "spa.jsonl")]
    for command in (
        [*ask, "--dry-run"],
        [*ask, "--export-batch", str(project.folder / "batches")],
        [*ask, "--release-batch"],
        ["questions", "generate", "--value", "terminal-wisdom", "-n", "1", *draft],
        ["translate", asked, *through],
    ):
        done = CliRunner().invoke(cli, command, env={"CANARY_KEY": CANARY})
        assert done.exit_code == 0, (command, done.output)
        assert CANARY not in done.output
    written = [path for path in project.folder.rglob("*") if path.is_file()]
    assert {"answers.jsonl", "new.jsonl", "spa.jsonl", "batch-1-001.jsonl"} <= {path.name for path in written}
    assert [path.name for path in written if CANARY.encode() in path.read_bytes()] == []
