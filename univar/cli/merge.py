"""univar merge: several stores into one."""

from __future__ import annotations

import click

from univar.cli.output import Output, output_options


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="Folder of the new store.")
@output_options
def merge(stores: tuple[str, ...], out: str, output: Output) -> None:
    """Write the rows of STORES, each once, into a new store; one sharded store becomes an ordinary one.

    An interrupted merge goes on when the same command runs again.

    \b
    Example:
        univar merge runs/a runs/b -o runs/both
        univar merge runs/sharded -o runs/one --json
    """
    from univar.store import merge as merge_stores

    facts = merge_stores(stores, out)
    text = (
        f"{facts['read']:,} rows read, {facts['duplicates']:,} duplicates dropped, {facts['added']:,} added"
    )
    output.result(facts, f"{text} -> {out} ({facts['rows']:,} rows)")
