"""The `univar` command: one file per sub-command, each imported when it is called."""

from __future__ import annotations

import importlib
import keyword
import os
import sys

import click

from univar import __version__
from univar.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, UnivarError

COMMANDS = {
    "doctor": "Show what is installed and which implementation runs.",
    "demo": "Run the whole chain on a shipped corpus, offline.",
    "values": "List the human values of the literature.",
    "questions": "List, check and make questions.",
    "elicit": "Ask models questions and keep their answers.",
    "import": "Convert answers collected by other tools.",
    "translate": "Translate answers and questions.",
    "check": "Report what answer files hold and which rows are faulty.",
    "split": "Split answers by question, for evaluation.",
    "embed": "Embed answers into a store.",
    "info": "Show what a store holds.",
    "verify": "Check a store for damage.",
    "export": "Write a store as Parquet, npy or FAISS.",
    "merge": "Merge several stores into one.",
    "index": "Build the search index of a store.",
    "attribute": "Identify the model and language that answers came from.",
    "evaluate": "Measure attribution accuracy, with confidence intervals.",
    "train": "Train a value encoder on answers.",
    "export-model": "Write an encoder as a SentenceTransformer folder.",
}


class LazyGroup(click.Group):
    """Imports a sub-command's module only when it runs, so that `univar --help` imports no torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        python_name = name.replace("-", "_") + "_" * keyword.iskeyword(name)
        return getattr(importlib.import_module(f"univar.cli.{python_name}"), python_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "UNIVAR"},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad data, 4 done in part, 10 a limit you set "
    "was not met, 11 could not tell, 130 interrupted.",
)
@click.version_option(__version__, prog_name="univar")
def cli() -> None:
    """Turn what language models say into vectors of what they value.

    \b
    Example:
        univar embed answers.jsonl -o runs/answers
        univar attribute runs/answers < unknown.jsonl
    """


def main() -> None:
    """Entry point: run a command and turn every expected failure into one sentence and an exit code."""
    try:
        exit_code = cli(standalone_mode=False)  # what a command gave to ctx.exit, else None
        sys.exit(exit_code if isinstance(exit_code, int) else EXIT_OK)
    except click.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UnivarError as error:
        click.echo(f"univar: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("univar: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
