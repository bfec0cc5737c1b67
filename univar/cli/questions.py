"""`univar questions`: the question bank, and questions of users."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from univar.cli.common import Block, Output, input_options, output_options, table_options
from univar.errors import EXIT_PARTIAL
from univar.tables import Table

if TYPE_CHECKING:
    from univar.answers.inputs import Reading
    from univar.elicit.run import OnProgress
    from univar.questions import Question
    from univar.questions.check import Encode, QuestionReport
    from univar.questions.generate import AskModel, Drafts


@click.group()
def questions() -> None:
    """List, sample, export, check, generate and paraphrase questions.

    QUESTIONS is `bank` (880 shipped questions on 88 values), `core` (66 of them in 12 languages), `controls`
    (200 that elicit no value), `all`, or a JSONL, CSV, TSV or Parquet file with a column `question`.

    \b
    Example:
        univar questions list --value terminal-wisdom
        univar questions sample 20 -o twenty.jsonl
        univar questions check bank
    """


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument QUESTIONS and filters; the command receives the matching questions as `found`."""

    @click.option("--value", "values", multiple=True, help="Keep only questions for this value; repeatable.")
    @click.option("--languages", help="Keep only these languages, separated by commas.")
    @click.option(
        "--wordings", type=click.IntRange(1), help="Number of wordings to keep per question. Default: all."
    )
    @functools.wraps(command)
    def with_questions(
        name: str,
        *args: Any,
        values: tuple[str, ...],
        languages: str | None,
        wordings: int | None,
        **kwargs: Any,
    ) -> Any:
        from univar.questions import gather, select
        from univar.schema import parse_languages

        wanted = parse_languages(languages)
        found = select(gather(name), languages=wanted, values=values, wordings=wordings)
        return command(*args, found=found, **kwargs)

    return click.argument("name", metavar="[QUESTIONS]", default="bank")(with_questions)


def write_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -o and --force."""
    command = click.option("--force", is_flag=True, help="Overwrite an existing file.")(command)
    return click.option("-o", "--out", required=True, help="File to write: .jsonl, .csv or .tsv.")(command)


@questions.command("list")
@filter_options
@table_options
def list_(found: tuple[Question, ...], output: Output) -> None:
    """List questions.

    \b
    Example:
        univar questions list --value hofstede-power-distance --wordings 1
        univar questions list core --languages jpn
    """
    rows = [[q.question_id, str(q.wording), q.language, q.question] for q in found]
    facts = [asdict(question) for question in found]
    if output.form == "table":  # a line for each, whatever the terminal's width: for grep
        output.result(facts, "\n".join("  ".join(row) for row in rows) or None)
    else:
        output.result(facts, Table(["question_id", "wording", "language", "question"], rows, keys=4))
    output.note(_counts(found))


@questions.command()
@click.argument("number", type=click.IntRange(1))
@filter_options
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@write_options
@output_options
def sample(
    number: int, found: tuple[Question, ...], seed: int, out: str, force: bool, output: Output
) -> None:
    """Draw NUMBER questions evenly over the values, with all their wordings and languages.

    \b
    Example:
        univar questions sample 88 -o one-per-value.jsonl
    """
    from univar.questions import sample, write_questions

    drawn = sample(found, number, seed)
    write_questions(drawn, out, force)
    output.note(f"{_counts(drawn)} -> {out}")


@questions.command()
@filter_options
@write_options
@output_options
def export(found: tuple[Question, ...], out: str, force: bool, output: Output) -> None:
    """Write questions to a file, for `univar elicit` or `univar translate`.

    \b
    Example:
        univar questions export core --languages eng,spa -o core.jsonl
        univar questions export all -o questions.csv
    """
    from univar.questions import write_questions

    write_questions(found, out, force)
    output.note(f"{_counts(found)} -> {out}")


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --models and --model."""
    models = click.option(
        "--models", "models_file", required=True, help="models.toml, as for `univar elicit`."
    )
    return models(click.option("--model", required=True, help="Name of the model to ask.")(command))


@questions.command()
@click.option(
    "--value", "values", multiple=True, required=True, help="Value to write questions for; repeatable."
)
@click.option(
    "-n",
    "number",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Number of questions per value.",
)
@click.option("--extra", multiple=True, type=click.Path(), help="TOML file with additional values.")
@model_options
@write_options
@output_options
def generate(
    values: tuple[str, ...],
    number: int,
    extra: tuple[str, ...],
    models_file: str,
    model: str,
    out: str,
    force: bool,
    output: Output,
) -> None:
    """Let a model write draft questions: situations for each value, a question for each situation.

    The model's answers are kept beside the file (*.asked.jsonl); run the same command again to continue. Read
    the drafts, and check them with `univar questions check`.

    \b
    Example:
        univar questions generate --value terminal-wisdom --models models.toml --model small -o new.jsonl
    """
    from univar.questions.generate import generate_questions
    from univar.questions.values import load_taxonomy

    chosen = load_taxonomy(extra).select(ids=values)
    drafts = generate_questions(chosen, number, _asker(models_file, model, out, force, output))
    _write_drafts(drafts, len(drafts.questions), out, force, output)


