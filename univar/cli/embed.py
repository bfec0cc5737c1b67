"""univar embed: answers to value embeddings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from univar.cli.common import Output, RenamedOption, input_options, table_options
from univar.errors import EXIT_INTERRUPTED, EXIT_PARTIAL, UsageError

if TYPE_CHECKING:
    from univar.answers.inputs import Reading
    from univar.encoder.reading import ReadOptions


def parse_worker(text: str | None) -> tuple[int, int]:
    """`--worker 2/8` as (2, 8); without it, torchrun's RANK and WORLD_SIZE, else (0, 1)."""
    if text is None:
        return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    index, slash, workers = text.partition("/")
    if not (slash and index.isdecimal() and workers.isdecimal()):
        raise UsageError(f"--worker {text!r} is not i/n, e.g. --worker 0/4 for the first of four workers")
    return int(index), int(workers)


UNKNOWN_TOLD = 0.05
"""Share of unknown tokens from which on the command says so."""


def _read_options(
    mode: str | None, question_tokens: int | None, max_pieces: int | None
) -> ReadOptions | None:
    """What is read of a row; None without options: as the store was begun."""
    from univar.encoder.reading import ReadOptions

    if (mode, question_tokens, max_pieces) == (None, None, None):
        return None
    if mode == "paper" and (question_tokens or max_pieces):
        raise UsageError("--question-tokens and --max-pieces are for --read whole: leave them out")
    given = {"mode": mode, "question_tokens": question_tokens, "max_pieces": max_pieces}
    return ReadOptions(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


_OLD_NAMES = {"rejected": "refused", "rejected_log": "refused_log"}


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "-o", "--out", "store", required=True, help="Folder of the store; an existing one is continued."
)
@click.option(
    "-e",
    "--encoder",
    "spec",
    help="Encoder: a name, a folder or a hub id. Default: the store's, else by the languages of the answers.",
)
@click.option(
    "--read",
    "mode",
    type=click.Choice(["whole", "paper"]),
    help="What is read of a row: the whole answer in pieces, or question and answer cut to one piece. "
    "Default: as the store was begun, and whole in a new one.",
)
@click.option(
    "--question-tokens",
    type=click.IntRange(2),
    help="Tokens of the question before every piece; a longer one loses its middle.  [default: 64]",
)
@click.option("--max-pieces", type=click.IntRange(1), help="Pieces read of an answer.  [default: 16]")
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    help="Encoder precision: auto, fp32, bf16, fp16 or int8.",
)
@click.option(
    "--store-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="Precision of the stored embeddings.",
)
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@click.option("--max-length", type=int, help="Tokens read of a text. Default: the encoder's own limit.")
@click.option("--threads", type=int, help="Number of CPU threads. Default: all that the process may use.")
@click.option(
    "--worker",
    cls=RenamedOption,
    was=("--shard",),
    metavar="I/N",
    help="Embed part I of N (counted from 0). Default: torchrun's rank.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be embedded, and stop.")
@input_options
@table_options
def embed(
    inputs: tuple[str, ...],
    store: str,
    spec: str | None,
    mode: str | None,
    question_tokens: int | None,
    max_pieces: int | None,
    dtype: str,
    store_dtype: str,
    device: str,
    max_length: int | None,
    threads: int | None,
    worker: str | None,
    dry_run: bool,
    reading: Reading,
    output: Output,
) -> None:
    """Embed answer rows into a store. Run the same command again to continue; new rows are added.

    INPUTS are JSONL, CSV, TSV or Parquet files (plain, .gz or .zst) with the columns model, language,
    question and answer; - is stdin. The encoder is univar-2 where every row is in English, else
    univar-2-multilingual. Answers are read to their end, in pieces that begin with the question; what is not
    read is counted. Rows that cannot be embedded are listed and counted, and the exit code is then 4.

    \b
    Example:
        univar embed answers.jsonl -o runs/answers
        univar embed answers.csv.gz -o runs/csv --map answer=response
        cat answers.jsonl | univar embed - -o runs/multilingual --encoder e5-multilingual
    """
    from univar.bulk import EmbedOptions
    from univar.bulk import embed as run
    from univar.cli.progress import ProgressReporter, stop_on_signals
    from univar.encoder.encoder import Encoder
    from univar.runtime import prefer_jemalloc

    part, read = parse_worker(worker), _read_options(mode, question_tokens, max_pieces)
    chosen = None
    if spec is None:
        from univar.bulk.default_encoder import choose_encoder

        chosen = choose_encoder(inputs, store, reading)
        output.note(f"encoder {chosen.spec}: {chosen.why}")
        spec, max_length = chosen.spec, max_length or chosen.max_length
    options = EmbedOptions(
        encoder=Encoder(spec, dtype=dtype, device=device, max_length=max_length, threads=threads),
        dtype=store_dtype,
        worker=part,
        reading=reading,
        read=read,
        only_readable=chosen is not None,
    )
    if dry_run:
        from univar.bulk.plan import plan

        planned = plan(inputs, store, options)
        output.result(planned.facts(), planned.summary(), _OLD_NAMES)
        return
    prefer_jemalloc()
    with ProgressReporter(inputs, reading, output) as reporter:
        report = run(
            inputs,
            store,
            options,
            on_rejected=reporter.rejected,
            on_note=output.note,
            on_progress=reporter.update,
            stop=stop_on_signals(),
        )
    output.result(report.facts(), report.summary(), _OLD_NAMES)
    if report.unknown_share > UNKNOWN_TOLD:
        output.note(
            f"{100 * report.unknown_share:.1f} % of the answers' tokens are unknown to {spec}: for their "
            "languages use another encoder, such as -e univar-2-multilingual"
        )
    if report.interrupted:
        output.note("interrupted: what was finished is stored; the same command continues")
        raise SystemExit(EXIT_INTERRUPTED)
    if report.rejected:
        output.note(f"{report.rejected:,} rows rejected, listed in {report.rejected_log}")
        raise SystemExit(EXIT_PARTIAL)
