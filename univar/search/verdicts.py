"""Answer files through an index's source heads: a verdict for each answer as it is read, or one for each bag.

Rows get their verdicts batch by batch in constant memory. Bags are kept until the input ends, since a verdict
needs all of a bag's answers: on disk where they are many, see `univar.search.held_bags`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from univar.errors import UsageError
from univar.search.attribute import embedded
from univar.search.held_bags import HeldBags
from univar.search.index import Index
from univar.search.panel import cluster_of
from univar.search.verdict import Asked, Judge

if TYPE_CHECKING:
    import pyarrow as pa

    from univar.answers.rows import RowBatch
    from univar.encoder.encoder import Encoder
    from univar.search.sources import SourceModel
    from univar.store import Store

EVERYTHING = "all"
"""Name of the bag that --bag-all makes."""
ROWS_AT_ONCE = 512


def judge_answers(
    store: Store,
    model: SourceModel,
    batches: Iterable[RowBatch],
    encoder: Encoder,
    *,
    top: int,
    evidence: int,
    bag: str | None = None,
    with_columns: bool = False,
    judge: Judge | None = None,
) -> Iterator[dict[str, Any]]:
    """A verdict for each answer, or for each bag, best source first.

    bag: a column whose values name the bags; EVERYTHING for one bag of all; None for rows
    with_columns: add `columns`, the row's own (of a bag, those of its answers that are equal in all of them)
    judge: one made before with the same model, store, top and evidence; default: a new one
    Raises UsageError where the input lacks the column `bag`.
    """
    judge = judge or Judge(model, store, top, evidence, Index.open(store).search)
    spec = str(model.facts["cluster"])
    with HeldBags() as bags:
        yield from _rows(store, batches, encoder, judge, spec, bag, with_columns, bags)
        for name, asked, seen, columns in bags.bags():
            facts = judge.bag(asked)
            if seen > facts["n"]:
                facts["notes"].append(f"{facts['n']:,} of the bag's {seen:,} answers count, drawn at random")
            yield {"bag": name, **facts, **({"columns": columns} if with_columns else {})}


def _rows(
    store: Store,
    batches: Iterable[RowBatch],
    encoder: Encoder,
    judge: Judge,
    spec: str,
    bag: str | None,
    with_columns: bool,
    bags: HeldBags,
) -> Iterator[dict[str, Any]]:
    """A verdict for each answer; of bags none yet, their answers go to `bags`."""
    for batch in batches:
        if bag not in (None, EVERYTHING) and bag not in batch.table.column_names:
            raise UsageError(
                f"{batch.file} has no column {bag!r} to make bags by: its columns are "
                f"{', '.join(batch.table.column_names)}"
            )
        for first in range(0, batch.table.num_rows, ROWS_AT_ONCE):
            table = batch.table.slice(first, ROWS_AT_ONCE).combine_chunks()
            numbers = batch.rows[first : first + ROWS_AT_ONCE].tolist()
            asked = _asked(store, encoder, table, spec)
            columns = table.to_pylist() if with_columns else [None] * len(numbers)
            if bag is None:
                ids = table.column("id").to_pylist()
                for row, own, facts, kept in zip(numbers, ids, judge.rows(asked), columns, strict=True):
                    yield {"row": row, "id": own, **facts, **({"columns": kept} if with_columns else {})}
                continue
            names = [EVERYTHING] * len(numbers) if bag == EVERYTHING else table.column(bag).to_pylist()
            for n, name in enumerate(names):
                bags.add(name, asked, n, columns[n])


def _asked(store: Store, encoder: Encoder, table: pa.Table, spec: str) -> Asked:
    def texts(name: str) -> list[str]:
        known = name in table.column_names
        return table.column(name).to_pylist() if known else [""] * table.num_rows

    questions, answers = table.column("question"), table.column("answer")
    embeddings = embedded(store, encoder, questions.combine_chunks(), answers.combine_chunks())
    ids, asked = texts("question_id"), texts("question")
    column = spec.partition(":")[0]
    named = texts(column if column in table.column_names else "question_id")
    clusters = [
        cluster_of(name, spec) if name else (question or answer)
        for name, question, answer in zip(named, asked, texts("answer"), strict=True)
    ]
    return Asked(embeddings, texts("answer"), asked, ids, texts("language"), clusters)
