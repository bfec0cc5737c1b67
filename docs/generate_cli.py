"""Write docs/cli.md from the commands' own help, always at the same width.

python docs/generate_cli.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from univar.cli import cli  # noqa: E402

PAGE = REPOSITORY / "docs" / "cli.md"
WIDTH = 100
HEAD = """# Command reference

`python docs/generate_cli.py` writes this page from the commands' help; a test fails when it is stale.
[Formats](formats.md) describes the files and the JSON that the commands read and write.

These rules hold for every command:

- Results go to stdout, everything else to stderr. `--json` prints one object, or one object a line.
- `-` is stdin. The file name tells the format: `.jsonl`, `.csv`, `.tsv`, `.parquet`, plain, `.gz` or `.zst`.
- The same command again continues where it stopped. Nothing is overwritten without `--force`.
- An option can be set by the environment: `UNIVAR_EMBED_THREADS=4` is `univar embed --threads 4`.
- `eval "$(_UNIVAR_COMPLETE=bash_source univar)"` completes commands and options in bash; `zsh_source`
  and `fish_source` do so in those shells.

## Exit codes

{codes}
"""
CODES = {
    0: "done",
    1: "failed",
    2: "wrong usage",
    3: "bad data",
    4: "done in part: some rows or requests failed",
    10: "a limit that you set was passed, such as `--fail-under`",
    11: "the data could not tell",
    130: "interrupted; the same command continues",
}


def page() -> str:
    """The whole page as Markdown."""
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in CODES.items())
    parts = [HEAD.format(codes=f"| code | meaning |\n|---|---|\n{rows}")]
    parts += [f"## {context.command_path}\n\n```text\n{help_text(context)}\n```\n" for context in contexts()]
    return "\n".join(parts)


def contexts() -> Iterator[click.Context]:
    """A context for `univar`, each command and each command of a command, in the order of the help."""
    yield from _below(click.Context(cli, info_name="univar", **settings()))


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _below(click.Context(command, parent=context, info_name=name, **settings()))


def settings() -> dict[str, Any]:
    """What makes the help the same on every terminal."""
    return {"terminal_width": WIDTH, "max_content_width": WIDTH, "help_option_names": ["-h", "--help"]}


def help_text(context: click.Context) -> str:
    """A command's help as `-h` prints it, without the option -h itself."""
    lines = context.command.get_help(context).splitlines()
    shown = [line.rstrip() for line in lines if not line.strip().startswith(("-h, --help", "--help"))]
    return "\n".join(shown)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
