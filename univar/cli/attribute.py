"""`univar attribute`: which model and language answers came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from univar.cli.common import Output, input_options, output_options
from univar.errors import EXIT_PARTIAL

if TYPE_CHECKING:
    from univar.answers.inputs import Reading
    from univar.answers.rows import RejectedRow, RowBatch

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
@click.option("--bag", metavar="COLUMN", help="One verdict for all answers with the same value in COLUMN.")
@click.option("--bag-all", is_flag=True, help="One verdict for all answers: they come from one source.")
@click.option("--text", help="Judge this answer instead of INPUT's.")
@click.option("--question", default="", help="What --text answers.")
@click.option("-o", "--out", help="Write a table with INPUT's columns: .csv, .jsonl or .parquet.")
@click.option("--force", is_flag=True, help="Replace the file of --out.")
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
    bag: str | None,
    bag_all: bool,
    text: str | None,
    question: str,
    out: str | None,
    force: bool,
    reading: Reading,
    output: Output,
) -> None:
    """Show the models and languages that each answer of INPUT most likely came from, and why.

    INPUT needs a column answer; question and question_id make the result better. - reads JSONL from stdin.
    With the source heads of `univar index`, percentages are calibrated probabilities; without them, they are
    shares of the nearest rows. Only of a bag of 10 answers and more can be said that its source is unknown.
    --json prints one object per line. Exit code 4 means that some rows were rejected.

    \b
    Example:
        univar attribute runs/answers < unknown.jsonl
        univar attribute runs/answers unknown.jsonl -o attributed.csv
        univar attribute runs/answers unknown.jsonl -k 20 --by model --json
    """
    from contextlib import ExitStack

    from univar.errors import UsageError
    from univar.search import attribute_answers
    from univar.store import Store

    if bag is not None and bag_all:
        raise UsageError("--bag and --bag-all exclude each other: name a column, or make one bag of all")
    rejected = 0

    def reject(row: RejectedRow) -> None:
        nonlocal rejected
        rejected += 1
        output.note(f"rejected {row.file}:{row.row}: {row.reason}")

    column = by.replace("-", "_")
    with ExitStack() as stack:
        table = None
        if out is not None:
            from univar.search.attribution_file import verdict_table

            table = stack.enter_context(verdict_table(out, force=force))
        results = attribute_answers(
            Store(store, check="blocks"),
            input if text is None else [_one_row(text, question)],
            k=neighbours,
            by=column,
            top=top,
            evidence=evidence,
            on_rejected=reject,
            reading=reading,
            encoder=encoder,
            bag="all" if bag_all else bag,
            with_columns=table is not None,
            on_note=output.note,
        )
        for facts in results:
            if table is not None:
                table.write(facts)
                facts.pop("columns", None)
            if table is None or output.json:
                output.result(facts, _text(facts, column))
        if table is not None:
            table.flush()
            for name in sorted(table.left_out):
                output.note(f"{out}: column {name!r} is left out, the first rows lack it")
    if rejected:
        raise SystemExit(EXIT_PARTIAL)


def _one_row(answer: str, question: str) -> RowBatch:
    """The answer of --text as a batch of one row."""
    import numpy as np
    import pyarrow as pa

    from univar.answers import RowBatch
    from univar.errors import UsageError
    from univar.schema import IDENTITY_COLUMNS

    if not answer.strip():
        raise UsageError("--text is empty: give the answer to judge")
    row = {"question": question, "answer": answer}
    columns = {name: pa.array([row.get(name, "")], pa.large_string()) for name in IDENTITY_COLUMNS}
    return RowBatch(pa.table(columns), "--text", np.array([1]))


def _text(facts: dict[str, Any], by: str) -> str:
    """A block of lines for one answer or bag."""
    from univar.search.attribute import LEVELS

    if "bag" in facts:
        name = f"bag {facts['bag']}"
    else:
        name = f"row {facts['row']}" + (f"  {facts['id']}" if facts["id"] else "")
    if "n" in facts:
        from univar.search.verdict_text import verdict_lines

        lines = [name, *verdict_lines(facts, LEVELS[by])]
    else:
        lines = [name, *_vote_lines(facts, LEVELS.get(by, by))]
    for near in facts["evidence"]:
        lines.append(f"  {near['score']:.3f}  {near['model']}/{near['language']}  row {near['row']}")
        lines += [
            f"         {mark} {_shown(near[part])}" for mark, part in (("Q", "question"), ("A", "answer"))
        ]
    return "\n".join(lines) + "\n"


def _vote_lines(facts: dict[str, Any], first: str) -> list[str]:
    """The shares of the votes: the labels of `first`, a line for each other level."""
    lines = [f"  {entry['share']:6.1%}  {entry['label']}" for entry in facts[first]]
    for name in facts:
        if name not in ("row", "id", "evidence", "columns", first):
            lines.append(f"  {name}: " + ", ".join(f"{e['label']} {e['share']:.0%}" for e in facts[name]))
    return lines


def _shown(text: str) -> str:
    """The start of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
