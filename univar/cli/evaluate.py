"""`univar evaluate`: attribution accuracy with honest statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from univar.cli.common import Output, table_options
from univar.errors import EXIT_GATE, UsageError

if TYPE_CHECKING:
    from univar.evaluate import Report

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("train", type=FOLDER)
@click.argument("eval", type=FOLDER, required=False)
@click.option(
    "--within", metavar="COLUMN", help="Compare only rows with the same value, such as source-corpus."
)
@click.option(
    "-k",
    "neighbours",
    multiple=True,
    default=["5,20,50"],
    show_default=True,
    help="Number of neighbours that vote; several with commas or by giving -k again.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=["source", "model", "language"],
    show_default=True,
    help="Column to predict; may be given several times.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="TRAIN,EVAL|ENCODER",
    help="Another encoder to compare with: its two stores of the same rows, or its name (with --work).",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the stores that --against creates.",
)
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="SPEC",
    help="Location of an encoder that the stores name but that is not found by its id.",
)
@click.option(
    "--protocol",
    type=click.Choice(["questions", "paper"]),
    default="questions",
    show_default=True,
    help="questions: no question on both sides. paper: split one store by rows, as UniVaR does.",
)
@click.option(
    "--non-value", multiple=True, metavar="NAME", help="Value of --within that is not about values."
)
@click.option(
    "--bags",
    default="1,5,20",
    show_default=True,
    help="Number of answers of one source that are attributed together.",
)
@click.option("--fulcra", type=FILE, help="Parquet file of answers with Schwartz labels, for a probe.")
@click.option(
    "--culture",
    type=FOLDER,
    help="Folder of tables of human cultures, to compare distances between languages with.",
)
@click.option(
    "--style-rows",
    default=0,
    metavar="N",
    help="Number of rows per group and side to embed again without style.",
)
@click.option("--translationese", type=FOLDER, help="Folder of Europarl-style train and test CSV files.")
@click.option(
    "--cluster",
    metavar="COLUMN",
    help="Column that intervals are over; question_id:2 is its first two fields. Default: question_id.",
)
@click.option(
    "--folds",
    default=0,
    metavar="K",
    help="Split the one store into K folds that share no question; each is attributed by the others.",
)
@click.option(
    "--centre",
    type=click.Choice(["none", "question", "language", "language-question"]),
    default="none",
    show_default=True,
    help="Take the mean answer of at least 3 other sources from each row: of its question, language or both.",
)
@click.option(
    "--labels",
    type=FILE,
    help="Answers labelled with values, several to a question: value content where topic is alike.",
)
@click.option(
    "--heads",
    is_flag=True,
    help="Also fit source heads on TRAIN and score probabilities, prediction sets, bags and unknown sources.",
)
@click.option(
    "--bootstrap",
    default=1000,
    hidden=True,
    help="Has no effect any more: intervals are jackknife-t.",
)
@click.option(
    "--permutations", default=100, show_default=True, help="Number of shuffles of the train labels."
)
@click.option("--no-baseline", is_flag=True, help="Leave out probes and baselines, which need scikit-learn.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report as JSON.")
@click.option("--force", is_flag=True, help="Overwrite the file of --out.")
@click.option(
    "--compare",
    type=FILE,
    metavar="OLD.json",
    help="Exit 10 if any target is significantly worse than in OLD.json.",
)
@click.option(
    "--least",
    default=0.0,
    show_default=True,
    metavar="X",
    help="Smallest fall in accuracy that --compare counts.",
)
@click.option(
    "--fail-under",
    multiple=True,
    metavar="TARGET=X",
    help="Exit 10 if the accuracy of a target by k-NN is below X (TARGET.probe=X: by the probe).",
)
@table_options
def evaluate(
    train: Path,
    eval: Path | None,
    neighbours: tuple[str, ...],
    bags: str,
    targets: tuple[str, ...],
    within: str | None,
    against: tuple[str, ...],
    work: Path | None,
    cluster: str | None,
    no_baseline: bool,
    out: Path | None,
    force: bool,
    compare: Path | None,
    least: float,
    fail_under: tuple[str, ...],
    output: Output,
    **options: Any,
) -> None:
    """Measure how well neighbours in TRAIN identify the source of each row of EVAL.

    Rows of EVAL whose question is in TRAIN are dropped. Models are comparable only where they answered the
    same questions: use --within with the column of the corpus. With --against, another encoder is measured
    on the same rows, and the difference gets an interval and a p-value.

    \b
    Example:
        univar evaluate runs/train runs/eval
        univar evaluate runs/train runs/eval --within language --target model -k 5,20 --json
        univar evaluate runs/train runs/eval --out last.json
        univar evaluate runs/train runs/eval --compare last.json --fail-under model=0.1
        univar evaluate runs/train --folds 5 --centre question
        univar evaluate runs/train --protocol paper --target source
    """
    from univar import files
    from univar.evaluate import evaluate as run
    from univar.evaluate.against import other_stores
    from univar.evaluate.compare import read_report, with_comparison
    from univar.evaluate.text import tables
    from univar.store import Store

    limits = parse_limits(fail_under, targets)
    if out is not None:
        files.refuse_existing(out, force)
    old = read_report(compare) if compare is not None else None
    stores = [Store(path, check="blocks") for path in (train, eval) if path is not None]
    pair = (stores[0], stores[-1])
    report = run(
        *stores,
        against=dict(other_stores(given, pair, work, output.note) for given in against),
        k=parse_numbers(",".join(neighbours), "-k"),
        bags=parse_numbers(bags, "--bags"),
        targets=[column(target) for target in targets],
        within=column(within) if within else None,
        cluster=column(cluster) if cluster else None,
        baselines=not no_baseline,
        on_progress=output.note,
        **options,
    )
    if old is not None:
        report = with_comparison(report, old, str(compare), least)
    facts = report.to_json()
    if out is not None:
        with files.new_file(out) as file:
            file.write(json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False).encode())
    output.result(facts, tables(report))
    failed = [line for limit in limits.items() if (line := _shortfall(report, *limit))] + _fallen(report)
    for line in failed:
        output.note(line)
    if failed:
        raise SystemExit(EXIT_GATE)


def column(name: str) -> str:
    """A column as the store calls it: `source-corpus` is `source_corpus`."""
    return name.replace("-", "_")


def parse_numbers(text: str, option: str) -> list[int]:
    """`5,20,50` as [5, 20, 50]."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"{option} {text!r} is not a list of whole numbers such as 5,20,50")
    return list(dict.fromkeys(int(part) for part in parts))


