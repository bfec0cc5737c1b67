"""`univar compare`: how far the sources of a store are apart."""

from __future__ import annotations

from pathlib import Path

import click

from univar.cli.common import Output, table_options
from univar.errors import UsageError

NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, metavar="[A B]...")
@click.option(
    "--by",
    default="model",
    show_default=True,
    metavar="COLUMNS",
    help="What is compared: model, language, source, or columns with commas between.",
)
@click.option(
    "--cluster",
    metavar="COLUMN[:K]",
    help="What counts once, e.g. question_id:2 for its first two fields. Default: question_id.",
)
@click.option("--part", default="values", show_default=True, help="Part of the embeddings to compare.")
@click.option(
    "--centre",
    type=click.Choice(("none", "question", "language")),
    default="none",
    show_default=True,
    help="Subtract the mean of other sources' answers to the same question, or also in the same language.",
)
@click.option(
    "--floor",
    type=click.Choice(("auto", "wording", "sample")),
    default="auto",
    show_default=True,
    help="Noise floor: a source in other wordings, sampled again, or the larger of both.",
)
@click.option(
    "--pair",
    "family",
    multiple=True,
    metavar="A=B",
    help="Compare and test this pair only; p is corrected for the pairs that are named. Repeatable.",
)
@click.option("--energy", is_flag=True, help="Also give energy distances, which see differences of spread.")
@click.option("--test", is_flag=True, help="Also test each pair, with p-values corrected for all pairs.")
@click.option("--all-pairs", is_flag=True, help="List all pairs, however many.")
@click.option(
    "--picture", type=NEW_FILE, help="Draw a heat map with its tree into a .png, .svg or .pdf file."
)
@click.option("--force", is_flag=True, help="Overwrite the picture.")
@table_options
def compare(
    store: Path,
    sources: tuple[str, ...],
    by: str,
    cluster: str | None,
    part: str,
    centre: str,
    floor: str,
    family: tuple[str, ...],
    energy: bool,
    test: bool,
    all_pairs: bool,
    picture: Path | None,
    force: bool,
    output: Output,
) -> None:
    """Measure how far the sources of STORE are apart, beside how far each is from itself.

    Two sources are compared over the questions that both answered. With A and B, only these sources.

    \b
    Example:
        univar compare runs/answers
        univar compare runs/answers --by source --test
        univar compare runs/answers model-0 model-1
        univar compare runs/answers --pair model-0=model-1 --pair model-0=model-2 --energy
    """
    from univar import files
    from univar.cli.progress import Waiting
    from univar.compare.as_json import comparison_json
    from univar.compare.compare import compare as run
    from univar.compare.text import tables
    from univar.store import Store

    if picture is not None:
        files.refuse_existing(picture, force)
    if len(sources) == 1:
        raise UsageError(f"{sources[0]!r} alone cannot be compared: name two sources or none")
    with Waiting("comparing sources", output):
        found = run(
            Store(store),
            parse_columns(by),
            only=sources,
            cluster=cluster,
            part=part,
            centre=centre,
            floor=floor,
            test=test or len(sources) == 2,
            family=[_pair(text) for text in family],
            energy=energy,
        )
    blocks = tables(found, all_pairs=all_pairs or output.form == "csv")
    if output.form == "csv":
        blocks = blocks[-1:]
    if picture is not None:
        from univar.compare.picture import draw_comparison

        draw_comparison(found, picture)
    output.result(comparison_json(found), blocks)


def _pair(text: str) -> tuple[str, str]:
    """`A=B` as (A, B)."""
    a, equals, b = (part.strip() for part in text.partition("="))
    if not (a and equals and b):
        raise UsageError(f"--pair {text!r} is not A=B, such as --pair old-model=new-model")
    return a, b


def parse_columns(text: str) -> list[str]:
    """`model,month` as ["model", "month"]."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--by names no column: give model, language, source or another column")
    return names
