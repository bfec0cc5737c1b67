"""univar split: answers in two files with no question in both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from univar.cli.common import Output, input_options, table_options
from univar.errors import EXIT_PARTIAL

if TYPE_CHECKING:
    from univar.answers.inputs import Reading


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", required=True, metavar="FOLDER", help="Folder for train.jsonl and eval.jsonl.")
@click.option(
    "--by", default="question", show_default=True, metavar="COLUMN", help="Column kept on one side."
)
@click.option("--share", default=0.3, show_default=True, help="Share of the questions that go to eval.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@click.option("--force", is_flag=True, help="Overwrite the files.")
@input_options
@table_options
def split(
    inputs: tuple[str, ...],
    out: str,
    by: str,
    share: float,
    seed: int,
    force: bool,
    reading: Reading,
    output: Output,
) -> None:
    """Split answers by question into train.jsonl and eval.jsonl, for `univar evaluate`.

    A question stays on its side when answers are added. Rejected rows are named; the exit code is then 4.

    \b
    Example:
        univar split answers.jsonl --by question -o runs/split
    """
    from univar.answers import read_rows
    from univar.answers.rows import RejectedRow
    from univar.answers.split import split_rows
    from univar.cli.progress import Waiting

    rejected: list[RejectedRow] = []
    batches = read_rows(inputs, on_rejected=rejected.append, reading=reading)
    with Waiting("splitting", output):
        found = split_rows(batches, Path(out), by=by.replace("-", "_"), share=share, seed=seed, force=force)
    for row in rejected:
        output.note(f"rejected {row.file}:{row.row}: {row.reason}")
    facts = {"rows": found.rows, "values": found.values, "rejected": len(rejected), "out": out}
    lines = [f"{out}/{side}.jsonl: {found.rows[side]:,} rows, {found.values[side]:,} different {by}"
             for side in found.rows]  # fmt: skip
    output.result(facts, "\n".join(lines))
    if rejected:
        raise SystemExit(EXIT_PARTIAL)
