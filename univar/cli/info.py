"""`univar info`: what a store holds."""

from __future__ import annotations

from typing import Any

import click

from univar.cli.common import Output, counted, table_options
from univar.tables import Table

_MOST = 20


@click.command()
@click.argument("store", type=click.Path())
@table_options
def info(store: str, output: Output) -> None:
    """Show what STORE holds: rows, encoder, sources, truncated texts, shards and runs.

    \b
    Example:
        univar info runs/answers
        univar info runs/answers --json
    """
    from univar.store import Store, summarize

    facts = summarize(Store(store))
    output.result(facts, ["\n".join(_lines(facts)), _sources(facts["sources"]), *_runs(facts["runs"])])


def _lines(facts: dict[str, Any]) -> list[str]:
    encoder = facts["encoder"]
    parts = ", ".join(f"{name} {end - start}" for name, (start, end) in facts["parts"].items())
    lines = [
        f"{facts['path']}: {facts['rows']:,} rows x {facts['dim']} dims, {facts['dtype']}",
        f"encoder    {encoder['id']}, revision {encoder['revision']}, "
        f"at most {encoder['max_length']} tokens, pooling {encoder['pooling']}",
        f"parts      {parts} dims",
        f"text       {facts['text_format']}, {facts['tokens']:,} tokens, "
        f"{facts['truncated']:,} rows truncated, {facts['reused']:,} embeddings reused",
        *_read(facts),
        f"files      {counted(facts['shards'], 'shard')}, {facts['size_bytes'] / 1e6:,.1f} MB",
        f"columns    {', '.join(facts['columns'])}",
        f"models     {len(facts['models']):,}",
        f"languages  {', '.join(f'{name} {rows:,}' for name, rows in facts['languages'].items())}",
    ]
    if facts["workers_present"] < facts["workers"]:
        lines.append(f"workers    {facts['workers_present']} of {facts['workers']} have started")
    return lines


def _read(facts: dict[str, Any]) -> list[str]:
    """What was read of the answers; nothing where the store doesn't know."""
    if not facts["pieces"]:
        return []
    share = 100 * facts["answer_tokens_read"] / max(facts["answer_tokens"], 1)
    only = f", of {facts['question_only']:,} rows only the question" if facts["question_only"] else ""
    return [
        f"read       {facts['pieces']:,} pieces, {share:.1f} % of {facts['answer_tokens']:,} answer tokens"
        f"{only}, {facts['question_cut']:,} questions cut, "
        f"{100 * facts['unknown_share']:.1f} % unknown tokens"
    ]


def _sources(sources: dict[str, int]) -> Table:
    rows = [[name, f"{count:,}"] for name, count in list(sources.items())[:_MOST]]
    more = len(sources) - len(rows)
    notes = (f"... and {counted(more, 'more source')}; --json has all",) if more else ()
    return Table(["source", "rows"], rows, notes=notes)


def _runs(runs: list[dict[str, Any]]) -> list[str]:
    lines = []
    for number, run in enumerate(runs, 1):
        facts = ", ".join(f"{name} {value}" for name, value in run.items() if not isinstance(value, dict))
        lines.append(f"run {number}      {facts}")
    return ["\n".join(lines)] if lines else []
