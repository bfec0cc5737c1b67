"""The sections of a report: each is what one command prints about a store, or why it prints nothing."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from univar import __version__
from univar.errors import DataError, UsageError
from univar.store import Store
from univar.store.summary import summarize
from univar.tables import Table

MAX_ROWS = 200
"""Rows of a table that go into the page; what is left out is counted."""

_PACKAGES = ("numpy", "scipy", "torch", "pyarrow", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class Section:
    """A heading, tables and sentences, a PNG picture and what it shows, the command that gives the same."""

    title: str
    blocks: list[Table | str] = field(default_factory=list)
    command: str = ""
    picture: bytes = b""
    picture_shows: str = ""


def sections(store: Store, part: str, baseline: Store | None = None) -> list[Section]:
    """Everything that can be said about a store, in the order of the page.

    part:     part of the vectors that distances, values and the map are about
    baseline: an earlier release; the store is tested against it
    A section whose command cannot run on this store says why.
    """
    name = str(store.path)
    found = [_data(store), _encoder(store)]
    plan: list[tuple[str, str, Callable[[], Section]]] = [
        ("Distances between models", f"univar compare {name} --part {part}", lambda: _compare(store, part)),
        ("Map", f"univar map {name} --part {part} -o map.html", lambda: _map(store, part)),
        ("Values", f"univar profile {name} --part {part} --by model", lambda: _profile(store, part)),
        ("Languages", f"univar culture {name} --part {part}", lambda: _culture(store, part)),
    ]
    if baseline is not None:
        command = f"univar track {baseline.path} {name} --part {part}"
        plan.append(("Drift", command, lambda: _track(baseline, store, part)))
    for title, command, make in plan:
        try:
            section = make()
        except (DataError, UsageError) as error:
            section = Section(title, [f"Not shown: {error}."])
        found.append(Section(title, section.blocks, command, section.picture, section.picture_shows))
    return [*found, _limits(), _versions()]


def _data(store: Store) -> Section:
    facts = summarize(store)
    questions = store.codes("question_id")[1] if "question_id" in store.columns else []
    rows = [
        ["answers", f"{facts['rows']:,}"],
        ["models", f"{len(facts['models']):,}"],
        ["languages", ", ".join(f"{name} {count:,}" for name, count in facts["languages"].items())],
        ["question ids", f"{len(questions):,}"],
        ["rows whose text was cut", f"{facts['truncated']:,}"],
        ["rows of which only the question was read", f"{facts['question_only']:,}"],
    ]
    if facts["answer_tokens"]:
        share = facts["answer_tokens_read"] / facts["answer_tokens"]
        rows.append(["share of the answers' tokens that was read", f"{share:.1%}"])
    sources = Table(["source", "answers"], [[k, f"{n:,}"] for k, n in facts["sources"].items()], "Sources")
    return Section("Data", [Table(["", "count"], rows), sources], f"univar info {store.path}")


def _encoder(store: Store) -> Section:
    rows = [[name, str(value)] for name, value in store.encoder.items() if isinstance(value, str | int)]
    rows += [["parts", ", ".join(store.parts)], ["store", store.fingerprint]]
    return Section("Encoder", [Table(["", "value"], rows)], f"univar info {store.path}")


def _compare(store: Store, part: str) -> Section:
    from univar.compare.compare import compare
    from univar.compare.text import tables

    return Section("", [*tables(compare(store, part=part))])


def _map(store: Store, part: str) -> Section:
    from univar.map import draw_map
    from univar.map.draw import points_of_residuals

    points = points_of_residuals(store, "model", part)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "map.png"
        draw_map(points, path)
        picture = path.read_bytes()
    first, second = points.shares
    says = (
        f"The axes hold {first:.1%} and {second:.1%} of the variance ({points.note}). "
        "Distances on the picture mean little; distances are in the table above."
    )
    return Section("", [says], picture=picture, picture_shows=f"Map of {len(points.labels)} models")


def _profile(store: Store, part: str) -> Section:
    from univar.compare.profile import profile
    from univar.compare.profile_text import tables
    from univar.heads.value_probes import shipped

    probes = shipped(str(store.encoder["id"]), str(store.encoder["revision"]), part)
    if probes is None:
        raise UsageError(f"no value probes ship for {store.encoder['id']}, part {part}")
    return Section("", tables(profile(store, probes, by="model")))


def _culture(store: Store, part: str) -> Section:
    from univar.compare.culture import culture
    from univar.compare.culture_text import tables

    return Section("", tables(culture(store, part=part)))


def _track(baseline: Store, store: Store, part: str) -> Section:
    from univar.compare.releases import Releases, of_one_encoder
    from univar.compare.track import track
    from univar.compare.track_text import tables

    stores = of_one_encoder([baseline, store], None, None, lambda sentence: None)
    return Section("", [*tables(track(Releases(stores), part=part))])


def _limits() -> Section:
    says = [
        "A distance is between answers to these questions, through this encoder. "
        "It is not a distance between values as people hold them.",
        "A distance below the noise floor cannot be told from none.",
        "Scores of values are what probes find in the texts; their validity stands beside them.",
        f"Tables of more than {MAX_ROWS} rows are cut, and say so. The commands above print all rows.",
    ]
    return Section("Limits", [*says])


def _versions() -> Section:
    rows = [["univar", __version__], ["Python", platform.python_version()]]
    for package in _PACKAGES:
        try:
            rows.append([package, version(package)])
        except PackageNotFoundError:
            rows.append([package, "not installed"])
    return Section("Versions", [Table(["", "version"], rows)])
