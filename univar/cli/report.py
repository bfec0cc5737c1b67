"""`univar report`: one page about a store."""

from __future__ import annotations

from pathlib import Path

import click

from univar.cli.common import Output, table_options

STORE = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("store", type=STORE)
@click.option(
    "-o", "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="HTML page to write."
)
@click.option("--baseline", type=STORE, help="Store of an earlier release to test STORE against.")
@click.option("--part", metavar="NAME", help="Part of the vectors. Default: values.")
@click.option("--force", is_flag=True, help="Overwrite files.")
@table_options
def report(
    store: Path, out: Path, baseline: Path | None, part: str | None, force: bool, output: Output
) -> None:
    """Write one page about STORE: data, encoder, distances, map, values, languages, limits, versions.

    Each section names the command that prints the same. The page holds no answers and runs no scripts.

    \b
    Example:
        univar report runs/answers -o report.html
    """
    from univar import files
    from univar.cli.profile import choose_part
    from univar.cli.progress import Waiting
    from univar.report import sections, write_report
    from univar.store import Store

    files.refuse_existing(out, force)
    opened = Store(store)
    chosen = choose_part(opened, part, output)
    with Waiting("writing the report", output):
        parts = sections(opened, chosen, None if baseline is None else Store(baseline))
        size = write_report(parts, out, f"Report of {opened.path.name}", force=force)
    left_out = [it.title for it in parts if it.blocks and str(it.blocks[0]).startswith("Not shown")]
    if left_out:
        output.note(f"not shown, for reasons that the page gives: {', '.join(left_out)}")
    output.result(
        {"file": str(out), "part": chosen, "bytes": size, "not_shown": left_out},
        f"report of {len(opened):,} answers -> {out}",
    )