def parse_limits(entries: tuple[str, ...], targets: tuple[str, ...]) -> dict[tuple[str, str], float]:
    """`--fail-under source=0.3` as {("source", "knn"): 0.3}."""
    limits = {}
    for entry in entries:
        name, _, number = entry.partition("=")
        target, _, classifier = name.partition(".")
        try:
            limit = float(number)
        except ValueError:
            raise UsageError(f"--fail-under {entry!r} is not TARGET=X such as source=0.30") from None
        if target not in targets or classifier not in ("", "knn", "probe"):
            raise UsageError(
                f"--fail-under {entry!r}: {name!r} is not a target; choose from {', '.join(targets)}, "
                "with .probe after it for the probe"
            )
        limits[column(target), classifier or "knn"] = limit
    return limits


def _shortfall(report: Report, name: tuple[str, str], limit: float) -> str | None:
    """What to say if a target's accuracy, over all groups, is below the limit."""
    target, classifier = name
    scores = report.overall[target].scores if target in report.overall else None
    knn = classifier == "knn"
    found = None if scores is None else scores.knn[report.settings.headline_k] if knn else scores.probe
    if found is None:
        return f"{target}: nothing could be evaluated by {classifier}, so it is below {limit}"
    reached = found.at_1.value
    return f"{target}: {classifier} accuracy {reached:.4f} is below {limit}" if reached < limit else None


def _fallen(report: Report) -> list[str]:
    return [
        f"{target}: {classifier} accuracy fell from {change.old:.4f} to {change.new:.4f} "
        f"(p = {change.p_holm:.4f})"
        for target, changes in (report.compared.targets if report.compared else {}).items()
        for classifier, change in changes.items()
        if change.worse
    ]
