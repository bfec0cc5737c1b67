"""`univar elicit`: ask models."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from univar.cli.languages import parse_languages
from univar.cli.output import Output, output_options, printable, table
from univar.cli.progress import stop_on_signals
from univar.errors import EXIT_INTERRUPTED, EXIT_PARTIAL

if TYPE_CHECKING:
    from univar.elicit.batch import ImportReport
    from univar.elicit.plan import Plan
    from univar.elicit.project import Counts, Elicitation
    from univar.elicit.run import RunReport


@click.command()
@click.option("--questions", required=True, help="A question file, or bank, core or controls.")
@click.option("--models", "models_file", required=True, help="models.toml: whom to ask, and how.")
@click.option("--model", "only", multiple=True, metavar="NAME", help="Ask only this one of them; repeatable.")
@click.option("-o", "--out", required=True, help="Answers (.jsonl); continued if they exist.")
@click.option("--languages", help="ISO 639-3 codes with commas between; default: all the questions are in.")
@click.option("--wordings", type=click.IntRange(1), help="Wordings of each question to ask; default: all.")
@click.option(
    "-n", "--samples", default=1, show_default=True, type=click.IntRange(1), help="Answers to each."
)
@click.option("--seed", default=0, show_default=True, help="Order and the models' seeds follow from it.")
@click.option("--limit", type=click.IntRange(1), help="Ask at most so many of each model in this run.")
@click.option(
    "--max-cost", type=click.FloatRange(0), help="Stop when so much is spent, in the prices' currency."
)
@click.option(
    "--max-connections", default=64, show_default=True, type=click.IntRange(1), help="At once, in all."
)
@click.option("--retry-failed", is_flag=True, help="Ask again what failed before.")
@click.option(
    "--export-batch", metavar="FOLDER", help="Write what is pending as files for OpenAI's batch API."
)
@click.option("--import-batch", multiple=True, metavar="FILE", help="Take the batch API's result files in.")
@click.option("--release-batch", is_flag=True, help="Ask here what was exported and never came back.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked and what it takes; ask nothing.")
@click.option(
    "--assume-answer-tokens", type=click.IntRange(1), help="For --dry-run: answers of so many tokens."
)
@output_options
def elicit(
    questions: str,
    models_file: str,
    only: tuple[str, ...],
    out: str,
    languages: str | None,
    wordings: int | None,
    samples: int,
    seed: int,
    limit: int | None,
    max_cost: float | None,
    max_connections: int,
    retry_failed: bool,
    export_batch: str | None,
    import_batch: tuple[str, ...],
    release_batch: bool,
    dry_run: bool,
    assume_answer_tokens: int | None,
    output: Output,
) -> None:
    """Ask models the questions, and write their answers as rows that check, embed and attribute take.

    Each (question, wording, language, model, sample) is asked once. What was asked is in ANSWERS.state beside
    the answers; the same command goes on where it stopped, after Ctrl-C (exit code 130) or a crash. The
    exit code is 4 if some requests failed or a model was given up. docs/elicit.md tells all of models.toml.
    --dry-run gets no answers; an endpoint that counts tokens is sent some of the prompts for that.

    \b
    Example:
        univar elicit --questions core --languages eng,spa --models models.toml -o asked.jsonl --dry-run
    """
    from univar.elicit.models import choose, read_models
    from univar.elicit.project import Elicitation, gather_questions

    asked = gather_questions(questions, parse_languages(languages), wordings)
    models = choose(read_models(models_file, os.environ), only)
    with Elicitation(out, models, asked, samples=samples, seed=seed, dry=dry_run) as elicitation:
        if retry_failed:
            elicitation.retry_failed()
        if release_batch:
            elicitation.release_batches()
        if dry_run:
            plan = elicitation.plan(assume_answer_tokens)
            output.result(asdict(plan), _plan_text(plan))
        elif export_batch is not None:
            files = [str(path) for path in elicitation.export_batches(export_batch)]
            output.result({"files": files}, "\n".join(files) or "nothing is pending")
        elif import_batch:
            taken = elicitation.import_batches(import_batch)
            output.result(asdict(taken), _import_text(taken))
            if taken.failed:
                raise SystemExit(EXIT_PARTIAL)
        else:
            _run(elicitation, output, limit=limit, max_cost=max_cost, max_connections=max_connections)


def _run(elicitation: Elicitation, output: Output, **limits: Any) -> None:
    """Ask until all is done or Ctrl-C comes, and say what became of it."""
    from univar.cli.elicit_progress import ElicitProgress

    stop = stop_on_signals()
    with ElicitProgress(elicitation.pending(limits["limit"]), output) as progress:
        report = elicitation.run(stop=stop, on_progress=progress.update, **limits)
    counts = elicitation.counts()
    failures = elicitation.failures()
    facts = {**asdict(report), "sources": [asdict(count) for count in counts], "failures": failures}
    output.result(facts, _text(report, counts, failures))
    if stop.is_set():
        left = sum(count.pending for count in counts)
        output.note(f"stopped; the same command goes on ({left:,} requests are left)")
        raise SystemExit(EXIT_INTERRUPTED)
    if any(count.failed for count in counts) or report.stopped or report.over_budget:
        raise SystemExit(EXIT_PARTIAL)


def _import_text(report: ImportReport) -> str:
    reasons = [f"failed: {count:,} x {printable(reason)}" for reason, count in report.reasons.items()]
    counts = f"{report.answered:,} answered, {report.failed:,} failed, {report.unknown:,} lines not ours"
    return "\n".join([*reasons, counts])


def _plan_text(plan: Plan) -> str:
    from univar.cli.progress import duration
    from univar.elicit.tokens import FULL_LENGTH

    headers = [
        "model",
        "to ask",
        "done",
        "failed",
        "prompt tokens",
        "by",
        "answer tokens",
        "by",
        "at most",
        "cost",
        "time",
    ]
    rows = [
        [
            source.source,
            f"{source.pending:,}",
            f"{source.done:,}",
            f"{source.failed:,}",
            f"{source.prompt_tokens:,}",
            source.prompts_by,
            f"{source.completion_tokens:,}",
            source.answers_by,
            f"{source.completion_tokens_at_most:,}",
            f"{source.cost:,.2f} to {source.cost_at_most:,.2f}",
            duration(source.seconds) if source.seconds else "",
        ]
        for source in plan.sources
    ]
    total = f"{plan.pending:,} requests, about {plan.cost:,.2f} in all"
    if any(source.answers_by == FULL_LENGTH for source in plan.sources):
        total += "; after a run with --limit 30 the length of answers follows from real usage"
    return f"{table(headers, rows)}\n\n{total}"


def _text(report: RunReport, counts: list[Counts], failures: dict[str, dict[str, int]]) -> str:
    from univar.cli.progress import duration

    rows = [
        [
            count.source,
            f"{count.done:,}",
            f"{count.failed:,}",
            f"{count.pending:,}",
            f"{count.prompt_tokens:,}",
            f"{count.completion_tokens:,}",
            f"{count.cost:,.2f}",
        ]
        for count in counts
    ]
    lines = [
        f"failed: {name}: {n:,} x {reason}" for name, why in failures.items() for reason, n in why.items()
    ]
    lines += [f"given up: {name}: {reason}" for name, reason in report.stopped.items()]
    if report.over_budget:
        lines.append("stopped at --max-cost: a higher one goes on")
    if failures:
        lines.append("--retry-failed asks again what failed")
    per_s = report.attempts / max(report.seconds, 1e-9)
    took = f"in {duration(report.seconds)}, {per_s:,.0f} requests/s"
    summary = f"{report.answered:,} answered, {report.failed:,} failed {took}"
    headers = ["model", "answered", "failed", "left", "prompt tokens", "answer tokens", "cost"]
    return "\n\n".join(
        part for part in (table(headers, rows), "\n".join(map(printable, lines)), summary) if part
    )
