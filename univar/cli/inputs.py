"""Options of every command that reads answer files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

FORMATS = ("jsonl", "csv", "tsv", "parquet")


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format and --map; the command receives them as `format` and `rename`, ready for `read_rows`."""

    @click.option("--format", type=click.Choice(FORMATS), help="Format of the input, whatever its ending.")
    @click.option(
        "--map",
        "pairs",
        multiple=True,
        metavar="OURS=THEIRS",
        help="Read our column from theirs, such as answer=response; may be given several times.",
    )
    @functools.wraps(command)
    def with_input(*args: Any, pairs: tuple[str, ...], **kwargs: Any) -> Any:
        return command(*args, rename=_rename(pairs), **kwargs)

    return with_input


def _rename(pairs: tuple[str, ...]) -> dict[str, str]:
    rename: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not ours.strip() or not theirs.strip():
            raise click.BadParameter(
                f"{pair!r} is not OURS=THEIRS, such as answer=response", param_hint="--map"
            )
        if ours.strip() in rename:
            raise click.BadParameter(f"{ours.strip()!r} is given twice", param_hint="--map")
        rename[ours.strip()] = theirs.strip()
    return rename
