"""univar export: a store as Parquet, npy or FAISS."""

from __future__ import annotations

import click

from univar.cli.output import Output, output_options


@click.command()
@click.argument("store", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="File to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "npy", "faiss"]),
    help="What to write; by default by the ending (.parquet, .npy, .faiss, .index).",
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@output_options
def export(store: str, out: str, format_: str | None, force: bool, output: Output) -> None:
    """Write STORE as one Parquet file, or as a matrix (npy, FAISS) with OUT.rows.parquet beside it.

    \b
    Example:
        univar export runs/answers -o answers.parquet
        univar export runs/answers -o vectors.npy
        univar export runs/answers -o index.faiss
    """
    from univar.store import Store
    from univar.store import export as export_store

    facts = export_store(Store(store, check="blocks"), out, format_, force=force)
    files = " and ".join(facts["files"])
    output.result(facts, f"{facts['rows']:,} rows, {facts['size_bytes'] / 1e6:,.1f} MB -> {files}")
