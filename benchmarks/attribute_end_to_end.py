"""What `univar attribute` costs beyond the embedding of the same answers: the two take turns.

    python -m benchmarks.attribute_end_to_end STORE ANSWERS [--rows 1024] [--rounds 5] [--bags] [--json FILE]

STORE has an index with source heads; its fit is not counted, and the encoder and the heads are loaded before.
Both read the same rows and run on one thread; the ratio is taken within each round, of processor and of wall
seconds. --bags judges the rows in bags by `model` instead of one by one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import paired
from univar.answers import RowBatch, read_rows
from univar.search import Index, source_files
from univar.search.attribute import embedded, store_encoder
from univar.search.verdict import Judge
from univar.search.verdicts import ROWS_AT_ONCE, judge_answers
from univar.store import Store


def first_rows(path: str, rows: int) -> list[RowBatch]:
    """The first rows of an answer file, as batches."""
    found, left = [], rows
    for batch in read_rows(path, required=("answer",), on_rejected=print):
        found.append(RowBatch(batch.table.slice(0, left), batch.file, batch.rows[:left]))
        left -= found[-1].table.num_rows
        if left <= 0:
            break
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("answers")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bags", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    store = Store(given.store)
    model = source_files.load(store)
    if model is None:
        raise SystemExit(f"{given.store} has no source heads: run univar index")
    encoder = store_encoder(store, threads=1)
    judge = Judge(model, store, 5, 3, Index.open(store).search)
    batches = first_rows(given.answers, given.rows)
    options = {"top": 5, "evidence": 3, "bag": "model" if given.bags else None, "judge": judge}

    def embed() -> None:
        for batch in batches:
            for first in range(0, batch.table.num_rows, ROWS_AT_ONCE):
                table = batch.table.slice(first, ROWS_AT_ONCE).combine_chunks()
                texts = (table.column(name).combine_chunks() for name in ("question", "answer"))
                embedded(store, encoder, *texts)

    def attribute() -> None:
        for _ in judge_answers(store, model, batches, encoder, **options):
            pass

    contenders = {name: (lambda run=run: paired.cost_of(run)) for name, run in
                  (("embed", embed), ("attribute", attribute))}  # fmt: skip
    paired.one_round(contenders, 0)  # warms both up
    rounds = list(paired.take_turns(contenders, given.rounds))
    report = {
        "store": given.store.name,
        "rows_of_the_store": len(store),
        "sources": len(model.labels),
        "answers": sum(batch.table.num_rows for batch in batches),
        "bags": given.bags,
        "attribute_over_embed_cpu": paired.spread(paired.ratios(rounds, "attribute", "embed", "cpu_s")),
        "attribute_over_embed_wall": paired.spread(paired.ratios(rounds, "attribute", "embed")),
        "embed_cpu_s": round(paired.median(rounds, "embed", "cpu_s"), 3),
    }
    print(json.dumps(report, indent=1))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
