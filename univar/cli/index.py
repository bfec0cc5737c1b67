"""`univar index`: build the search index of a store."""

from __future__ import annotations

import click

from univar.cli.output import Output, output_options


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--type",
    "kind",
    type=click.Choice(["auto", "exact", "flat", "ivf", "hnsw"]),
    default="auto",
    show_default=True,
    help="auto is exact below 200,000 rows and ivf above.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of FAISS; all cores if not given.")
@output_options
def index(store: str, kind: str, threads: int | None, output: Output) -> None:
    """Build the search index of a store and keep it inside the store's folder.

    `attribute` uses it from then on. It is a cache: deleting it loses nothing, and new rows make it stale.

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