@questions.command()
@filter_options
@click.option(
    "-n",
    "number",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Number of new wordings per question.",
)
@model_options
@write_options
@output_options
def paraphrase(
    found: tuple[Question, ...],
    number: int,
    models_file: str,
    model: str,
    out: str,
    force: bool,
    output: Output,
) -> None:
    """Let a model write more wordings; the file holds the old and the new ones.

    The model's answers are kept beside the file (*.asked.jsonl); run the same command again to continue.

    \b
    Example:
        univar questions paraphrase new.jsonl --models models.toml --model small -o more.jsonl
    """
    from univar.questions.generate import paraphrase_questions

    drafts = paraphrase_questions(found, number, _asker(models_file, model, out, force, output))
    _write_drafts(drafts, len(drafts.questions) - len(found), out, force, output)


@questions.command()
@click.argument("name", metavar="[QUESTIONS]", default="all")
@click.option("--extra", multiple=True, type=click.Path(), help="TOML file with additional values.")
@click.option(
    "-e",
    "--encoder",
    "spec",
    default="minilm",
    show_default=True,
    help="Encoder that finds near-duplicates, or none.",
)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Lowest cosine of near-duplicates. Default: 0.78."
)
@input_options
@table_options
def check(
    name: str,
    extra: tuple[str, ...],
    spec: str,
    threshold: float | None,
    reading: Reading,
    output: Output,
) -> None:
    """Check questions for duplicates, balance, lengths of controls, scripts and other problems.

    Near-duplicates are English questions whose embeddings have a cosine of at least --threshold. The exit
    code is 4 if there are problems.

    \b
    Example:
        univar questions check
    """
    from univar.questions import gather
    from univar.questions.check import NEAR_DUPLICATE, check_questions
    from univar.questions.values import load_taxonomy

    found = gather(name, reading=reading)
    report = check_questions(found, load_taxonomy(extra), _encode(spec), threshold or NEAR_DUPLICATE)
    output.result(asdict(report), _report(report))
    if report.problems:
        raise SystemExit(EXIT_PARTIAL)


def _encode(spec: str) -> Encode | None:
    """`encode` of the encoder `spec`; None for "none"."""
    if spec == "none":
        return None
    from univar.encoder.encoder import Encoder

    return Encoder(spec).encode


def _asker(models_file: str, name: str, out: str, force: bool, output: Output) -> AskModel:
    """A function that asks the model `name` and shows progress; answers are kept beside `out`."""
    from univar.cli.progress import ElicitProgress
    from univar.elicit.config import choose, read_models
    from univar.elicit.prompts import ask_prompts
    from univar.questions.files import check_target

    target = check_target(out, force)
    (model,) = choose(read_models(models_file, os.environ), [name])

    def ask(prompts: Sequence[str], step: str) -> list[str | None]:
        with ExitStack() as stack:

            def watch(pending: dict[str, int]) -> OnProgress:
                output.note(f"{step}: sending {model.name} {sum(pending.values()):,} prompts")
                return stack.enter_context(ElicitProgress(pending, output)).update

            kept = target.with_name(f"{target.stem}.{step}.asked.jsonl")
            done = ask_prompts(prompts, model, kept, watch=watch)
        for reason, count in done.failures.items():
            output.note(f"{step}: failed: {count:,} x {reason}")
        if done.stopped:
            output.note(f"{step}: dropped: {done.stopped}")
        return done.answers

    return ask


def _write_drafts(drafts: Drafts, new: int, out: str, force: bool, output: Output) -> None:
    """Write the drafts, and report how many texts are `new` and why other answers were discarded."""
    from univar.questions import write_questions

    write_questions(drafts.questions, out, force)
    lost = sum(drafts.discarded.values())
    asked = " and ".join(f"{count:,} {step}" for step, count in drafts.asked.items())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in drafts.discarded.items())
    output.note(f"asked for {asked}: kept {new:,}, discarded {lost:,}{f' ({reasons})' if reasons else ''}")
    output.note(f"{_counts(drafts.questions)} -> {out}")
    if lost:
        raise SystemExit(EXIT_PARTIAL)


def _counts(found: tuple[Question, ...]) -> str:
    ids = {question.question_id for question in found}
    languages = {question.language for question in found}
    return f"{len(ids):,} questions, {len(found):,} texts, {len(languages)} languages"


def _report(report: QuestionReport) -> list[Block]:
    counts = [
        ["questions", f"{report.questions:,}"],
        ["  controls among them", f"{report.controls:,}"],
        ["  core questions among them", f"{report.core:,}"],
        ["texts", f"{report.texts:,}"],
        ["values", f"{report.values:,}"],
        ["languages", ", ".join(f"{code} {n:,}" for code, n in report.languages.items())],
        *(
            [
                f"characters, wording {match.wording}",
                f"median {match.median_value:.0f}, controls {match.median_control:.0f} (p = {match.p:.2f})",
            ]
            for match in report.lengths
        ),
        ["problems", f"{len(report.problems):,}"],
    ]
    lines = [f"{problem.check}: {problem.question_id}: {problem.detail}" for problem in report.problems]
    return [Table(["found", "count"], counts), *(["\n".join(lines)] if lines else [])]
