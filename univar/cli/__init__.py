"""The `univar` command: one file per sub-command, each imported when it is called."""

from __future__ import annotations

import importlib
import io
import keyword
import os
import signal
import sys
from contextlib import suppress

import click

from univar import __version__
from univar.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, UnivarError, did_you_mean

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
    "profile": "Say which values each source puts first.",
    "culture": "Compare languages with kinship and human values.",
    "map": "Draw a store's answers.",
    "same": "Test whether two sets of answers come from one source.",
    "evaluate": "Measure attribution accuracy, with confidence intervals.",
    "compare": "Measure how far sources are apart.",
    "track": "Test whether a release moved.",
    "report": "Write one page about a store.",
    "train": "Train a value encoder on answers.",
    "serve": "Serve embeddings and attribution over HTTP.",
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}{did_you_mean(args[0], COMMANDS)}.")
        return super().resolve_command(ctx, args)

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
    """Entry point: run a command and turn every failure into one sentence and an exit code."""
    from univar.cli.common import say, silence

    _open_standard_streams()
    _end_on_sigterm()
    exit_code = EXIT_FAILED
    try:
        found = cli(standalone_mode=False)  # what a command gave to ctx.exit, else None
        exit_code = found if isinstance(found, int) else EXIT_OK
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        say("univar: interrupted")
        exit_code = EXIT_INTERRUPTED
    except click.ClickException as error:
        exit_code = error.exit_code
        _show(error)
    except UnivarError as error:
        say(f"univar: {error}")
        exit_code = error.exit_code
    except BrokenPipeError:
        silence(sys.stdout, 1)
    except MemoryError as error:
        say(f"univar: there is not enough memory{f' ({error})' if str(error) else ''}: {_LESS_MEMORY}")
    except Exception as error:  # a fault of ours: one sentence all the same
        if os.environ.get("UNIVAR_DEBUG"):
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        say(
            f"univar: unexpected {type(error).__name__}: {reason}. Set UNIVAR_DEBUG=1 to see where it "
            "happens, and report it"
        )
    sys.exit(exit_code or _flushed())


_LESS_MEMORY = "give smaller files, or run where more memory is free"


def _show(error: click.ClickException) -> None:
    """Print a usage error as click does, escaped."""
    from univar.cli.common import say

    context = getattr(error, "ctx", None)
    if context is not None:
        say(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n")
    say(f"Error: {error.format_message()}")


def _open_standard_streams() -> None:
    """Where the shell closed stdin, stdout or stderr (`>&-`), let it be /dev/null.

    Else the next file that is opened would take its place, and what is printed would go into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)  # the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open as long as we run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end_on_sigterm() -> None:
    """Let SIGTERM end a command as Ctrl-C does: files that are half written are removed."""
    with suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)


def _flushed() -> int:
    """Write out what is still held for stdout; the exit code."""
    from univar.cli.common import say, silence

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout, 1)
    except (OSError, ValueError) as error:
        silence(sys.stdout, 1)
        say(f"univar: cannot write the result to stdout: {getattr(error, 'strerror', None) or error}")
    else:
        return EXIT_OK
    return EXIT_FAILED
