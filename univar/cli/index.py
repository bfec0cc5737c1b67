"""`univar index`: build the search index of a store, and fit its words and source heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from univar.cli.common import Output, table_options

if TYPE_CHECKING:
    from univar.store import Store


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
@click.option("--no-words", is_flag=True, help="Fit no block of word counts on the index's own answers.")
@click.option("--no-head", is_flag=True, help="Fit no source heads: attribute then counts votes only.")
@click.option(
    "--centre",
    type=click.Choice(["none", "question", "language", "language-question"]),
    default="language-question",
    show_default=True,
    help="Subtract from each row the mean of other sources' answers to its question, or in its language.",
)
@click.option(
    "--cluster",
    metavar="COLUMN",
    help="Proposition of each row: centred by where a question has few answers, and left out whole when "
    "heads are calibrated; question_id:2 is its first two fields. Default: question_id.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Number of threads; default: one per core.")
@table_options
def index(
    store: str,
    kind: str,
    no_words: bool,
    no_head: bool,
    centre: str,
    cluster: str | None,
    threads: int | None,
    output: Output,
) -> None:
    """Build the search index of a store, fit its source heads, and keep both inside the store's folder.

    `univar attribute` then uses them. An index is a cache: nothing is lost when you delete it, and it has to
    be rebuilt after new rows are added.

    \b
    Example:
        univar index runs/answers
        univar index runs/answers --type hnsw --cluster question_id:2 --json
    """
    from univar.cli.progress import Waiting
    from univar.search import Index
    from univar.store import Store

    opened = Store(store, check="blocks")
    with Waiting("building the index", output):
        built = Index.build(opened, kind, threads)
        built.save()
    facts = built.info
    with Waiting("fitting source heads", output):
        heads = None if no_head else _heads(opened, not no_words, centre, cluster, threads, output)
    text = (
        f"{facts['type']}  {facts['rows']:,} rows  {facts['seconds']:.1f} s  {facts['size_bytes']:,} bytes  "
        f"recall@10 {facts['recall_at_10']:.3f}"
    )
    output.result(
        {"store": store, **facts, "sources": heads}, "\n".join([text, *_lines(heads)] if heads else [text])
    )


def _heads(
    store: Store, words: bool, centre: str, cluster: str | None, threads: int | None, output: Output
) -> dict[str, Any] | None:
    """Fit and save words and heads; what is told of them, None where there are none."""
    from univar.runtime import thread_count
    from univar.search.fit_sources import fit_sources
    from univar.search.source_files import save

    model = fit_sources(
        store,
        words=words,
        centre_by=centre,
        cluster=cluster,
        threads=thread_count(threads),
        on_note=output.note,
    )
    if model is None:
        return None
    size = save(model, store.path)
    fitted = {
        route: {
            "kind": head.kind,
            "nll": head.nll,
            "temperature": head.temperature,
            "words_weight": head.words_weight,
            "rows": head.rows,
            "propositions": head.propositions,
            "sets": sorted(head.thresholds),
            "tried": head.tried,
        }
        for route, head in model.heads.items()
    }
    return {**model.facts, "n_sources": len(model.labels), "heads": fitted, "size_bytes": size}


def _lines(heads: dict[str, Any]) -> list[str]:
    """What was fitted, a line each."""
    words = heads["words"]
    lines = []
    if words["dims"]:
        lines.append(
            f"words: {words['dims']} dims of {words['terms']:,} terms, fitted in "
            f"{words['fit_seconds']:.1f} s, {words['rows_per_second']:,} rows/s"
        )
    for route, head in heads["heads"].items():
        lines.append(
            f"head for {route} rows: {head['kind']}, words x {head['words_weight']:g}, "
            f"{head['rows']:,} rows, {heads['n_sources']} sources; held-out NLL {head['nll']:.3f} over "
            f"{head['propositions']:,} propositions (vote {_nll_of(head, 'vote')})"
        )
    lines.append(
        f"fit: {heads['seconds']:.1f} s, at most {heads['peak_memory_bytes'] / 2**30:.1f} GiB of memory; "
        f"{heads['size_bytes']:,} bytes kept"
    )
    return lines


def _nll_of(head: dict[str, Any], kind: str) -> str:
    found = [one["nll"] for one in head["tried"] if one["name"].startswith(kind)]
    return f"{found[0]:.3f}" if found else "not tried"
