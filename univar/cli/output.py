"""Options and printing shared by all commands: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

SCHEMA = 2
"""Version of the JSON that commands print; raised when a key changes its name or meaning."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Output:
    """How a command prints: `json` for one object on stdout, `quiet` for no notes on stderr."""

    json: bool
    quiet: bool

    def result(self, facts: Any, text: str | None = None, old_names: Mapping[str, str] | None = None) -> None:
        """Print the command's result: `facts` as JSON with --json, else `text`.

        old_names: {key: the name it had before}; `facts`, an object, then carries a `schema` number and both
        names, the old one for one release.
        """
        if self.json:
            if old_names is not None:
                old = {name: facts[key] for key, name in old_names.items() if key in facts}
                facts = {"schema": SCHEMA, **facts, **old}
            click.echo(printable(json.dumps(facts, ensure_ascii=False, allow_nan=False)))
        elif text is not None:
            click.echo(text)

    def note(self, text: str) -> None:
        """Print a remark about the run to stderr."""
        if not self.quiet:
            click.echo(text, err=True)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json and --quiet; the command receives them as one `output` argument."""
    import functools

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("-q", "--quiet", is_flag=True, help="Print no notes and no progress to stderr.")
    @functools.wraps(command)
    def with_output(*args: Any, as_json: bool, quiet: bool, **kwargs: Any) -> Any:
        return command(*args, output=Output(as_json, quiet), **kwargs)

    return with_output


def printable(text: str) -> str:
    """`text`, which may be a stranger's, with control characters and bidirectional overrides escaped."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def counted(number: int, noun: str) -> str:
    """`1 shard`, `2 shards`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def table(headers: list[str], rows: list[list[str]], title: str | None = None) -> str:
    """A plain table as text, as wide as the terminal allows; colours only on a terminal without NO_COLOR."""
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column, header in enumerate(headers):
        grid.add_column(header, justify="left" if column == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(printable(cell).replace("[", "\\[") for cell in row))
    buffer = StringIO()
    console = Console(
        file=buffer, force_terminal=sys.stdout.isatty(), width=None if sys.stdout.isatty() else 160
    )
    console.print(grid)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())
