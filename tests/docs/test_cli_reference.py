"""docs/cli.md is what the commands' help says today, and no command or option is missing in it."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import click
import pytest

from tests.docs.pages import REPOSITORY
from univar import errors
from univar.cli import COMMANDS, cli

PAGE = REPOSITORY / "docs" / "cli.md"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate_cli.py as a module."""
    spec = importlib.util.spec_from_file_location("generate_cli", REPOSITORY / "docs" / "generate_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_fresh(generator: ModuleType) -> None:
    assert PAGE.read_text(encoding="utf-8") == generator.page(), "run: python docs/generate_cli.py"


@pytest.mark.parametrize("columns", ["20", "300"])
def test_the_terminal_does_not_change_the_page(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    before = generator.page()
    monkeypatch.setenv("COLUMNS", columns)
    assert generator.page() == before


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_and_no_option_is_missing(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for path, part in [(name, command), *below(name, command)]:
        section = sections()[f"univar {path}"]
        for option in part.params:
            if isinstance(option, click.Option) and not option.hidden:
                spellings = [each for each in option.opts if each not in getattr(option, "was", ())]
                assert any(re.search(rf"(?<!\S){re.escape(each)}\b", section) for each in spellings), option
            if isinstance(option, click.Argument):
                assert option.human_readable_name in section, option


@pytest.mark.parametrize("name", COMMANDS)
def test_no_two_parameters_of_a_command_share_a_name(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for path, part in [(name, command), *below(name, command)]:
        names = [parameter.name for parameter in part.params]
        assert len(set(names)) == len(names), path


def below(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    """The commands of a command, with their paths."""
    if not isinstance(command, click.Group):
        return []
    return [(f"{name} {own}", part) for own, part in command.commands.items()]


def sections() -> dict[str, str]:
    """The text below each heading of the page."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_all_exit_codes_are_listed(generator: ModuleType) -> None:
    known = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert set(generator.CODES) == known
