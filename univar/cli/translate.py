"""`univar translate`: answers and questions into other languages."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from univar.cli.languages import parse_languages
from univar.cli.options import input_options
from univar.cli.output import Output, output_options, printable, table
from univar.errors import EXIT_PARTIAL, UsageError

if TYPE_CHECKING:
    from univar.translate import TranslationReport


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("--to", "targets", required=True, help="Target language; for questions several, with commas.")
@click.option("-o", "--out", required=True, help="Translated rows (.jsonl).")
@click.option(
    "--with",
    "engine",
    default="nllb",
    show_default=True,
    help="nllb (facebook/nllb-200-3.3B), nllb:FOLDER_OR_ID, apertium, or model:NAME of --models.",
)
@click.option("--models", "models_file", help="models.toml with the model that translates.")
@click.option(
    "--round-trip", help="Send answers that are in the target already through this language and back."
)
@input_options
@output_options
def translate(
    inputs: tuple[str, ...],
    targets: str,
    out: str,
    engine: str,
    models_file: str | None,
    round_trip: str | None,
    format: str | None,
    rename: dict[str, str],
    output: Output,
) -> None:
    """Translate answers into one language, or questions into several.

    Answers keep their language, which is part of their source; what was there before is in
    original_question and original_answer. A row without an answer is a question. Each text is translated
    once; the same command goes on where it stopped. The exit code is 4 if some rows could not be
    translated.

    \b
    Example:
        univar translate spanish.jsonl --to eng --with apertium -o english.jsonl
    """
    from univar.elicit.models import read_models
    from univar.translate import load_translator, translate_file

    languages = parse_languages(targets)
    if not languages:
        raise UsageError("--to names no language: give an ISO 639 code such as eng")
    through = parse_languages(round_trip)
    if len(through) > 1:
        raise UsageError(f"--round-trip goes through one language, not through {round_trip}")
    models = read_models(models_file, os.environ) if models_file else ()
    path = Path(out)
    translator = load_translator(engine, models, path.with_name(path.name + ".asked.jsonl"))
    report = translate_file(
        list(inputs),
        path,
        languages,
        translator,
        round_trip=through[0] if through else None,
        format=format,
        rename=rename,
    )
    output.result(asdict(report), _text(report))
    if report.failed or report.rejected:
        raise SystemExit(EXIT_PARTIAL)


def _text(report: TranslationReport) -> str:
    rows = [
        [
            f"{pair.source} to {pair.target}",
            f"{pair.texts:,}",
            "{:.2f} ({:.2f} to {:.2f})".format(*pair.length_ratio),
            "not checked" if pair.in_target is None else f"{pair.in_target:.0%}",
            f"{pair.copied:.0%}",
            f"{pair.unchanged:.0%}",
        ]
        for pair in report.quality
    ]
    headers = ["languages", "texts", "length ratio", "in the target", "words copied", "unchanged"]
    rejected = [f"rejected {row.file}:{row.row}: {row.reason}" for row in report.rejected[:20]]
    summary = (
        f"{report.rows:,} rows: {report.translated:,} translated, {report.unchanged:,} in the target "
        f"already, "
        f"{report.failed:,} failed, {len(report.rejected):,} rejected"
    )
    return "\n\n".join(
        part for part in (table(headers, rows), "\n".join(map(printable, rejected)), summary) if part
    )
