"""The whole chain on a shipped corpus, offline: embed, index, attribute held-out questions, draw a map."""

from __future__ import annotations

import importlib.resources
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from univar.bulk import embed
from univar.encoder.encoder import Encoder
from univar.errors import DataError
from univar.evaluate import Report, evaluate
from univar.map import draw_map
from univar.map.draw import points_of_residuals
from univar.map.page_file import write_page
from univar.report import sections, write_report
from univar.search import Attributor, Index
from univar.store import Store

HELD_OUT_SHARE = 0.3
EXAMPLES = 3
NEIGHBOURS = 20


@dataclass(frozen=True)
class DemoReport:
    """What the demo found and made.

    embedded: counts of both stores; examples: attributed held-out answers; map: the picture's file
    map_page, report: HTML files, of the reference store
    """

    folder: str
    embedded: dict[str, dict[str, Any]]
    evaluation: Report
    examples: list[dict[str, Any]]
    map: str
    map_page: str
    report: str

    def to_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return {**vars(self), "evaluation": self.evaluation.to_json()}


def run_demo(folder: str | Path, encoder: Encoder, note: Callable[[str], None]) -> DemoReport:
    """Run the demo in `folder`; a second run continues the stores that are there.

    note: gets a sentence about each step
    """
    folder = Path(folder)
    reference, held_out = split_corpus(folder)
    embedded = {}
    for part in (reference, held_out):
        report = embed([part], folder / part.stem, encoder=encoder)
        note(report.summary())
        embedded[part.stem] = report.facts()
    train, test = Store(folder / reference.stem), Store(folder / held_out.stem)
    index = Index.build(train)
    index.save()
    note("evaluating: attribution of held-out questions, with intervals, controls and a TF-IDF baseline")
    evaluation = evaluate(train, test)
    picture = folder / "map.png"
    draw_map(train, picture)
    note("drawing the map and writing the report")
    map_page, page = _pages(train, folder)
    examples = attributed_examples(index, test)
    return DemoReport(str(folder), embedded, evaluation, examples, str(picture), str(map_page), str(page))


def _pages(store: Store, folder: Path) -> tuple[Path, Path]:
    """The map to explore and the report of a store."""
    part = "values" if "values" in store.parts else next(iter(store.parts))
    page, report = folder / "map.html", folder / "report.html"
    write_page(store, points_of_residuals(store, "source", part), page, force=True)
    write_report(sections(store, part), report, "Report of the demo", force=True)
    return page, report


def split_corpus(folder: Path) -> tuple[Path, Path]:
    """Write the shipped rows as `reference.jsonl` and `heldout.jsonl`: no question is in both."""
    corpus = importlib.resources.files("univar.demo_data") / "answers.jsonl"
    if not corpus.is_file():
        raise DataError("this installation lacks the demo's answers.jsonl: install univar-embed again")
    parts: dict[bool, list[str]] = {False: [], True: []}
    for line in corpus.read_text(encoding="utf-8").splitlines():
        parts[is_held_out(json.loads(line)["question_id"])].append(line + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    reference, held_out = folder / "reference.jsonl", folder / "heldout.jsonl"
    reference.write_text("".join(parts[False]), encoding="utf-8")
    held_out.write_text("".join(parts[True]), encoding="utf-8")
    return reference, held_out


def is_held_out(question_id: str) -> bool:
    """Whether a question is kept for the test: the same on every machine, whatever else the corpus holds."""
    return zlib.crc32(question_id.encode()) / 2**32 < HELD_OUT_SHARE


def attributed_examples(index: Index, test: Store) -> list[dict[str, Any]]:
    """A few held-out answers, evenly spread, with their true source and those that their neighbours name."""
    rows = np.linspace(0, len(test) - 1, EXAMPLES).astype(np.int64)
    found = Attributor(index, NEIGHBOURS).attribute(test.embeddings[rows], top=3, evidence=1)
    columns = [test.text(name, rows) for name in ("source", "question", "answer")]
    return [
        {"truth": source, "question": question, "answer": answer, **facts}
        for source, question, answer, facts in zip(*columns, found, strict=True)
    ]
