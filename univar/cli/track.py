"""`univar track`: whether a release moved away from a baseline."""

from __future__ import annotations

from pathlib import Path

import click

from univar.cli.common import Output, table_options

NEW_FILE = click.Path(dir_okay=False, path_type=Path)
STORE = click.Path(path_type=Path)


@click.command()
@click.argument("baseline", type=STORE)
@click.argument("candidates", type=STORE, nargs=-1, required=True)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="D2",
    help="Distance that may be. Default: the floor.",
)
@click.option(
    "--floor",
    type=click.Choice(("auto", "wording", "sample")),
    default="auto",
    show_default=True,
    help="Noise floor: a release asked in other wordings, or sampled again. auto: sample, else wording.",
)
@click.option("--looks", type=click.IntRange(min=1), help="Releases in all that alpha is spent over.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="Rate of false alarms over all looks.",
)
@click.option(
    "--cluster",
    metavar="COLUMN[:K]",
    help="What counts once, e.g. question_id:2 for its first two fields. Default: question_id.",
)
@click.option("--part", default="values", show_default=True, help="Part of the embeddings to compare.")
@click.option("--encoder", help="Embed all stores again with this encoder.")
@click.option("--work", type=STORE, metavar="FOLDER", help="Where stores are embedded again.")
@click.option(
    "--picture", type=NEW_FILE, help="Draw the releases on a time line into a .png, .svg or .pdf file."
)
@click.option("--force", is_flag=True, help="Overwrite the picture.")
@table_options
def track(
    baseline: Path,
    candidates: tuple[Path, ...],
    tolerance: float | None,
    floor: str,
    looks: int | None,
    alpha: float,
    cluster: str | None,
    part: str,
    encoder: str | None,
    work: Path | None,
    picture: Path | None,
    force: bool,
    output: Output,
) -> None:
    """Test whether CANDIDATES, stores of later releases in order, moved away from BASELINE.

    All stores hold answers to the same questions. The exit code is about the last one: 0 if its distance
    lies within the tolerance, 10 if beyond, 11 if the data cannot tell, as with fewer than 6 questions.

    \b
    Example:
        univar track runs/a runs/b
        univar track runs/a runs/b --tolerance 0.01 --json
    """
    from univar import files
    from univar.cli.progress import Waiting
    from univar.compare.releases import Releases, of_one_encoder
    from univar.compare.track import track as run
    from univar.compare.track_text import tables, tracking_json
    from univar.store import Store

    if picture is not None:
        files.refuse_existing(picture, force)
    stores = of_one_encoder([Store(path) for path in (baseline, *candidates)], encoder, work, output.note)
    with Waiting("testing the releases", output):
        found = run(
            Releases(stores),
            cluster=cluster,
            part=part,
            tolerance=tolerance,
            floor=floor,
            looks=looks,
            alpha=alpha,
        )
    blocks = tables(found)[: 1 if output.form == "csv" else None]
    if picture is not None:
        from univar.compare.picture import draw_tracking

        draw_tracking(found, picture)
    output.result(tracking_json(found), blocks)
    if found.exit_code:
        raise SystemExit(found.exit_code)
