"""Options under their old names: accepted for a release, and not shown."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from univar.cli.common import RenamedOption


@click.command()
@click.option("--worker", cls=RenamedOption, was=("--shard",), metavar="I/N", help="Part.")
def command(worker: str | None) -> None:
    click.echo(worker)


@pytest.mark.parametrize("name", ["--worker", "--shard"])
def test_both_names_are_accepted(name: str) -> None:
    assert CliRunner().invoke(command, [name, "1/2"]).output == "1/2\n"


def test_only_the_new_name_is_shown() -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    assert "--worker I/N" in shown
    assert "--shard" not in shown
