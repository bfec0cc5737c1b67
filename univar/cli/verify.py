"""`univar verify`: check a store."""

from __future__ import annotations

import click

from univar.cli.common import Output, counted, table_options
from univar.errors import EXIT_DATA


@click.command()
@click.argument("store", type=click.Path())
@table_options
def verify(store: str, output: Output) -> None:
    """Recompute the checksums of STORE and check every row.

    Each problem is printed on a line of its own, and the exit code is then 3.

    \b
    Example:
        univar verify runs/answers
        univar verify runs/answers --json
    """
    from univar.cli.progress import Waiting
    from univar.store import verify as verify_store

    with Waiting("verifying", output):
        report = verify_store(store)
    for note in report.notes:
        output.note(f"note: {note}")
    done = (
        f"{counted(report.rows, 'row')}, {counted(report.shards, 'shard')}, "
        f"{counted(report.blocks, 'block')}, {report.size_bytes:,} bytes"
    )
    verdict = "ok" if report.ok else counted(len(report.problems), "problem")
    output.result(report.facts(), "\n".join([*report.problems, f"{store}: {done}: {verdict}"]))
    if not report.ok:
        raise SystemExit(EXIT_DATA)
