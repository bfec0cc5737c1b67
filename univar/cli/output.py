"""Options and printing shared by all commands: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from univar.tables import Table

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


FORMATS = ("table", "csv", "markdown", "latex")
"""What --as takes."""


def table_text(result: Table, form: str = "table") -> str:
    """A table of the library in one of FORMATS, for a person or for another program."""
    if form == "table":
        shown = table(result.headers, result.rows, result.title or None, result.keys)
        return "\n".join([shown, *map(printable, result.notes)])
    return "\n".join(map(printable, getattr(result, form)().split("\n")))


def table(headers: list[str], rows: list[list[str]], title: str | None = None, keys: int = 1) -> str:
    """A plain table as text, in blocks as wide as the terminal; colours only on a terminal without NO_COLOR.

    keys: the first columns, which name a row; every block begins with them
    Without a terminal, and where COLUMNS is not set, a block has up to 160 characters.
    """
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    width = shutil.get_terminal_size((160, 24)).columns
    cells = [[printable(cell) for cell in row] for row in rows]
    buffer = StringIO()
    console = Console(file=buffer, force_terminal=sys.stdout.isatty(), width=width)
    for number, columns in enumerate(_blocks([headers, *cells], keys, width)):
        grid = Table(
            title=title if not number else None,
            title_justify="left",
            box=None,
            pad_edge=False,
            header_style="bold",
        )
        for column in columns:
            grid.add_column(headers[column], justify="right" if column >= keys else "left", overflow="fold")
        for row in cells:
            grid.add_row(*(row[column].replace("[", "\\[") for column in columns))
        if number:
            console.print()
        console.print(grid)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def _blocks(lines: list[list[str]], keys: int, width: int) -> list[list[int]]:
    """Numbers of the columns of each block: the keys, and as many others as fit."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) + 2 for column in zip(*lines, strict=True)]
    first = list(range(min(keys, len(widths))))
    blocks, used = [list(first)], sum(widths[:keys])
    for column in range(len(first), len(widths)):
        if used + widths[column] - 2 > width and len(blocks[-1]) > len(first):
            blocks.append(list(first))
            used = sum(widths[:keys])
        blocks[-1].append(column)
        used += widths[column]
    return blocks
