"""Options of every command that reads answer files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from univar.errors import UsageError


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format and --map; the command receives them as `format` and `rename`, ready for `read_rows`."""

    @click.option("--format", help="jsonl, csv, tsv or parquet; default: by the file's ending.")
    @click.option("--map", "pairs", multiple=True, metavar="OURS=YOURS", help="Read our column from yours.")
    @functools.wraps(command)
    def with_input(*args: Any, pairs: tuple[str, ...], **kwargs: Any) -> Any:
        return command(*args, rename=parse_map(pairs), **kwargs)

    return with_input


def parse_map(pairs: tuple[str, ...]) -> dict[str, str]:
    """`--map answer=response` as {"answer": "response"}."""
    rename: dict[str, str] = {}
    for pair in pairs:
        ours, _, yours = (part.strip() for part in pair.partition("="))
        if not (ours and yours):
            raise UsageError(f"--map {pair!r} is not OURS=YOURS, such as --map answer=response")
        if ours in rename:
            raise UsageError(f"--map names {ours!r} twice: one column can be read from one other only")
        rename[ours] = yours
    return rename
