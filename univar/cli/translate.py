"""`univar translate`: answers and questions into other languages."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from univar.cli.common import Block, Output, input_options, table_options
from univar.errors import EXIT_PARTIAL, UsageError
from univar.tables import Table

if TYPE_CHECKING:
    from univar.answers.inputs import Reading
    from univar.translate import TranslationReport


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "--to", "targets", required=True, help="Target language; for questions, several separated by commas."
)
@click.option(
    "-o", "--out", required=True, help="File of translated rows (.jsonl). An existing one is continued."
)
@click.option(
    "--with",
    "engine",
    default="nllb",
    show_default=True,
    help="Translator: nllb (facebook/nllb-200-3.3B), nllb:FOLDER_OR_ID, apertium or model:NAME.",
)
@click.option("--models", "models_file", help="models.toml with the model of --with model:NAME.")
@click.option(
    "--round-trip", help="Language through which to translate answers already in the target, and back."
)
@input_options
@table_options
def translate(
    inputs: tuple[str, ...],
    targets: str,
    out: str,
    engine: str,
    models_file: str | None,
    round_trip: str | None,
    reading: Reading,
    output: Output,
) -> None:
    """Translate answers into one language, or questions into several.

    Answers keep their language, which is part of their source; the old texts are kept in original_question
    and original_answer. A row without an answer is a question. Each text is translated once; run the same
    command again to continue. The exit code is 4 if some rows could not be translated.

    \b
    Example:
        univar translate spanish.jsonl --to eng --with apertium -o english.jsonl
    """
    from univar.elicit.config import read_models
    from univar.schema import parse_languages
    from univar.translate import load_translator, translate_file

    languages = parse_languages(targets)
    if not languages:
        raise UsageError("--to is empty: give a language code such as eng")
    through = parse_languages(round_trip)
    if len(through) > 1:
        raise UsageError(f"--round-trip takes one language, not {round_trip}")
    models = read_models(models_file, os.environ) if models_file else ()
    path = Path(out)
    translator = load_translator(engine, models, path.with_name(path.name + ".asked.jsonl"))
    report = translate_file(
        list(inputs),
        path,
        languages,
        translator,
        round_trip=through[0] if through else None,
        reading=reading,
    )
    output.result(_facts(report), _text(report))
    if report.failed or report.rejected:
        raise SystemExit(EXIT_PARTIAL)


def _facts(report: TranslationReport) -> dict[str, Any]:
    """The report for JSON, with the name that `origin` had before."""
    facts = asdict(report)
    facts["quality"] = [{**pair, "source": pair["origin"]} for pair in facts["quality"]]
    return facts


def _text(report: TranslationReport) -> list[Block]:
    rows = [
        [
            f"{pair.origin} to {pair.target}",
            f"{pair.texts:,}",
            "{:.2f} ({:.2f} to {:.2f})".format(*pair.length_ratio),
            "not checked" if pair.in_target is None else f"{pair.in_target:.0%}",
            f"{pair.copied:.0%}",
            f"{pair.unchanged:.0%}",
        ]
        for pair in report.quality
    ]
    headers = ["languages", "texts", "length ratio", "in target language", "words copied", "unchanged"]
    failed = [f"failed {row.file}:{row.row}: {row.reason}" for row in report.first_failed]
    rejected = [f"rejected {row.file}:{row.row}: {row.reason}" for row in report.rejected[:20]]
    summary = (
        f"{report.rows:,} rows: {report.translated:,} translated, {report.unchanged:,} already in the target "
        f"language, {report.failed:,} failed{_reasons(report)}, {len(report.rejected):,} rejected"
    )
    named = "\n".join(failed + rejected)
    return [*([Table(headers, rows)] if rows else []), *([named] if named else []), summary]


def _reasons(report: TranslationReport) -> str:
    counted = ", ".join(f"{count:,}: {reason}" for reason, count in report.reasons.items())
    return f" ({counted})" if counted else ""
