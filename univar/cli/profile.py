"""`univar profile`: the values that each source's answers carry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from univar.cli.common import Output, table_options

if TYPE_CHECKING:
    from univar.heads.value_probes import ValueProbes
    from univar.store import Store

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--by",
    type=click.Choice(["source", "model", "language"]),
    default="source",
    show_default=True,
    help="What gets a profile: a model in a language, a model, or a language.",
)
@click.option(
    "--centre",
    type=click.Choice(["auto", "question", "none"]),
    default="auto",
    show_default=True,
    help="Scores beyond other sources' answers to the same question, or as they are.",
)
@click.option("--against", metavar="MODEL", help="Also compare every source with this model.")
@click.option("--cluster", metavar="COLUMN", help="Column that intervals are over. Default: question_id.")
@click.option("--part", metavar="NAME", help="Part of the vectors. Default: values.")
@click.option("--labels", type=FILE, help="Answers labelled with values, to train probes on.")
@click.option("--other-labels", type=FILE, help="Further labelled answers, to check new probes on.")
@click.option("--probes", "probe_file", type=FILE, help="Probes that --save-probes wrote.")
@click.option("--save-probes", type=NEW_FILE, help="Write the probes that --labels gave.")
@click.option("-e", "--encoder", metavar="SPEC", help="Location of the store's encoder, for --labels.")
@click.option("--picture", type=NEW_FILE, help="Draw the circle of values, a circle for each language.")
@click.option("--maps", type=NEW_FILE, help="Draw a small map for each value with all sources.")
@click.option("--force", is_flag=True, help="Overwrite files.")
@table_options
def profile(
    store: Path,
    by: str,
    centre: str,
    against: str | None,
    cluster: str | None,
    part: str | None,
    labels: Path | None,
    other_labels: Path | None,
    probe_file: Path | None,
    save_probes: Path | None,
    encoder: str | None,
    picture: Path | None,
    maps: Path | None,
    force: bool,
    output: Output,
) -> None:
    """Say which of the 20 Schwartz values the answers of each source in STORE carry most.

    Value probes give each answer a score on each value; their validity is printed beside. Probes ship for the
    packaged encoders; for another one, --labels trains them.

    \b
    Example:
        univar profile runs/answers
        univar profile runs/answers --by model --json
        univar profile runs/answers --picture values.svg
    """
    from univar import files
    from univar.cli.progress import Waiting
    from univar.compare.profile import profile as run
    from univar.compare.profile_text import facts, tables
    from univar.store import Store

    for path in (picture, maps, save_probes):
        if path is not None:
            files.refuse_existing(path, force)
    opened = Store(store)
    chosen = choose_part(opened, part, output)
    if probe_file is None and labels is None:
        probes = _shipped(opened, chosen)
    else:
        probes = _own_probes(opened, chosen, probe_file, labels, other_labels, encoder, output)
    if save_probes is not None:
        probes.save(save_probes, force=force)
        output.note(f"probes of {len(probes.values)} values -> {save_probes}")
    with Waiting("scoring values", output):
        found = run(opened, probes, by=by, centring=centre, against=against, cluster=cluster)
    if picture is not None or maps is not None:
        from univar.compare.circle import draw_circles, draw_maps

        if picture is not None:
            draw_circles(found, picture)
        if maps is not None:
            draw_maps(found, opened, maps)
    output.result(facts(found), tables(found))


def choose_part(store: Store, part: str | None, output: Output) -> str:
    """The part asked for, `values` by default; a store that has none is taken with a warning."""
    if part is not None:
        store.embeddings_of_part(part)  # says which there are
        return part
    if "values" in store.parts:
        return "values"
    only = next(iter(store.parts))
    output.note(
        f"{store.encoder['id']} has no part for values: its vectors tell sources apart (style), "
        "and differences in values are not to be read off them. Embed with another encoder for that."
    )
    return only


def _shipped(store: Store, part: str) -> ValueProbes:
    from univar.errors import UsageError
    from univar.heads.value_probes import shipped

    id, revision = str(store.encoder["id"]), str(store.encoder["revision"])
    probes = shipped(id, revision, part)
    if probes is None:
        raise UsageError(
            f"no value probes ship for {id} (revision {revision}), part {part}: train some with "
            "--labels FILE, or embed with minilm or e5-multilingual"
        )
    return probes


def _own_probes(
    store: Store,
    part: str,
    probe_file: Path | None,
    labels: Path | None,
    other_labels: Path | None,
    encoder: str | None,
    output: Output,
) -> ValueProbes:
    from univar.errors import DataError, UsageError
    from univar.heads.value_probes import ValueProbes

    made_by = {name: store.encoder[name] for name in ("id", "revision", "dim")}
    if labels is None or probe_file is not None:
        if labels is not None or probe_file is None:
            raise UsageError("give --labels or --probes, not both")
        probes = ValueProbes.load(probe_file)
        theirs = {name: probes.encoder[name] for name in made_by}
        if (theirs, probes.part) != (made_by, part):
            raise DataError(
                f"{probe_file} holds probes of {theirs}, {probes.part}; the store has {made_by}, {part}"
            )
        return probes
    from univar.answers.labelled import read_labelled
    from univar.encoder.reading import ReadOptions
    from univar.heads.train_values import train
    from univar.search.attribute import store_encoder

    labelled = read_labelled(labels)
    other = None if other_labels is None else read_labelled(other_labels)
    loaded = store_encoder(store, encoder)
    read = ReadOptions.from_text_format(store.text_format)
    output.note(f"training probes on {len(labelled.answers):,} labelled answers of {labels.name}")
    data = {"labels": labels.name, "other": None if other_labels is None else other_labels.name}
    return train(made_by, part, lambda q, a: loaded.encode_qa(q, a, part, read=read), labelled, data, other)
