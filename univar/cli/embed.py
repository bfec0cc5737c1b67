"""univar embed: answers to value embeddings."""

from __future__ import annotations

import os
import signal
import threading

import click

from univar.cli.inputs import input_options
from univar.cli.output import Output, output_options
from univar.errors import EXIT_INTERRUPTED, EXIT_PARTIAL, UsageError


def parse_shard(text: str | None) -> tuple[int, int]:
    """`--shard 2/8` as (2, 8); without it, torchrun's RANK and WORLD_SIZE, else (0, 1)."""
    if text is None:
        return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    index, slash, workers = text.partition("/")
    if not (slash and index.isdecimal() and workers.isdecimal()):
        raise UsageError(f"--shard {text!r} is not i/n, e.g. --shard 0/4 for the first of four workers")
    return int(index), int(workers)


def stop_on_signals() -> threading.Event:
    """An event that SIGINT or SIGTERM sets; a second signal kills as usual."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    return stop


_OLD_NAMES = {"rejected": "refused", "rejected_log": "refused_log"}


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", "store", required=True, help="Folder of the store; continued if it exists.")
@click.option(
    "-e",
    "--encoder",
    "spec",
    default="minilm",
    show_default=True,
    help="Name, folder or hub id of the encoder.",
)
@click.option(
    "--dtype", default="auto", show_default=True, help="Of the forward: auto, fp32, bf16, fp16 or int8."
)
@click.option(
    "--store-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="Of the stored embeddings.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--max-length", type=int, help="Tokens after which a text is cut; default: the encoder's own.")
@click.option("--threads", type=int, help="CPU threads; default: all that the process may use.")
@click.option("--shard", metavar="I/N", help="Embed the I-th of N parts (0-based); default: torchrun's rank.")
@click.option("--dry-run", is_flag=True, help="Only say what would be embedded.")
@input_options
@output_options
def embed(
    inputs: tuple[str, ...],
    store: str,
    spec: str,
    dtype: str,
    store_dtype: str,
    device: str,
    max_length: int | None,
    threads: int | None,
    shard: str | None,
    dry_run: bool,
    format: str | None,
    rename: dict[str, str],
    output: Output,
) -> None:
    """Embed answer rows into a store. The same command again continues; new rows are added.

    INPUTS are JSONL, CSV, TSV or Parquet files (plain, .gz or .zst) with the columns model, language,
    question and answer; - is stdin. Rows that cannot be embedded are listed, counted, and make the exit
    code 4.

    \b
    Example:
        univar embed answers.jsonl -o runs/answers
        univar embed answers.csv.gz -o runs/csv --map answer=response
        cat answers.jsonl | univar embed - -o runs/multilingual --encoder e5-multilingual
    """
    from univar import bulk
    from univar.cli.progress import ProgressReporter
    from univar.encoder.encoder import Encoder
    from univar.runtime import prefer_jemalloc

    encoder = Encoder(spec, dtype=dtype, device=device, max_length=max_length, threads=threads)
    worker = parse_shard(shard)
    if dry_run:
        plan = bulk.plan(inputs, store, encoder=encoder, worker=worker, format=format, rename=rename)
        output.result(plan.facts(), plan.summary(), _OLD_NAMES)
        return
    prefer_jemalloc()
    with ProgressReporter(inputs, format, output) as reporter:
        report = bulk.embed(
            inputs,
            store,
            encoder=encoder,
            dtype=store_dtype,
            worker=worker,
            format=format,
            rename=rename,
            on_rejected=reporter.rejected,
            on_progress=reporter.update,
            stop=stop_on_signals(),
        )
    output.result(report.facts(), report.summary(), _OLD_NAMES)
    if report.interrupted:
        output.note("interrupted: what was finished is stored; the same command continues")
        raise SystemExit(EXIT_INTERRUPTED)
    if report.rejected:
        output.note(f"{report.rejected:,} rows rejected, listed in {report.rejected_log}")
        raise SystemExit(EXIT_PARTIAL)
