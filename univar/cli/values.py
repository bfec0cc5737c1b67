"""`univar values`: the taxonomy of values."""

from __future__ import annotations

from dataclasses import asdict

import click

from univar.cli.output import Output, output_options, table


@click.command()
@click.option("--family", "families", multiple=True, help="Only this family, such as schwartz or hofstede.")
@click.option("--search", default="", help="Only values that mention this in name, definition or opposite.")
@click.option("--extra", multiple=True, type=click.Path(), help="TOML file with values of your own.")
@click.option("-o", "--out", help="Write to this .jsonl, .csv or .tsv file, with sources.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@output_options
def values(
    families: tuple[str, ...],
    search: str,
    extra: tuple[str, ...],
    out: str | None,
    force: bool,
    output: Output,
) -> None:
    """List the human values that questions are made for, with definition, opposite pole and source.

    A file for --extra has tables [[value]] with id, name, family and definition (and opposite and source if
    you like), and [[family]] with id, name and source for families of your own.

    \b
    Example:
        univar values --family hofstede
        univar values --search nature -o values.csv
    """
    from univar.questions.tables import write_table
    from univar.questions.values import load_taxonomy

    taxonomy = load_taxonomy(extra)
    found = taxonomy.select(families, search=search)
    if out:
        write_table([asdict(value) for value in found], out, force)
        output.note(f"{len(found)} values -> {out}")
        return
    rows = [[value.id, value.definition, value.opposite] for value in found]
    output.result([asdict(value) for value in found], table(["value", "definition", "opposite"], rows))
    output.note(f"{len(found)} of {len(taxonomy.values)} values in {len(taxonomy.families)} families")
