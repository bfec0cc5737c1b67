"""`univar values`: the taxonomy of values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from univar.cli.common import Output, table_options
from univar.tables import Table

if TYPE_CHECKING:
    from univar.questions.values import Value


@click.command()
@click.option(
    "--family", "families", multiple=True, help="List only this family, such as schwartz or hofstede."
)
@click.option("--search", default="", help="List only values with this text in name, definition or opposite.")
@click.option("--extra", multiple=True, type=click.Path(), help="TOML file with additional values.")
@click.option("-o", "--out", help="File to write, with references: .jsonl, .csv or .tsv.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@table_options
def values(
    families: tuple[str, ...],
    search: str,
    extra: tuple[str, ...],
    out: str | None,
    force: bool,
    output: Output,
) -> None:
    """List the human values that questions exist for, with definition and opposite pole.

    A file for --extra has tables [[value]] with id, name, family and definition (optionally opposite and
    reference), and [[family]] with id, name and reference for new families.

    \b
    Example:
        univar values --family hofstede
        univar values --search nature -o values.csv
    """
    from univar.errors import did_you_mean
    from univar.questions.files import write_table
    from univar.questions.values import load_taxonomy

    taxonomy = load_taxonomy(extra)
    found = taxonomy.select(families, search=search)
    if out:
        write_table([_facts(value) for value in found], out, force)
        output.note(f"{len(found)} values -> {out}")
        return
    rows = [[value.id, value.definition, value.opposite] for value in found]
    shown = Table(["value", "definition", "opposite"], rows, keys=3)
    output.result([_facts(value) for value in found], shown)
    if not found and search:
        words = {word for value in taxonomy.values for word in value.split("-")}
        output.note(f"no value has the text {search!r}{did_you_mean(search, words)}")
    output.note(f"{len(found)} of {len(taxonomy.values)} values in {len(taxonomy.families)} families")


def _facts(value: Value) -> dict[str, Any]:
    """The value's fields, with the name that `reference` had before."""
    return {**asdict(value), "source": value.reference}
