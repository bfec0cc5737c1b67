"""--as csv|markdown|latex on every command that prints a result."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Run
from tests.conftest import answer_rows, write_jsonl
from univar.cli import COMMANDS, cli
from univar.tables import Table

WITHOUT = {
    "attribute": "prints a block for each answer; --json prints a line for each",
    "export-model": "writes a folder",
    "serve": "answers over HTTP",
    "questions sample": "writes a file",
    "questions export": "writes a file",
    "questions generate": "writes a file",
    "questions paraphrase": "writes a file",
}
"""Commands without a result that would be a table, and why."""

LINES = {
    "check": "check answers.jsonl --by model",
    "info": "info store",
    "verify": "verify store",
    "values": "values --family hofstede",
    "questions list": "questions list core --languages eng",
    "questions check": "questions check core -e none",
    "export": "export store -o out-{form}.npy",
    "merge": "merge store -o merged-{form}",
    "index": "index store",
    "embed": "embed answers.jsonl -o store -e {encoder}",
    "split": "split answers.jsonl -o split-{form}",
    "import": "import outputs.json --from alpaca-eval -o imported-{form}.jsonl",
    "doctor": "doctor",
    "elicit": "elicit --questions questions.jsonl --models models.toml -o asked.jsonl --dry-run",
    "evaluate": "evaluate store --protocol paper --target model --no-baseline --permutations 5",
    "train": "train answers.jsonl -o out-{form} --base {encoder} --steps 1 --batch 8 --set validate_every=0",
}
ELSEWHERE = {
    "demo": "tests/cli/test_demo.py",
    "translate": "tests/translate/test_translation.py",
    "compare": "tests/compare",
    "track": "tests/compare",
    "same": "tests/search",
    "profile": "tests/heads",
    "culture": "tests/compare",
    "map": "tests/map",
    "report": "tests/report",
}
"""Commands whose results are made by what only these tests have; they print by the same function."""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and sub-command."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", command.commands[below]) for below in command.commands)
        else:
            yield name, command


def test_every_command_that_has_a_result_has_as() -> None:
    has = {name for name, it in commands() if any("--as" in option.opts for option in it.params)}
    assert has == {name for name, _ in commands()} - set(WITHOUT)
    assert set(LINES) | set(ELSEWHERE) <= has


@pytest.fixture
def folder(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that LINES names; `store` is a store of answers.jsonl."""
    (tmp_path / "outputs.json").write_text('[{"instruction": "Why?", "output": "So.", "generator": "m"}]')
    (tmp_path / "models.toml").write_text('[[models]]\nname = "m"\nurl = "http://127.0.0.1:9/v1"\n')
    write_jsonl(tmp_path / "questions.jsonl", [{"question_id": "q", "language": "eng", "question": "Why?"}])
    monkeypatch.chdir(tmp_path)
    assert store.exists()
    return tmp_path


@pytest.mark.parametrize("name", LINES)
def test_tables_are_csv_markdown_and_latex(name: str, folder: Path, univar: Run, tiny_bert: Path) -> None:
    write_jsonl(folder / "answers.jsonl", answer_rows(160 if name == "train" else 40))
    for form in ("csv",) if name in ("train", "doctor") else ("csv", "markdown", "latex"):
        line = LINES[name].format(form=form, encoder=tiny_bert)
        done = univar(*line.split(), "--as", form)
        assert done.exit_code == (4 if name == "questions check" and done.exit_code else 0), done.stderr
        check = {"csv": is_csv, "markdown": is_markdown, "latex": is_latex}[form]
        check(done.stdout)


def is_csv(text: str) -> None:
    blocks = text.rstrip("\n").split("\n\n")
    for block in blocks:
        rows = list(csv.reader(io.StringIO(block), strict=True))
        assert rows
        assert len({len(row) for row in rows}) == 1, block


def is_markdown(text: str) -> None:
    lines = text.splitlines()
    rules = [place for place, line in enumerate(lines) if line and set(line) <= set("|- ")]
    assert rules
    for place in rules:
        assert lines[place].count("|") == lines[place - 1].count("|") >= 3


def is_latex(text: str) -> None:
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 1
    inside = False
    for line in text.splitlines():
        inside = line.startswith(r"\begin") or (inside and not line.startswith(r"\end"))
        assert inside or line.startswith(("%", r"\end")) or not line, line


def test_what_a_cell_holds_is_text_in_every_format() -> None:
    table = Table(["a", "b"], [["x|y\nz", r"\input{~/f}_1^2 & 50 %"]], title="one\ntwo", notes=("a\nb",))
    assert list(csv.reader(io.StringIO(table.csv()))) == [table.headers, *table.rows]
    assert table.markdown().splitlines()[5] == "| x\\|y z | \\\\input{~/f}_1^2 & 50 % |"
    latex = table.latex().splitlines()
    assert r"x|y z & \textbackslash{}input\{\textasciitilde{}/f\}\_1\textasciicircum{}2 \& 50 \% \\" in latex
    assert latex[0:2] == ["% one", "% two"]
    assert latex[-2:] == ["% a", "% b"]


def test_sentences_of_a_csv_result_go_to_stderr(univar: Run, answers: Path) -> None:
    bad = answers.read_text() + '{"model": "m"}\n'
    answers.write_text(bad)
    done = univar("check", answers, "--as", "csv")
    assert "rejected" not in done.stdout.split("\n\n")[1]
    assert f"rejected {answers}:41" in done.stderr
