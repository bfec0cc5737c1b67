"""`univar elicit`: ask models."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from univar.cli.common import Block, Output, table_options
from univar.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PARTIAL
from univar.tables import Table

if TYPE_CHECKING:
    from univar.elicit.batch import ImportReport
    from univar.elicit.elicitation import Elicitation, RespondentCounts
    from univar.elicit.plan import ElicitPlan
    from univar.elicit.run import ElicitReport

_OLD_NAMES = {"respondents": "sources"}
_NOTHING_PENDING = (
    "nothing is pending: everything was asked before. To ask a new version of a model, put the version into "
    "its name in models.toml; to ask again what failed, use --retry-failed"
)


@click.command()
@click.option("--questions", required=True, help="Question file, or bank, core or controls.")
@click.option("--models", "models_file", required=True, help="models.toml: which models to ask, and how.")
@click.option("--model", "only", multiple=True, metavar="NAME", help="Ask only this model; repeatable.")
@click.option("-o", "--out", required=True, help="Answer file (.jsonl). An existing one is continued.")
@click.option("--languages", help="Languages to ask in, separated by commas. Default: all there are.")
@click.option(
    "--wordings", type=click.IntRange(1), help="Number of wordings per question to ask. Default: all."
)
@click.option(
    "-n",
    "--samples",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Number of answers per wording.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed of the order and of the models.")
@click.option("--limit", type=click.IntRange(1), help="Maximum number of requests per model in this run.")
@click.option(
    "--max-cost", type=click.FloatRange(0), help="Maximum cost, in the currency of the models' prices."
)
@click.option(
    "--max-connections",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum number of concurrent requests.",
)
@click.option("--retry-failed", is_flag=True, help="Ask again what failed before.")
@click.option(
    "--export-batch", metavar="FOLDER", help="Write pending requests as files for OpenAI's batch API."
)
@click.option("--import-batch", multiple=True, metavar="FILE", help="Import result files of the batch API.")
@click.option("--release-batch", is_flag=True, help="Ask exported requests that have no result yet.")
@click.option("--dry-run", is_flag=True, help="Report what would be asked and what it would cost, and stop.")
@click.option(
    "--assume-answer-tokens",
    type=click.IntRange(1),
    help="Number of tokens per answer that --dry-run assumes.",
)
@table_options
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
    """Ask models questions, and write their answers as rows for check, embed and attribute.

    Each (question, wording, language, model, sample) is asked once. The file OUT.state records what was
    asked; run the same command again to continue, after Ctrl-C (exit code 130) or a crash. The exit code is
    4 if some requests failed or a model was dropped, and 1 if nothing was answered. docs/asking.md describes
    models.toml. --dry-run asks for no answers, but sends some prompts to an endpoint that counts tokens.

    \b
    Example:
        univar elicit --questions core --languages eng,spa --models models.toml -o asked.jsonl --dry-run
    """
    from univar.elicit.config import choose, read_models
    from univar.elicit.elicitation import Elicitation, gather_questions
    from univar.schema import parse_languages

    chosen = gather_questions(questions, parse_languages(languages), wordings)
    models = choose(read_models(models_file, os.environ), only)
    with Elicitation(out, models, chosen, samples=samples, seed=seed, dry=dry_run) as elicitation:
        if retry_failed:
            elicitation.retry_failed()
        if release_batch:
            elicitation.release_batches()
        if dry_run:
            plan = elicitation.plan(assume_answer_tokens)
            facts = {"respondents": [_facts(respondent) for respondent in plan.respondents]}
            output.result(facts, _plan_text(plan), _OLD_NAMES)
        elif export_batch is not None:
            files = [str(path) for path in elicitation.export_batches(export_batch)]
            output.result({"files": files}, "\n".join(files) or "no request is pending")
        elif import_batch:
            imported = elicitation.import_batches(import_batch)
            output.result(asdict(imported), _import_text(imported))
            if imported.failed:
                raise SystemExit(EXIT_PARTIAL)
        else:
            _run(elicitation, output, limit=limit, max_cost=max_cost, max_connections=max_connections)


def _run(elicitation: Elicitation, output: Output, **limits: Any) -> None:
    """Ask until all is done or Ctrl-C comes, and report the outcome."""
    from univar.cli.progress import ElicitProgress, stop_on_signals

    stop = stop_on_signals()
    pending = elicitation.pending(limits["limit"])
    with ElicitProgress(pending, output) as progress:
        report = elicitation.run(stop=stop, on_progress=progress.update, **limits)
    counts = elicitation.counts()
    failures = elicitation.failures()
    facts = {**asdict(report), "respondents": [_facts(count) for count in counts], "failures": failures}
    output.result(facts, _text(report, counts, failures), _OLD_NAMES)
    if not any(pending.values()):
        output.note(_NOTHING_PENDING)
    if stop.is_set():
        left = sum(count.pending for count in counts)
        output.note(f"stopped with {left:,} requests left; run the same command again to continue")
        raise SystemExit(EXIT_INTERRUPTED)
    if any(count.failed for count in counts) or report.stopped or report.over_budget:
        answered = any(count.done for count in counts)
        raise SystemExit(EXIT_PARTIAL if answered or report.over_budget else EXIT_FAILED)


def _facts(row: Any) -> dict[str, Any]:
    """A respondent's row for JSON, with the name that its first key had before."""
    facts = asdict(row)
    return {**facts, "source": facts["respondent"]}


def _import_text(report: ImportReport) -> str:
    reasons = [f"failed: {count:,} x {reason}" for reason, count in report.reasons.items()]
    counts = (
        f"{report.answered:,} answered, {report.failed:,} failed, {report.unknown:,} lines of other batches"
    )
    return "\n".join([*reasons, counts])


def _plan_text(plan: ElicitPlan) -> list[Block]:
    from univar.cli.progress import duration
    from univar.elicit.plan import FULL_LENGTH

    headers = [
        "model",
        "pending",
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
            row.respondent,
            f"{row.pending:,}",
            f"{row.done:,}",
            f"{row.failed:,}",
            f"{row.prompt_tokens:,}",
            row.prompts_by,
            f"{row.completion_tokens:,}",
            row.answers_by,
            f"{row.completion_tokens_at_most:,}",
            f"{row.cost:,.2f} to {row.cost_at_most:,.2f}",
            duration(row.seconds) if row.seconds else "",
        ]
        for row in plan.respondents
    ]
    total = f"{plan.pending:,} requests, about {plan.cost:,.2f} in total"
    if any(row.answers_by == FULL_LENGTH for row in plan.respondents):
        total += "; a run with --limit 30 would show how long answers really are"
    return [Table(headers, rows), total]


def _text(
    report: ElicitReport, counts: list[RespondentCounts], failures: dict[str, dict[str, int]]
) -> list[Block]:
    from univar.cli.progress import duration

    rows = [
        [
            count.respondent,
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
    lines += [f"dropped: {name}: {reason}" for name, reason in report.stopped.items()]
    if report.over_budget:
        lines.append("stopped at --max-cost: raise it to continue")
    if failures:
        lines.append("use --retry-failed to ask again what failed")
    per_s = report.attempts / max(report.seconds, 1e-9)
    took = f"in {duration(report.seconds)}, {per_s:,.0f} requests/s"
    summary = f"{report.answered:,} answered, {report.failed:,} failed {took}"
    headers = ["model", "answered", "failed", "pending", "prompt tokens", "answer tokens", "cost"]
    return [Table(headers, rows), *(["\n".join(lines)] if lines else []), summary]
