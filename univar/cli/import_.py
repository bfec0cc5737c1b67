"""`univar import`: answers collected by other tools."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from univar.cli.common import Output, table_options
from univar.errors import EXIT_PARTIAL, UsageError

EMPTY = "the answer is empty"


@click.command("import")
@click.argument("inputs", nargs=-1, required=True)
@click.option("--from", "kind", required=True, help="Format: alpaca-eval, mt-bench, inspect or lm-eval.")
@click.option("-o", "--out", required=True, help="File of answer rows to write (.jsonl).")
@click.option(
    "--language", default="eng", show_default=True, help="Language of the questions: a code or a name."
)
@click.option("--model", default="", help="Name of the model, if the file has none (lm-eval).")
@click.option("--questions", help="MT-bench's question.jsonl. Default: beside the answers.")
@click.option("--force", is_flag=True, help="Overwrite OUT.")
@table_options
def import_(
    inputs: tuple[str, ...],
    kind: str,
    out: str,
    language: str,
    model: str,
    questions: str | None,
    force: bool,
    output: Output,
) -> None:
    """Convert files of AlpacaEval, MT-bench, inspect_ai or lm-evaluation-harness to answer rows.

    Each choice, epoch and repeat becomes a row. What holds no answer is skipped, counted and named; the exit
    code is then 4. Folders of UniVaR's CSV files and CSV files with other column names (--map) need no
    import: every command reads them.

    \b
    Example:
        univar import model_outputs.json --from alpaca-eval -o imported.jsonl --force
    """
    from univar.answers.importers import Origin, Skipped, import_rows
    from univar.files import new_text_file, refuse_existing

    path = Path(out)
    if path.suffix != ".jsonl":
        raise UsageError(f"{path} does not end in .jsonl: give the output that ending")
    refuse_existing(path, force)
    origin = Origin(language, model, Path(questions) if questions else None)
    rows, skipped, lost = 0, Counter[str](), 0
    with new_text_file(path) as file:
        for name in inputs:
            for found in import_rows(name, kind, origin):
                if not isinstance(found, Skipped) and not found["answer"].strip():
                    found = Skipped(found["id"], EMPTY)
                if isinstance(found, Skipped):
                    skipped[found.reason] += 1
                    lost += found.is_loss and found.reason != EMPTY
                    output.note(f"skipped {name}, {found.place}: {found.reason}")
                    continue
                file.write(json.dumps(found, ensure_ascii=False) + "\n")
                rows += 1
    facts = {"rows": rows, "empty": skipped[EMPTY], "skipped": dict(skipped.most_common()), "out": str(path)}
    reasons = "".join(f"\n{count:,} skipped: {reason}" for reason, count in skipped.most_common())
    output.result(facts, f"{rows:,} rows -> {path}{reasons}")
    if lost:
        raise SystemExit(EXIT_PARTIAL)
