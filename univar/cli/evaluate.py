"""`univar evaluate`: attribution accuracy with honest statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from univar.cli.output import Output, output_options, table
from univar.errors import EXIT_FAILED, UsageError

NOTES = (
    "95 % intervals are over questions; chance is 1/labels; shuffled is the 95th percentile of the accuracy\n"
    "with shuffled train labels; TF-IDF is a logistic regression on the words of the answers alone."
)


@click.command()
@click.argument("train", type=click.Path(exists=True, file_okay=False))
@click.argument("eval", type=click.Path(exists=True, file_okay=False))
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
@click.option("--bootstrap", default=1000, show_default=True, help="Draws of questions for the intervals.")
@click.option("--permutations", default=100, show_default=True, help="Shuffles of the train labels.")
@click.option("--no-baseline", is_flag=True, help="Leave out TF-IDF, which needs scikit-learn.")
@click.option("--seed", default=0, show_default=True, help="Of draws, shuffles and the baseline.")
@click.option("--out", type=click.Path(dir_okay=False), help="Also write the whole report as JSON.")
@click.option("--force", is_flag=True, help="Overwrite the file of --out.")
@click.option(
    "--fail-under", multiple=True, metavar="TARGET=X", help="Exit 1 if the accuracy of a target is below X."
)
@output_options
def evaluate(
    train: str,
    eval: str,
    within: str | None,
    neighbours: str,
    targets: tuple[str, ...],
    bootstrap: int,
    permutations: int,
    no_baseline: bool,
    seed: int,
    out: str | None,
    force: bool,
    fail_under: tuple[str, ...],
    output: Output,
) -> None:
    """Attribute the rows of store EVAL by their nearest rows in store TRAIN; say how often that is right.

    Rows of EVAL whose question is in TRAIN are dropped. Models are comparable only where they answered the
    same questions: use --within with the column of the corpus.

    \b
    Example:
        univar evaluate runs/train runs/eval
        univar evaluate runs/train runs/eval --within language --target model -k 5,20 --json
    """
    from univar.evaluate import evaluate as run
    from univar.store import Store, fs

    limits = parse_limits(fail_under, targets)
    if out is not None and Path(out).exists() and not force:
        raise UsageError(f"{out} exists: choose another name for --out, or give --force")
    report = run(
        Store(train, check="blocks"),
        Store(eval, check="blocks"),
        k=parse_numbers(neighbours),
        targets=[column(target) for target in targets],
        within=column(within) if within else None,
        bootstrap=bootstrap,
        permutations=permutations,
        baseline=not no_baseline,
        seed=seed,
        on_progress=output.note,
    )
    if out is not None:
        with fs.new_file(Path(out)) as file:
            file.write(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False).encode())
    output.result(report, evaluation_text(report))
    failed = [line for target, limit in limits.items() if (line := _shortfall(report, target, limit))]
    for line in failed:
        output.note(line)
    if failed:
        raise SystemExit(EXIT_FAILED)


def column(name: str) -> str:
    """A column as the store calls it: `source-corpus` is `source_corpus`."""
    return name.replace("-", "_")


def parse_numbers(text: str) -> list[int]:
    """`5,20,50` as [5, 20, 50]."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"-k {text!r} is not a list of whole numbers such as 5,20,50")
    return list(dict.fromkeys(int(part) for part in parts))


def parse_limits(entries: tuple[str, ...], targets: tuple[str, ...]) -> dict[str, float]:
    """`--fail-under source=0.3` as {"source": 0.3}."""
    limits = {}
    for entry in entries:
        target, _, number = entry.partition("=")
        try:
            limits[column(target)] = float(number)
        except ValueError:
            raise UsageError(f"--fail-under {entry!r} is not TARGET=X such as source=0.30") from None
        if target not in targets:
            raise UsageError(
                f"--fail-under {entry!r}: {target!r} is none of the targets {', '.join(targets)}"
            )
    return limits


def _shortfall(report: dict[str, Any], target: str, limit: float) -> str | None:
    """What to say if a target's accuracy at the headline k, over all groups, is below the limit."""
    if target not in report["overall"]:
        return f"{target}: nothing could be evaluated, so it is below {limit}"
    k = str(report["settings"]["headline_k"])
    reached = report["overall"][target]["knn"][k]["accuracy"]["1"]["value"]
    return f"{target}: accuracy {reached:.4f} is below {limit}" if reached < limit else None


def evaluation_text(report: dict[str, Any]) -> str:
    """The report as a table, what was left out, and what the columns mean."""
    k = str(report["settings"]["headline_k"])
    rows, notes = [], []
    for group in report["groups"]:
        name = "all" if group["group"] is None else group["group"]
        for target, facts in group["targets"].items():
            if "skipped" in facts:
                notes.append(f"{name}, {target}: not evaluated, {facts['skipped']}")
                continue
            rows.append([name, target, *_cells(facts, k)])
            if facts["unseen_label_rows"]:
                unseen = f"{facts['unseen_label_rows']:,} rows left out, their label has no train row"
                notes.append(f"{name}, {target}: {unseen}")
    if len(report["groups"]) > 1:
        rows += [["together", target, *_cells(facts, k)] for target, facts in report["overall"].items()]
    headers = ["group", "target", "labels", "rows", "accuracy@1 [95 %]", "@5", "@10", "macro F1"]
    headers += ["chance", "majority", "shuffled", "TF-IDF@1 [95 %]"]
    counts = report["counts"]
    notes.append(
        f"{counts['leaked_rows']:,} of {counts['eval_rows']:,} rows dropped: their question is in train "
        f"({counts['leaked_questions']:,} questions)"
    )
    if counts["rows_without_train_group"]:
        notes.append(f"{counts['rows_without_train_group']:,} rows are in groups without train rows")
    title = f"k = {k}, {report['encoder']['id']}"
    return "\n\n".join([table(headers, rows, title), "\n".join(notes), NOTES])


def _cells(facts: dict[str, Any], k: str) -> list[str]:
    accuracy = facts["knn"][k]["accuracy"]
    macro = facts["knn"][k].get("macro_f1")
    return [
        f"{facts['labels']:,}" if "labels" in facts else "",
        f"{facts['rows']:,}",
        _interval(accuracy["1"]),
        f"{accuracy['5']['value']:.3f}",
        f"{accuracy['10']['value']:.3f}",
        f"{macro['value']:.3f}" if macro else "",
        f"{facts['chance']:.3f}",
        f"{facts['majority']:.3f}",
        f"{facts['permutation']['p95']:.3f}" if "permutation" in facts else "",
        _interval(facts["tfidf"]["accuracy"]["1"]) if "tfidf" in facts else "",
    ]


def _interval(value: dict[str, float]) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
