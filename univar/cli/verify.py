"""univar verify: recompute a store's checksums."""

from __future__ import annotations

import click

from univar.cli.output import Output, output_options, printable
from univar.errors import EXIT_DATA


@click.command()
@click.argument("store", type=click.Path())
@output_options
def verify(store: str, output: Output) -> None:
    """Recompute everything STORE claims about itself; exit code 3 and a line per problem if it is damaged.

    \b
    Example:
        univar verify runs/answers
        univar verify runs/answers --json
    """
    from univar.store import verify as verify_store

    report = verify_store(store)
    for note in report.notes:
        output.note(f"note: {printable(note)}")
    done = (
        f"{report.rows:,} rows, {report.shards} shards, {report.blocks} blocks, {report.size_bytes:,} bytes"
    )
    verdict = "ok" if report.ok else f"{len(report.problems)} problems"
    output.result(
        report.facts(), "\n".join([*map(printable, report.problems), f"{store}: {done}: {verdict}"])
    )
    if not report.ok:
        raise SystemExit(EXIT_DATA)
