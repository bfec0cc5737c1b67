"""`univar index`: build the search index of a store."""

from __future__ import annotations

import click

from univar.cli.output import Output, table_options


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--type",
    "kind",
    type=click.Choice(["auto", "exact", "flat", "ivf", "hnsw"]),
    default="auto",
    show_default=True,
    help="Type of index; auto is exact below 200,000 rows and ivf from there on.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Number of threads; default: one per core.")
@table_options
def index(store: str, kind: str, threads: int | None, output: Output) -> None:
    """Build the search index of a store and keep it inside the store's folder.

    `univar attribute` then uses it. An index is a cache: nothing is lost when you delete it, and it has to be
    rebuilt after new rows are added.

    \b
    Example:
        univar index runs/answers
        univar index runs/answers --type hnsw --json
    """
    from univar.search import Index
    from univar.store import Store

    built = Index.build(Store(store, check="blocks"), kind, threads)
    built.save()
    facts = built.info
    output.result(
        {"store": store, **facts},
        f"{facts['type']}  {facts['rows']:,} rows  {facts['seconds']:.1f} s  {facts['size_bytes']:,} bytes  "
        f"recall@10 {facts['recall_at_10']:.3f}",
    )
