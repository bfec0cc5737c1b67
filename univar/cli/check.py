"""`univar check`: validate answer files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from univar.cli.inputs import input_options
from univar.cli.output import Output, output_options, printable, table
from univar.errors import EXIT_PARTIAL

if TYPE_CHECKING:
    from univar.answers.check import CheckReport


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("--drop", "clean", metavar="CLEAN", help="Write a copy (.jsonl) without the rows found below.")
@click.option(
    "--drop-kinds",
    default="duplicates,short_answers,refusals,wrong_language,label_leaks,echoes",
    show_default=True,
    help="What is left out; there are also truncated and shared_answers.",
)
@click.option("--force", is_flag=True, help="Overwrite the copy.")
@input_options
@output_options
def check(
    inputs: tuple[str, ...],
    clean: str | None,
    drop_kinds: str,
    force: bool,
    format: str | None,
    rename: dict[str, str],
    output: Output,
) -> None:
    """Read answer files, say what is in them and which rows cannot be used.

    INPUTS are JSONL, CSV, TSV (each also .gz or .zst) or Parquet files, or - for stdin. The exit code is 4 if
    some rows were refused, 3 if a file cannot be used at all. With --drop, CLEAN.dropped.jsonl names each row
    that was left out, and why.

    \b
    Example:
        univar check answers.jsonl
        univar check answers.csv.gz --map answer=response --json
        univar check answers.jsonl --drop clean.jsonl --force
    """
    from univar.answers.check import check_rows
    from univar.answers.clean import CleanCopy

    if clean is None:
        report = check_rows(inputs, format=format, rename=rename)
        output.result(asdict(report), _text(report))
    else:
        kinds = tuple(kind.strip() for kind in drop_kinds.split(",") if kind.strip())
        with CleanCopy(clean, kinds, force) as copy:
            report = check_rows(inputs, format=format, rename=rename, copy=copy)
        dropped = dict(copy.dropped.most_common())
        facts = {**asdict(report), "kept": copy.kept, "dropped": dropped}
        reasons = ", ".join(f"{kind} {count:,}" for kind, count in dropped.items()) or "none"
        output.result(facts, f"{_text(report)}\n\nkept {copy.kept:,} rows; left out: {reasons}")
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
        (
            "answers naming their model, its family or its maker",
            report.label_leaks.count,
            report.label_leaks.first,
        ),
        ("refusals", report.refusals.count, report.refusals.first),
        ("answers cut off", report.truncated.count, report.truncated.first),
        ("answers that repeat the question", report.echoes.count, report.echoes.first),
    ]
    if report.wrong_language is not None:
        counts.append(
            ("answers in another language", report.wrong_language.count, report.wrong_language.first)
        )
    firsts = [f"{first[0]['file']}:{first[0]['row']}" if first else "" for _, _, first in counts]
    found = [[name, f"{count:,}", place] for (name, count, _), place in zip(counts, firsts, strict=True)]
    sources = [
        [
            s.model,
            s.language,
            f"{s.rows:,}",
            f"{s.questions:,}",
            *(f"{chars:,.0f}" for chars in s.answer_chars),
        ]
        for s in report.sources
    ]
    refused = [f"{place['file']}:{place['row']}: {place['reason']}" for place in report.refused.first]
    parts = [
        table(["found", "count", "first at"], found),
        table(
            ["model", "language", "rows", "questions", "characters 5 %", "25 %", "median", "75 %", "95 %"],
            sources,
        ),
        "\n".join(printable(f"refused {line}") for line in refused),
        "\n".join(printable(f"note: {note}") for note in report.notes),
    ]
    return "\n\n".join(part for part in parts if part)
