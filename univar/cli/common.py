"""What commands share: their options, and how a result, a note or an error is printed."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union

import click

from univar.errors import ProviderError, UsageError

if TYPE_CHECKING:
    from univar.tables import Table

SCHEMA = 2
"""Version of the JSON that commands print; raised when a key changes its name or meaning."""

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Terminal controls, marks that change the direction of text, half characters, invisible tags."""

FORMATS = ("table", "csv", "markdown", "latex")
"""What --as takes."""

Block = Union[str, "Table"]
"""A part of what a command prints: sentences, or a table."""


@dataclass(frozen=True)
class Output:
    """How a command prints: `json` for one object on stdout, `quiet` for no notes on stderr.

    form: of tables, one of FORMATS. Everything is escaped here, once (`printable`), whoever wrote it.
    """

    json: bool
    quiet: bool
    form: str = "table"

    def result(
        self,
        facts: Any,
        text: Block | Sequence[Block] | None = None,
        old_names: Mapping[str, str] | None = None,
    ) -> None:
        """Print the command's result: `facts` as JSON with --json, else `text`.

        old_names: {key: the name it had before}; `facts`, an object, then carries a `schema` number and both
        names, the old one for one release.
        """
        if self.json:
            if old_names is not None:
                old = {name: facts[key] for key, name in old_names.items() if key in facts}
                facts = {"schema": SCHEMA, **facts, **old}
            write_out(printable(json.dumps(facts, ensure_ascii=False, allow_nan=False)))
        elif text is not None:
            blocks: list[Any] = [text] if isinstance(text, str) or hasattr(text, "headers") else list(text)
            if self.form != "table" and all(isinstance(block, str) for block in blocks):
                from univar.tables import facts_table

                blocks.insert(0, facts_table(facts))
            self._blocks(blocks)

    def _blocks(self, blocks: list[Block]) -> None:
        """Print tables and sentences; of CSV only the tables are data, sentences go to stderr."""
        shown: list[str] = []
        for block in blocks:
            if not isinstance(block, str):
                shown.append(table_text(block, self.form))
            elif self.form == "csv":
                self.note(block)
            elif self.form == "latex":
                shown.append("\n".join(f"% {printable(line)}".rstrip() for line in block.split("\n")))
            else:
                shown.append(printable(block))
        if shown:
            write_out("\n\n".join(shown))

    def note(self, text: str) -> None:
        """Print a remark about the run to stderr."""
        if not self.quiet:
            say(text)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json and --quiet; the command receives them as one `output` argument."""
    import functools

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("-q", "--quiet", is_flag=True, help="Print no notes and no progress to stderr.")
    @functools.wraps(command)
    def with_output(*args: Any, as_json: bool, quiet: bool, form: str = "table", **kwargs: Any) -> Any:
        return command(*args, output=Output(as_json, quiet, form), **kwargs)

    return with_output


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --as, --json and --quiet. Of a command that prints sentences, --as makes a table of its facts."""
    choice = click.Choice(FORMATS)
    help = "Format of the printed tables."
    as_option = click.option("--as", "form", type=choice, default="table", show_default=True, help=help)
    return as_option(output_options(command))


def write_out(text: str) -> None:
    """Write a line to stdout. Raises ProviderError where stdout takes no more (not where its reader left)."""
    try:
        click.echo(text)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout, 1)
        raise ProviderError(f"cannot write the result to stdout: {error.strerror or error}") from None


def say(text: str) -> None:
    """Write a line to stderr, escaped; one that cannot be written is lost, and no reason to stop."""
    try:
        click.echo(printable(text), err=True)
    except (OSError, ValueError):
        silence(sys.stderr, 2)


def silence(stream: Any, number: int) -> None:
    """Let a stream that takes no more write to nowhere, so that Python does not fail at its end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        stream.flush()


def printable(text: str) -> str:
    """`text`, which may be a stranger's, with what would steer a terminal escaped as in JSON."""
    return _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def counted(number: int, noun: str) -> str:
    """`1 shard`, `2 shards`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


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
    from rich.text import Text

    width = shutil.get_terminal_size((160, 24)).columns
    names, *cells = [[printable(cell).replace("\n", "\\n") for cell in row] for row in [headers, *rows]]
    buffer = StringIO()
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(file=buffer, force_terminal=is_terminal, width=width, markup=False, emoji=False)
    for number, columns in enumerate(_blocks([names, *cells], keys, width)):
        grid = Table(
            title=Text(printable(title)) if title and not number else None,
            title_justify="left",
            box=None,
            pad_edge=False,
            header_style="bold",
        )
        for column in columns:
            side: Literal["left", "right"] = "right" if column >= keys else "left"
            grid.add_column(Text(names[column]), justify=side, overflow="fold")
        for row in cells:
            grid.add_row(*(Text(row[column]) for column in columns))
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


class RenamedOption(click.Option):
    """An option that still answers to its old names, which the help does not show.

    was: the old spellings, kept for one release, e.g. ("--shard",)
    """

    def __init__(self, declarations: Sequence[str], *, was: Sequence[str], **settings: Any) -> None:
        super().__init__([*declarations, *was], **settings)
        self.was = tuple(was)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The help's two columns, without the old names."""
        known = self.opts
        self.opts = [name for name in known if name not in self.was]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = known


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of answer files; the command receives them as one `reading`."""

    @click.option("--format", help="Input format: jsonl, json, csv, tsv, parquet or excel.")
    @click.option("--map", "pairs", multiple=True, metavar="OURS=YOURS", help="Read our column from YOURS.")
    @click.option(
        "--constant", "constants", multiple=True, metavar="OURS=VALUE", help="Give every row this value."
    )
    @click.option("--delimiter", metavar="CHAR", help="Delimiter of CSV, e.g. ';' or tab.")
    @click.option("--encoding", metavar="NAME", help="Encoding of text files, e.g. cp1252.")
    @click.option("--quoting", metavar="KIND", help="Quoting of CSV and TSV: double or none.")
    @functools.wraps(command)
    def with_input(
        *args: Any,
        format: str | None,
        pairs: tuple[str, ...],
        constants: tuple[str, ...],
        delimiter: str | None,
        encoding: str | None,
        quoting: str | None,
        **kwargs: Any,
    ) -> Any:
        from univar.answers.inputs import Reading

        delimiter = _DELIMITERS.get(delimiter or "", delimiter)
        constant = parse_pairs("--constant", constants, "language=fra")
        reading = Reading(
            format, parse_pairs("--map", pairs, "answer=response"), delimiter, encoding, quoting, constant
        ).checked()
        return command(*args, reading=reading, **kwargs)

    return with_input


_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
"""Names of delimiters that a shell makes hard to type."""


def parse_pairs(option: str, pairs: tuple[str, ...], example: str) -> dict[str, str]:
    """`--map answer=response` as {"answer": "response"}."""
    parsed: dict[str, str] = {}
    for pair in pairs:
        ours, _, value = (part.strip() for part in pair.partition("="))
        if not (ours and value):
            raise UsageError(f"{option} {pair!r} is not OURS=..., such as {option} {example}")
        if ours in parsed:
            raise UsageError(f"{option} names {ours!r} twice: one column can be read from one other only")
        parsed[ours] = value
    return parsed
