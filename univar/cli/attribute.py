"""`univar attribute`: which model and language answers came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from univar.cli.options import input_options
from univar.cli.output import Output, output_options
from univar.errors import EXIT_PARTIAL

if TYPE_CHECKING:
    from univar.answers.inputs import Reading
    from univar.answers.rows import RejectedRow

_SHOWN = 160
"""Characters of a text to show; --json has all of it."""


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False))
@click.argument("input", default="-")
@click.option(
    "-k",
    "neighbours",
    default=50,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of neighbours that vote.",
)
@click.option(
    "--by",
    default="source",
    show_default=True,
    help="Column to rank: source (model and language), model, language or any other column.",
)
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(min=1), help="Number of labels to show."
)
@click.option(
    "--evidence",
    default=3,
    show_default=True,
    type=click.IntRange(min=0),
    help="Number of nearest rows to show.",
)
@click.option(
    "-e", "--encoder", help="Name, folder or hub id of the store's encoder; default: the name in the store."
)
@input_options
@output_options
def attribute(
    store: str,
    input: str,
    neighbours: int,
    by: str,
    top: int,
    evidence: int,
    encoder: str | None,
    reading: Reading,
    output: Output,
) -> None:
    """Show the models and languages that each answer of INPUT most likely came from, and its nearest rows.

    INPUT needs a column answer; a column question makes the result better. - reads JSONL from stdin. The
    percentage of a label is its share of the nearest rows, not a probability. --json prints one object per
    line. Exit code 4 means that some rows were rejected.

    \b
    Example:
        univar attribute runs/answers < unknown.jsonl
        univar attribute runs/answers unknown.jsonl -k 20 --by model --json
    """
    from univar.search import attribute_answers
    from univar.store import Store

    rejected = 0

    def reject(row: RejectedRow) -> None:
        nonlocal rejected
        rejected += 1
        output.note(f"rejected {row.file}:{row.row}: {row.reason}")

    column = by.replace("-", "_")
    results = attribute_answers(
        Store(store, check="blocks"),
        input,
        k=neighbours,
        by=column,
        top=top,
        evidence=evidence,
        on_rejected=reject,
        reading=reading,
        encoder=encoder,
    )
    for facts in results:
        output.result(facts, _text(facts, column))
    if rejected:
        raise SystemExit(EXIT_PARTIAL)


def _text(facts: dict[str, Any], by: str) -> str:
    """A block of lines for one answer: the labels of `by`, a line for each other level, the nearest rows."""
    from univar.search.attribute import LEVELS

    names = [name for name in facts if name not in ("row", "id", "evidence")]
    first = LEVELS.get(by, by)
    lines = [f"row {facts['row']}" + (f"  {facts['id']}" if facts["id"] else "")]
    lines += [f"  {entry['share']:6.1%}  {entry['label']}" for entry in facts[first]]
    for name in names:
        if name != first:
            lines.append(f"  {name}: " + ", ".join(f"{e['label']} {e['share']:.0%}" for e in facts[name]))
    for near in facts["evidence"]:
        lines.append(f"  {near['score']:.3f}  {near['model']}/{near['language']}  row {near['row']}")
        lines += [
            f"         {mark} {_shown(near[part])}" for mark, part in (("Q", "question"), ("A", "answer"))
        ]
    return "\n".join(lines) + "\n"


def _shown(text: str) -> str:
    """The start of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
