"""`univar check`: validate answer files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from univar.cli.common import Block, Output, input_options, table_options
from univar.errors import EXIT_GATE, EXIT_PARTIAL, UsageError
from univar.tables import Table

if TYPE_CHECKING:
    from univar.answers.check import CheckReport, SourceFacts
    from univar.answers.inputs import Reading


_OLD_NAMES = {
    "rejected": "refused",
    "declined": "refusals",
    "cut_off": "truncated",
    "maker_names": "label_leaks",
}
"""The old names of findings that were renamed."""


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "--drop",
    "clean",
    metavar="CLEAN",
    help="Also write a copy (.jsonl) without the rows that --drop-kinds names.",
)
@click.option(
    "--drop-kinds",
    default="duplicates,short_answers,declined,wrong_language,maker_names,echoes,loops",
    show_default=True,
    help="Findings to leave out of the copy; cut_off, reasoning and shared_answers can be named too.",
)
@click.option(
    "--flags",
    "flag_path",
    metavar="FILE",
    help="Also write a line for each row with what was found in it (.jsonl or .csv).",
)
@click.option("--force", is_flag=True, help="Overwrite the files of --drop and --flags.")
@click.option(
    "--by",
    type=click.Choice(["model", "language", "source"]),
    help="Also print the share of each finding per model, language or source.",
)
@click.option(
    "--fail-over",
    "limits",
    multiple=True,
    metavar="FINDING=SHARE",
    help="Exit 10 if a larger share of the rows has this finding, e.g. declined=0.1.",
)
@input_options
@table_options
def check(
    inputs: tuple[str, ...],
    clean: str | None,
    drop_kinds: str,
    flag_path: str | None,
    force: bool,
    by: str | None,
    limits: tuple[str, ...],
    reading: Reading,
    output: Output,
) -> None:
    """Report what answer files hold and which rows are faulty.

    INPUTS are JSONL, CSV, TSV (each also .gz or .zst) or Parquet files, or - for stdin. The exit code is 4 if
    some rows were rejected, 3 if a file cannot be used at all. With --drop, CLEAN.dropped.jsonl lists each
    row that was left out, with the reason.

    \b
    Example:
        univar check answers.jsonl
        univar check answers.csv.gz --map answer=response --json
        univar check answers.jsonl --drop clean.jsonl --flags found.csv --force
        univar check answers.jsonl --by model --fail-over declined=0.5
    """
    from univar.answers.check import check_rows
    from univar.answers.clean import CleanCopy, FlagFile

    allowed = parse_limits(limits)
    new_names = {old: new for new, old in _OLD_NAMES.items()}
    named = (kind.strip() for kind in drop_kinds.split(",") if kind.strip())
    kinds = tuple(new_names.get(kind, kind) for kind in named)
    with ExitStack() as written:
        copy = None if clean is None else written.enter_context(CleanCopy(clean, kinds, force))
        flags = None if flag_path is None else written.enter_context(FlagFile(flag_path, force))
        report = check_rows(inputs, reading=reading, copy=copy, flags=flags)
    if copy is None:
        output.result(asdict(report), _text(report, by), _OLD_NAMES)
    else:
        dropped = dict(copy.dropped.most_common())
        facts = {**asdict(report), "kept": copy.kept, "dropped": dropped}
        reasons = ", ".join(f"{kind} {count:,}" for kind, count in dropped.items()) or "none"
        kept = f"kept {copy.kept:,} rows; left out: {reasons}"
        output.result(facts, [*_text(report, by), kept], _OLD_NAMES)
    over = [
        f"{kind}: {_count(report, kind) / report.rows:.3f} of the rows, allowed {share:g}"
        for kind, share in allowed.items()
        if report.rows and _count(report, kind) > share * report.rows
    ]
    for line in over:
        output.note(line)
    if over:
        raise SystemExit(EXIT_GATE)
    if report.rejected.count:
        raise SystemExit(EXIT_PARTIAL)


def parse_limits(limits: tuple[str, ...]) -> dict[str, float]:
    """`declined=0.1` as {"declined": 0.1}. Raises UsageError for an unknown finding or no share."""
    from univar.answers.clean import DROPPABLE

    parsed: dict[str, float] = {}
    for limit in limits:
        kind, _, share = limit.partition("=")
        try:
            parsed[kind] = float(share)
        except ValueError:
            raise UsageError(f"--fail-over {limit!r} is not FINDING=SHARE, such as declined=0.1") from None
        if kind not in DROPPABLE or not 0 <= parsed[kind] <= 1:
            raise UsageError(
                f"--fail-over {limit!r}: give a share from 0 to 1 of one of {', '.join(DROPPABLE)}"
            )
    return parsed


def _count(report: CheckReport, kind: str) -> int:
    finding = getattr(report, kind)
    return finding.count if finding is not None else 0


def _shares(report: CheckReport, by: str) -> Table:
    """Shares of each finding, by model, language or source."""
    groups: dict[str, list[SourceFacts]] = {}
    for source in report.sources:
        label = f"{source.model}/{source.language}"
        groups.setdefault({"model": source.model, "language": source.language}.get(by, label), []).append(
            source
        )
    kinds = list(report.sources[0].found) if report.sources else []
    rows = []
    for label, members in groups.items():
        n = sum(source.rows for source in members)
        shares = [f"{sum(source.found[kind] for source in members) / n:.3f}" for kind in kinds]
        rows.append([label, f"{n:,}", *shares])
    return Table([by, "rows", *(kind.replace("_", " ") for kind in kinds)], rows)


def _text(report: CheckReport, by: str | None) -> list[Block]:
    counts = [
        ("rows", report.rows, []),
        ("rejected", report.rejected.count, report.rejected.first),
        ("  of these with an empty answer", report.empty_answers, []),
        ("duplicates", report.duplicates.count, report.duplicates.first),
        ("answers that another model gave too", report.shared_answers.count, report.shared_answers.first),
        ("short answers", report.short_answers.count, report.short_answers.first),
        (
            "answers naming their model, its family or its maker",
            report.maker_names.count,
            report.maker_names.first,
        ),
        ("declined answers", report.declined.count, report.declined.first),
        ("answers cut off", report.cut_off.count, report.cut_off.first),
        ("answers that end in a loop", report.loops.count, report.loops.first),
        ("answers with reasoning or template tokens", report.reasoning.count, report.reasoning.first),
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
    rejected = [f"{place['file']}:{place['row']}: {place['reason']}" for place in report.rejected.first]
    headers = ["model", "language", "rows", "questions", "characters 5 %", "25 %", "median", "75 %", "95 %"]
    lists = (
        "\n".join(f"rejected {line}" for line in rejected),
        "\n".join(f"note: {note}" for note in report.notes),
    )
    return [
        Table(["found", "count", "first at"], found),
        Table(headers, sources, keys=2),
        *([_shares(report, by)] if by else []),
        *(part for part in lists if part),
        _encoder(report),
    ]


def _encoder(report: CheckReport) -> str:
    """Which encoder `univar embed` takes for these rows."""
    from univar.schema import DEFAULT_ENCODERS

    others = sorted({source.language for source in report.sources} - {"eng"})
    chosen = DEFAULT_ENCODERS[bool(others)]
    if not others:
        return f"`univar embed` takes {chosen}: every row is in English"
    return f"`univar embed` takes {chosen}: {', '.join(others)} are not read by an encoder made for English"
