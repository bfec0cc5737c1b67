"""The corpora of `make truth`: which rows of the development data, by which encoder, and their stores."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.data import read_answers
from univar.bulk import embed
from univar.store import Store

ENGLISH, OTHERS = "univar-2", "univar-2-multilingual"
COLUMNS = ["model", "language", "question_id", "question", "answer"]


@dataclass(frozen=True)
class Corpus:
    """One language of one source of the data.

    cluster:  the proposition of a row, the highest level that repeats; None: its question
    unseen:   only the eval rows of models that train lacks
    questions: at most so many questions of each side, drawn whole; 0: all
    """

    name: str
    source: str
    language: str
    cluster: str | None = None
    unseen: bool = False
    questions: int = 0

    @property
    def encoder(self) -> str:
        """What `univar embed` takes by itself for this language."""
        return ENGLISH if self.language == "en" else OTHERS

    @property
    def sides(self) -> tuple[str, ...]:
        return ("eval",) if self.unseen else ("train", "eval")

    def rows(self, side: str) -> pa.Table:
        """The answers of one side, columns COLUMNS."""
        table = read_answers(side=side)
        own = pc.and_(pc.equal(table["source"], self.source), pc.equal(table["language"], self.language))
        table = table.filter(own).select(COLUMNS)
        if self.unseen:
            known = read_answers(["model"], "train")["model"].combine_chunks().unique()
            table = table.filter(pc.invert(pc.is_in(table["model"], known)))
        return _whole_questions(table, self.questions)


CORPORA = (
    Corpus("political_compass_open", "political_compass_open", "en", "question_id:2"),
    Corpus("prismia", "prismia_likert", "en", "question_id:2"),
    Corpus("do_not_answer", "do_not_answer", "en"),
    Corpus("rakuda", "rakuda_ja", "ja"),
    Corpus("speechmap_en", "speechmap_criticism", "en"),
    Corpus("speechmap_zh", "speechmap_criticism", "zh"),
    Corpus("speechmap_fi", "speechmap_criticism", "fi"),
    Corpus("spain", "spain_politics", "es"),
    Corpus("speechmap_us_hard", "speechmap_us_hard", "en"),
    Corpus("llmzoo_en", "llmzoo", "en"),
    Corpus("llmzoo_zh", "llmzoo", "zh"),
    Corpus("mtbench_ja", "mtbench_ja", "ja"),
    Corpus("alpacaeval_unseen", "alpacaeval", "en", unseen=True, questions=120),
)
"""All corpora of the development data; of alpacaeval, which is not about values, the unseen models only."""

SMALLEST_FIRST = (
    "prismia llmzoo_en llmzoo_zh mtbench_ja speechmap_us_hard rakuda do_not_answer spain "
    "political_compass_open speechmap_zh speechmap_fi speechmap_en alpacaeval_unseen"
).split()


def corpus(name: str) -> Corpus:
    """The corpus of a name."""
    return next(one for one in CORPORA if one.name == name)


def stores(one: Corpus, work: Path) -> dict[str, Store]:
    """The stores of a corpus's sides below `work`; what is missing is embedded, by one thread a core."""
    found = {}
    for side in one.sides:
        folder, rows = work / one.name / side, one.rows(side)
        if not Store.exists(folder) or len(Store(folder)) < len(rows):
            report = embed(rows, folder, encoder=one.encoder, flush_s=10.0, on_note=_say)
            rate = report.embedded / max(report.seconds, 1e-9)
            _say(f"{one.name} {side}: {report.embedded:,} rows embedded, {rate:.0f} rows/s")
        found[side] = Store(folder)
    return found


def _whole_questions(table: pa.Table, most: int) -> pa.Table:
    """Rows of at most `most` questions, drawn with a fixed seed; 0: all."""
    ids = table["question_id"].combine_chunks().unique()
    if not most or len(ids) <= most:
        return table
    drawn = np.random.default_rng(0).permutation(len(ids))[:most]
    return table.filter(pc.is_in(table["question_id"], ids.take(pa.array(drawn))))


def _say(note: object) -> None:
    print(note, file=sys.stderr, flush=True)
