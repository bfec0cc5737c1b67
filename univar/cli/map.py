"""`univar map`: a picture of the answers of a store."""

from __future__ import annotations

from pathlib import Path

import click

from univar.cli.common import Output, table_options


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="What to write: .html for a page to explore, .png, .svg or .pdf for a picture.",
)
@click.option(
    "--by", default="source", show_default=True, metavar="COLUMN", help="Column that gets a named centroid."
)
@click.option("--part", metavar="NAME", help="Part of the vectors. Default: values.")
@click.option("--no-text", is_flag=True, help="Leave questions and answers out of the page.")
@click.option("--force", is_flag=True, help="Overwrite files.")
@table_options
def map(
    store: Path, out: Path, by: str, part: str | None, no_text: bool, force: bool, output: Output
) -> None:
    """Draw the answers of STORE by the first two principal components of their residuals.

    A residual is an answer's vector minus the mean of other sources' answers to the same question in the same
    language; with --by language, to the same question. Rows that could not be centred are drawn hollow.

    \b
    Example:
        univar map runs/answers -o map.png
        univar map runs/answers -o languages.svg --by language
        univar map runs/answers -o map.html
    """
    from univar import files
    from univar.cli.profile import choose_part
    from univar.cli.progress import Waiting
    from univar.errors import UsageError
    from univar.map import draw_map
    from univar.map.draw import points_of_residuals
    from univar.store import Store

    kind = out.suffix.lower()
    if kind not in {".html", ".png", ".svg", ".pdf"}:
        raise UsageError(f"{out} does not end in .html, .png, .svg or .pdf: name the file so")
    files.refuse_existing(out, force)
    opened = Store(store)
    chosen = choose_part(opened, part, output)
    with Waiting("drawing the map", output):
        points = points_of_residuals(opened, by, chosen)
        facts = {
            "file": str(out),
            "part": chosen,
            "answers": len(opened),
            "centroids": len(set(points.label_of.tolist())),
            "shares_of_variance": [round(share, 4) for share in points.shares.tolist()],
            "centring": points.note,
        }
        if kind == ".html":
            from univar.map.page_file import write_page

            written = write_page(opened, points, out, by, texts=not no_text, force=force)
            facts |= {"texts_cut": written["cut"], "bytes": written["bytes"]}
        else:
            draw_map(points, out)
    output.result(facts, f"map of {len(opened):,} answers, {points.note} -> {out}")
