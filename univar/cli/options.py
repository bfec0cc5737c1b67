"""Options that commands share: those of answer files, languages, and names that options had before."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from univar.errors import UsageError


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
