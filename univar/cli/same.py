"""`univar same`: whether two sets of answers come from the same source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from univar.cli.common import Output, input_options, table_options
from univar.errors import EXIT_UNSURE

if TYPE_CHECKING:
    from univar.answers.inputs import Reading


@click.command()
@click.argument("a", type=click.Path(exists=True))
@click.argument("b", type=click.Path(exists=True))
@click.option("-e", "--encoder", help="Encoder of answer files. Default: that of the store, else minilm.")
@click.option("--part", help="Part of the embeddings to test on. Default: all of them.")
@click.option(
    "--cluster",
    default="question_id",
    show_default=True,
    metavar="COLUMN",
    help="Proposition of each answer, which counts once; question_id:2 is its first two fields.",
)
@input_options
@table_options
def same(
    a: str,
    b: str,
    encoder: str | None,
    part: str | None,
    cluster: str,
    reading: Reading,
    output: Output,
) -> None:
    """Test whether the answers of A and of B come from the same source.

    A and B are stores or answer files, each from one source. Over questions that both answered, the signs of
    the differences are exchanged; with fewer than 5 shared propositions, answers to different questions are
    compared, with less power. Exit code 11 means that there are too few answers to tell.

    \b
    Example:
        univar same runs/a runs/b
        univar same runs/a runs/b --part values --json
    """
    from univar.cli.progress import Waiting
    from univar.search.same import same_source
    from univar.search.sides import read_sides

    sides = read_sides(
        (a, b), encoder=encoder, part=part, cluster=cluster, reading=reading, on_note=output.note
    )
    with Waiting("testing", output):
        found = same_source(*sides)
    interval = found.d2.text(4)
    floor = "unknown: no question was answered twice" if found.floor is None else f"{found.floor:.4f}"
    lines = [
        f"{found.verdict()}: p = {found.p:.4f} ({found.test}, {found.propositions:,} propositions, "
        f"{found.questions:,} questions; the least p is {found.smallest_p:.2g})",
        f"squared distance {interval}; floor of one source against itself {floor}",
        "assumes that nobody tried to write like another source",
    ]
    output.result(found.facts(), "\n".join(lines))
    if found.verdict() == "cannot tell":
        raise SystemExit(EXIT_UNSURE)
