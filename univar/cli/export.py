"""`univar export`: a store as Parquet, CSV, npy or FAISS."""

from __future__ import annotations

import click

from univar.cli.common import Output, RenamedOption, table_options
from univar.errors import UsageError


@click.command()
@click.argument("store", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="File to write.")
@click.option(
    "--to",
    "format",
    cls=RenamedOption,
    was=("--format",),
    type=click.Choice(["parquet", "csv", "npy", "faiss"]),
    help="Output format. Default: from the ending of OUT (.parquet, .csv, .npy, .faiss or .index).",
)
@click.option("--columns", metavar="NAMES", help="Columns to write, separated by commas. Default: all.")
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Write only these rows; repeatable. Values of one column are alternatives.",
)
@click.option("--no-text", is_flag=True, help="Leave out the questions and answers.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@table_options
def export(
    store: str,
    out: str,
    format: str | None,
    columns: str | None,
    where: tuple[str, ...],
    no_text: bool,
    force: bool,
    output: Output,
) -> None:
    """Write STORE as one Parquet file, as CSV, or as a matrix (npy, FAISS) and the columns beside it.

    CSV holds the columns without the embeddings.
    With npy and FAISS, the columns go to a file named like OUT that ends in .rows.parquet, in the same order.

    \b
    Example:
        univar export runs/answers -o answers.parquet
        univar export runs/answers -o vectors.npy
        univar export runs/answers -o index.faiss
        univar export runs/answers -o rows.csv --columns id,model,language --where language=eng
    """
    from univar.cli.progress import Waiting
    from univar.store import Store
    from univar.store import export as export_store

    names = [name.strip() for name in columns.split(",") if name.strip()] if columns is not None else None
    with Waiting("writing", output):
        facts = export_store(
            Store(store, check="blocks"),
            out,
            format,
            force=force,
            columns=names,
            where=parse_where(where),
            text=not no_text,
        )
    files = " and ".join(facts["files"])
    output.result(facts, f"{facts['rows']:,} rows, {facts['size_bytes'] / 1e6:,.1f} MB -> {files}")


def parse_where(entries: tuple[str, ...]) -> dict[str, list[str]]:
    """`("language=eng", "language=fra")` as {"language": ["eng", "fra"]}."""
    wanted: dict[str, list[str]] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not (name.strip() and equals):
            raise UsageError(f"--where {entry!r} is not COLUMN=VALUE, such as language=eng")
        wanted.setdefault(name.strip().replace("-", "_"), []).append(value)
    return wanted
