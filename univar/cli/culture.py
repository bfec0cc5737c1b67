"""`univar culture`: distances between languages, their kinship, and human values."""

from __future__ import annotations

from pathlib import Path

import click

from univar.cli.common import Output, table_options


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--tables",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of tables of human values by country.",
)
@click.option("--part", metavar="NAME", help="Part of the vectors. Default: values.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw the languages.")
@click.option("--force", is_flag=True, help="Overwrite files.")
@table_options
def culture(
    store: Path,
    folder: Path | None,
    part: str | None,
    seed: int,
    picture: Path | None,
    force: bool,
    output: Output,
) -> None:
    """Compare distances between the languages of STORE with kinship of languages and human values.

    Only languages in which the same models answered the same questions count. Tables of human values do not
    ship with univar; without them the distances and the kinship are given.

    \b
    Example:
        univar culture runs/languages
        univar culture runs/languages --tables culture --json
    """
    from univar import files
    from univar.cli.profile import choose_part
    from univar.cli.progress import Waiting
    from univar.compare.culture import culture as run
    from univar.compare.culture_text import facts, tables
    from univar.store import Store

    if picture is not None:
        files.refuse_existing(picture, force)
    opened = Store(store)
    with Waiting("comparing languages", output):
        found = run(opened, folder, part=choose_part(opened, part, output), seed=seed)
    if picture is not None:
        from univar.compare.culture_picture import draw

        draw(found, picture)
    output.result(facts(found), tables(found))
