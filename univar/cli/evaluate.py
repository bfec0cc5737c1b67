"""`univar evaluate`: attribution accuracy with honest statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from univar.cli.evaluate_text import comparison_text, evaluation_text
from univar.cli.output import Output, output_options
from univar.errors import EXIT_FAILED, UsageError

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("train", type=FOLDER)
@click.argument("eval", type=FOLDER, required=False)
@click.option(
    "--within", metavar="COLUMN", help="Compare only rows with the same value, such as source-corpus."
)
@click.option(
    "-k", "neighbours", default="5,20,50", show_default=True, help="Numbers of neighbours that vote."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=["source", "model", "language"],
    show_default=True,
    help="What to predict; may be given several times.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="TRAIN,EVAL|ENCODER",
    help="Another encoder to compare with: its two stores of the same rows, or its name (with --work).",
)
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), help="Where --against keeps its stores."
)
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="SPEC",
    help="Where an encoder of the stores is, if its id there does not tell.",
)
@click.option(
    "--protocol",
    type=click.Choice(["questions", "paper"]),
    default="questions",
    show_default=True,
    help="Questions: none on both sides. Paper: UniVaR's split of one store by rows.",
)
@click.option(
    "--non-value", multiple=True, metavar="NAME", help="A value of --within that is not about values."
)
@click.option(
    "--bags", default="1,5,20", show_default=True, help="Answers of one source attributed together."
)
@click.option("--fulcra", type=FILE, help="Answers with Schwartz labels (Parquet): are the values in there?")
@click.option(
    "--culture", type=FOLDER, help="Folder of tables of human cultures: do languages lie as they do?"
)
@click.option(
    "--style-rows", default=0, metavar="N", help="Also embed N rows per group and side without style."
)
@click.option("--translationese", type=FOLDER, help="Folder of Europarl-style train and test CSV files.")
@click.option("--bootstrap", default=1000, show_default=True, help="Draws of questions for the intervals.")
@click.option("--permutations", default=100, show_default=True, help="Shuffles of the train labels.")
@click.option(
    "--no-baseline", is_flag=True, help="Neighbours only: no probes and baselines (no scikit-learn)."
)
@click.option("--seed", default=0, show_default=True, help="Of everything that is drawn.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report as JSON.")
@click.option("--force", is_flag=True, help="Overwrite the file of --out.")
@click.option(
    "--compare", type=FILE, metavar="OLD.json", help="Exit 1 if a target is surely worse than there."
)
@click.option(
    "--fail-under",
    multiple=True,
    metavar="TARGET=X",
    help="Exit 1 if k-NN's accuracy of a target is below X; TARGET.probe=X for the probe's.",
)
@output_options
def evaluate(
    train: Path,
    eval: Path | None,
    neighbours: str,
    bags: str,
    targets: tuple[str, ...],
    within: str | None,
    against: tuple[str, ...],
    work: Path | None,
    no_baseline: bool,
    out: Path | None,
    force: bool,
    compare: Path | None,
    fail_under: tuple[str, ...],
    output: Output,
    **options: Any,
) -> None:
    """Say how well the rows of store TRAIN tell where the rows of store EVAL came from.

    Rows of EVAL whose question is in TRAIN are dropped. Models are comparable only where they answered the
    same questions: use --within with the column of the corpus. With --against, another encoder is measured
    on the same rows and the difference gets an interval and a p-value.

    \b
    Example:
        univar evaluate runs/train runs/eval
        univar evaluate runs/train runs/eval --within language --target model -k 5,20 --json
        univar evaluate runs/train runs/eval --out last.json
        univar evaluate runs/train runs/eval --compare last.json --fail-under model=0.1
        univar evaluate runs/train --protocol paper --target source
    """
    from univar import files
    from univar.evaluate import FORMAT
    from univar.evaluate import compare as against_old
    from univar.evaluate import evaluate as run
    from univar.evaluate.compare import read_report
    from univar.evaluate.other_encoder import other_stores
    from univar.store import Store

    limits = parse_limits(fail_under, targets)
    if out is not None:
        files.refuse_existing(out, force)
    old = read_report(compare, FORMAT) if compare is not None else None
    stores = [Store(path, check="blocks") for path in (train, eval) if path is not None]
    pair = (stores[0], stores[-1])
    report = run(
        *stores,
        against=dict(other_stores(given, pair, work, output.note) for given in against),
        k=parse_numbers(neighbours, "-k"),
        bags=parse_numbers(bags, "--bags"),
        targets=[column(target) for target in targets],
        within=column(within) if within else None,
        baselines=not no_baseline,
        on_progress=output.note,
        **options,
    )
    compared = against_old(report, old) if old is not None else {}
    if compared:
        report["compared"] = {"with": str(compare), "targets": compared}
    if out is not None:
        with files.new_file(out) as file:
            file.write(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False).encode())
    text = [evaluation_text(report), *([comparison_text(compared, str(compare))] if compared else [])]
    output.result(report, "\n\n".join(text))
    failed = [line for limit in limits.items() if (line := _shortfall(report, *limit))]
    failed += _fallen(compared)
    for line in failed:
        output.note(line)
    if failed:
        raise SystemExit(EXIT_FAILED)


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
                f"--fail-under {entry!r}: {name!r} is none of {', '.join(targets)}, "
                "nor one of these and .probe"
            )
        limits[column(target), classifier or "knn"] = limit
    return limits


def _shortfall(report: dict[str, Any], name: tuple[str, str], limit: float) -> str | None:
    """What to say if a target's accuracy, over all groups, is below the limit."""
    target, classifier = name
    facts = report["overall"].get(target, {}).get(classifier)
    if facts is None:
        return f"{target}: nothing could be evaluated by {classifier}, so it is below {limit}"
    scores = facts[str(report["settings"]["headline_k"])] if classifier == "knn" else facts
    reached = scores["accuracy"]["1"]["value"]
    return f"{target}: {classifier} accuracy {reached:.4f} is below {limit}" if reached < limit else None


def _fallen(compared: dict[str, Any]) -> list[str]:
    return [
        f"{target}: {classifier} accuracy fell from {facts['old']:.4f} to {facts['new']:.4f} "
        f"(p = {facts['difference']['p']:.4f})"
        for target, classifiers in compared.items()
        for classifier, facts in classifiers.items()
        if facts["worse"]
    ]
