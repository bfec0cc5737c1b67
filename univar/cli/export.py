"""`univar export`: a store as Parquet, npy or FAISS."""

from __future__ import annotations

import click

from univar.cli.options import RenamedOption
from univar.cli.output import Output, table_options


@click.command()
@click.argument("store", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="File to write.")
@click.option(
    "--to",
    "format",
    cls=RenamedOption,
    was=("--format",),
    type=click.Choice(["parquet", "npy", "faiss"]),
    help="Output format. Default: from the ending of OUT (.parquet, .npy, .faiss or .index).",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@table_options
def export(store: str, out: str, format: str | None, force: bool, output: Output) -> None:
    """Write STORE as one Parquet file, or as a matrix (npy, FAISS) and the columns beside it.

    With npy and FAISS, the columns go to a file named like OUT that ends in .rows.parquet, in the same order.

    \b
    Example:
        univar export runs/answers -o answers.parquet
        univar export runs/answers -o vectors.npy
        univar export runs/answers -o index.faiss
    """
    from univar.store import Store
    from univar.store import export as export_store

    facts = export_store(Store(store, check="blocks"), out, format, force=force)
    files = " and ".join(facts["files"])
    output.result(facts, f"{facts['rows']:,} rows, {facts['size_bytes'] / 1e6:,.1f} MB -> {files}")
