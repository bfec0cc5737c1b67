"""Every example on every page runs: commands end with exit code 0, Python blocks run, settings are read.

Lines of other programs (pip, cd) are not run; what `make` and `python` are given has to be there.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Finished, Run
from tests.docs.pages import REPOSITORY, Example, examples, name_of, pages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGUAGES = {"", "console", "python", "json", "jsonl", "toml", "text"}
GIVEN = [page for page in pages() if examples(page)]
SLOW = [page for page in GIVEN if any(example.has("slow") for example in examples(page))]

LONG = ("docs/quickstart.md", "docs/evaluation.md", "examples/elicit/README.md")
"""Pages whose examples take long: `make test-all` runs them."""


def _page(page: Path) -> object:
    return pytest.param(page, marks=pytest.mark.slow) if name_of(page) in LONG else page


@pytest.mark.parametrize("page", [_page(page) for page in GIVEN], ids=name_of)
def test_examples_run(page: Path, folder: Path, univar: Run, endpoint: str) -> None:
    for example in examples(page):
        if not example.has("slow"):
            run(example, univar, endpoint)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=name_of)
@pytest.mark.timeout(1500)
def test_slow_examples_run(page: Path, folder: Path, univar: Run, endpoint: str) -> None:
    for example in examples(page):
        run(example, univar, endpoint)


@pytest.mark.parametrize("page", GIVEN, ids=name_of)
def test_marks_are_known(page: Path) -> None:
    for example in examples(page):
        assert example.language in LANGUAGES, f"{example}: {example.language}"
        for mark in example.marks:
            assert mark.split()[0] in ("skip", "slow", "file", "output", "needs"), f"{example}: {mark}"
            assert not mark.startswith("skip") or len(mark.split()) > 2, f"{example}: say why it is skipped"


def run(example: Example, univar: Run, endpoint: str) -> None:
    """Run one block in the working folder."""
    needed = example.value("needs")
    if example.has("skip") or (needed and shutil.which(needed) is None):
        return
    if name := example.value("file"):
        Path(name).write_text(with_endpoint(example.text, endpoint), encoding="utf-8")
    if example.language == "console":
        for command, shown in commands(example.text):
            finished = call(command, example, univar, endpoint)
            if finished is not None:
                assert finished.exit_code == 0, f"{example}: {command}\n{finished.stderr}"
                if example.has("output"):
                    assert_shown(shown, finished, example)
    elif example.language == "python":
        exec(compile(example.text, str(example), "exec"), {"__name__": "__main__"})
    elif example.language == "toml":
        tomllib.loads(example.text)
    elif example.language in ("json", "jsonl"):
        whole = [example.text] if example.language == "json" else example.text.splitlines()
        for text in whole:
            json.loads(text)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """(command, the output shown below it) of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in re.sub(r" *\\\n *", " ", text).splitlines():
        if line.startswith("$ "):
            found.append((line[2:].strip(), []))
        elif found:
            found[-1][1].append(line)
    return found


def call(command: str, example: Example, univar: Run, endpoint: str) -> Finished | None:
    """Run `univar ...`, `cat FILE | univar ...` or `echo TEXT | univar ...`; None for other programs."""
    words = shlex.split(re.split(r" \|\| ", command)[0], comments=True)
    stdin = b""
    if "|" in words:
        at = words.index("|")
        source, words = words[:at], words[at + 1 :]
        assert source[0] in ("cat", "echo"), f"{example}: {command}"
        stdin = Path(source[1]).read_bytes() if source[0] == "cat" else f"{source[1]}\n".encode()
    if words[0] == "cd":
        return enter(REPOSITORY / words[1], endpoint)
    if words[0] != "univar":
        return check_others(words, example)
    target = None
    for sign in ("<", ">"):
        if sign in words:
            at = words.index(sign)
            name = words[at + 1]
            stdin, target = (Path(name).read_bytes(), target) if sign == "<" else (stdin, name)
            del words[at : at + 2]
    finished = univar(*words[1:], stdin=stdin)
    if target is not None:
        Path(target).write_text(finished.stdout, encoding="utf-8")
    return finished


def enter(source: Path, endpoint: str) -> None:
    """`cd` into a folder of the repository: its files are copied to the working folder, which stays."""
    shutil.copytree(source, ".", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    for settings in Path().glob("*.toml"):
        settings.write_text(with_endpoint(settings.read_text(encoding="utf-8"), endpoint), encoding="utf-8")


def with_endpoint(text: str, endpoint: str) -> str:
    """Addresses of servers on this machine replaced by the tests' own endpoint."""
    return re.sub(r"http://127\.0\.0\.1:\d+", endpoint, text)


def check_others(words: list[str], example: Example) -> None:
    """What other programs are given has to be there: targets of make, scripts of python."""
    if words[0] == "make":
        makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE), f"{example}: {words}"
    if words[0] == "python":
        name = f"{words[2].replace('.', '/')}.py" if words[1] == "-m" else words[1]
        places = (REPOSITORY / name, example.page.parent / name)
        assert any(place.exists() for place in places), f"{example}: {words}"


def assert_shown(shown: list[str], finished: Finished, example: Example) -> None:
    """Each line that the page shows is printed, but for its numbers; `...` stands for anything."""
    printed = [without_numbers(line) for line in (finished.stdout + finished.stderr).splitlines()]
    for line in shown:
        expected = without_numbers(line)
        cut = expected.endswith("...")
        begin = expected.removesuffix("...").rstrip()
        found = any(other.startswith(begin) if cut else other == begin for other in printed)
        assert found, f"{example}: {line}\nis not in\n{finished.stdout}{finished.stderr}"


def without_numbers(line: str) -> str:
    return " ".join(re.sub(r"\d[\d,.]*", "#", line).split())
