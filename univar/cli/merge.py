"""`univar merge`: several stores into one."""

from __future__ import annotations

import click

from univar.cli.common import Output, counted, table_options


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="Folder of the new store.")
@table_options
def merge(stores: tuple[str, ...], out: str, output: Output) -> None:
    """Merge STORES into a new store, without duplicate rows.

    A single store written by several workers becomes an ordinary one. Run the same command again to continue
    an interrupted merge.

    \b
    Example:
        univar merge runs/a runs/b -o runs/both
        univar merge runs/workers -o runs/one --json
    """
    from univar.cli.progress import Waiting
    from univar.store import merge as merge_stores

    with Waiting("merging", output):
        facts = merge_stores(stores, out)
    text = (
        f"{counted(facts['read'], 'row')} read, {counted(facts['duplicates'], 'duplicate')} dropped, "
        f"{facts['added']:,} added"
    )
    output.result(facts, f"{text} -> {out} ({counted(facts['rows'], 'row')})")
