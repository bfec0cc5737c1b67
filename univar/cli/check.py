"""`univar check`: validate answer files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from univar.cli.inputs import input_options
from univar.cli.output import Output, output_options, printable, table
from univar.errors import EXIT_PARTIAL

if TYPE_CHECKING:
    from univar.data.check import CheckReport


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@input_options
@output_options
def check(inputs: tuple[str, ...], format: str | None, rename: dict[str, str], output: Output) -> None:
    """Read answer files, say what is in them and which rows cannot be used.

    INPUTS are JSONL, CSV, TSV (each also .gz or .zst) or Parquet files, or - for stdin. The exit code is 4 if
    some rows were refused, 3 if a file cannot be used at all.

    \b
    Example:
        univar check answers.jsonl
        univar check answers.csv.gz --map answer=response --json
    """
    from univar.data.check import check_rows

    report = check_rows(inputs, format=format, rename=rename)
    output.result(asdict(report), _text(report))
    if report.refused.count:
        raise SystemExit(EXIT_PARTIAL)


def _text(report: CheckReport) -> str:
    counts = [
        ("rows", report.rows, []),
        ("refused", report.refused.count, report.refused.first),
        ("  of these with an empty answer", report.empty_answers, []),
        ("duplicates", report.duplicates.count, report.duplicates.first),
        ("answers another model gave too", report.shared_answers.count, report.shared_answers.first),
        ("short answers", report.short_answers.count, report.short_answers.first),
        ("answers naming their own model", report.label_leaks.count, report.label_leaks.first),
        ("answers naming any model or maker", report.naming_models.count, report.naming_models.first),
        ("answers that begin as refusals do", report.refusals.count, report.refusals.first),
    ]
    firsts = [f"{first[0]['file']}:{first[0]['row']}" if first else "" for _, _, first in counts]
    found = [[name, f"{count:,}", place] for (name, count, _), place in zip(counts, firsts, strict=True)]
    sources = [
        [s.model, s.language, f"{s.rows:,}", f"{s.questions:,}", f"{s.median_answer_chars:,.0f}"]
        for s in report.sources
    ]
    refused = [f"{place['file']}:{place['row']}: {place['reason']}" for place in report.refused.first]
    parts = [
        table(["found", "count", "first at"], found),
        table(["model", "language", "rows", "questions", "median characters"], sources),
        "\n".join(printable(f"refused {line}") for line in refused),
        "\n".join(printable(f"note: {note}") for note in report.notes),
    ]
    return "\n\n".join(part for part in parts if part)
