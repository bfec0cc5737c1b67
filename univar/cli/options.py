"""Options that commands share: those of answer files, languages, and names that options had before."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from univar.errors import DataError, UsageError


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
    """Add --format and --map; the command receives them as `format` and `rename`, ready for `read_rows`."""

    @click.option("--format", help="Input format: jsonl, csv, tsv or parquet. Default: from the file name.")
    @click.option(
        "--map",
        "pairs",
        multiple=True,
        metavar="OURS=YOURS",
        help="Read our column from YOURS.",
    )
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


def parse_languages(text: str | None) -> tuple[str, ...]:
    """`eng,zh` as ("eng", "zho"); empty without the option. Raises UsageError for an unknown language."""
    from univar.schema import normalize_language

    try:
        codes = [normalize_language(code) for code in (text or "").split(",") if code.strip()]
    except DataError as error:
        raise UsageError(str(error)) from None
    return tuple(dict.fromkeys(codes))
