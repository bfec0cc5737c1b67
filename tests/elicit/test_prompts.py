"""Drafts asked of an endpoint: each prompt once, and an account of what became of them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer

from tests.elicit.conftest import Fake, Project
from univar.cli import cli


def generate(project: Project, url: str) -> Result:
    project.models(f'[[models]]\nname = "m"\nurl = "{url}"\nattempts = 1\n')
    arguments = [
        "--value",
        "terminal-wisdom",
        "-n",
        "3",
        "--model",
        "m",
        "-o",
        str(project.folder / "new.jsonl"),
    ]
    models = ["--models", str(project.folder / "models.toml")]
    return CliRunner().invoke(cli, ["questions", "generate", *arguments, *models])


def test_a_model_that_writes_no_questions_ends_with_a_count_of_reasons(project: Project, fake: Fake) -> None:
    done = generate(project, fake.url)
    assert done.exit_code == 4
    assert "situations: sending m 3 prompts" in done.stderr
    assert "asked for 3 situations and 3 questions: kept 0, discarded 3 (3 not a question)" in done.stderr
    assert fake.requests == 6
    assert (project.folder / "new.jsonl").read_text() == ""


def test_the_same_command_asks_nothing_again(project: Project, fake: Fake) -> None:
    generate(project, fake.url)
    (project.folder / "new.jsonl").unlink()
    assert "sending m 0 prompts" in generate(project, fake.url).stderr
    assert fake.requests == 6


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "situations: dropped: HTTP 401: go away"), (400, "situations: failed: 3 x HTTP 400: go away")],
)
def test_why_nothing_came_is_said(status: int, says: str, project: Project, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/chat/completions").respond_with_data("go \x1b[31m away", status)
    done = generate(project, httpserver.url_for(""))
    assert done.exit_code == 4
    assert says in done.stderr.replace("[31m ", "")
    assert "kept 0, discarded 3 (3 no situation)" in done.stderr
    assert "\x1b" not in done.output
