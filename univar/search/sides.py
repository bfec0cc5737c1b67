"""The two sides of a comparison of sources: stores, or answer files that are embedded on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from univar import schema
from univar.errors import DataError, UsageError
from univar.search.panel import cluster_of, question_key
from univar.search.same import Side

if TYPE_CHECKING:
    from univar.answers.inputs import Reading
    from univar.encoder.encoder import Encoder

DEFAULT_ENCODER = "minilm"


def read_sides(
    paths: tuple[str, str],
    *,
    encoder: str | None,
    part: str | None,
    cluster: str,
    reading: Reading | None,
    on_note: Callable[[str], object],
) -> tuple[Side, Side]:
    """Both sides in the same vectors.

    encoder: of answer files; default: that of a side that is a store, else DEFAULT_ENCODER
    part:    a named part of the vectors; cluster: COLUMN or COLUMN:N
    Raises DataError for stores of different encoders, UsageError for a part or column that is not there.
    """
    from univar.search.attribute import store_encoder
    from univar.store import Store, encoder_differences

    stores = [Store(path) if os.path.isdir(path) else None for path in paths]
    known = [store for store in stores if store is not None]
    if len(known) == 2:
        for name, ours, theirs in encoder_differences(known[0].encoder, known[1].encoder):
            raise DataError(
                f"{paths[0]} and {paths[1]} differ in the encoder's {name}: {ours!r} and {theirs!r}"
            )
    used: Encoder | None = None
    if len(known) < 2:
        if known:
            used = store_encoder(known[0], encoder)
        else:
            from univar.encoder.encoder import Encoder

            used = Encoder(encoder or DEFAULT_ENCODER)
    sides = []
    for path, store in zip(paths, stores, strict=True):
        if store is not None:
            embeddings = store.embeddings if part is None else store.embeddings_of_part(part)
            named = cluster.partition(":")[0]
            columns = {c: store.column(c).tolist() for c in {"question_id", "question", named}}
            sides.append(side_of(np.asarray(embeddings, np.float32), columns, cluster))
        else:
            assert used is not None
            text_format = known[0].text_format if known else None
            sides.append(_of_file(path, used, part, cluster, reading, text_format, on_note))
    return sides[0], sides[1]


def _of_file(
    path: str,
    encoder: Encoder,
    part: str | None,
    cluster: str,
    reading: Reading | None,
    text_format: str | None,
    on_note: Callable[[str], object],
) -> Side:
    from univar.answers import read_rows

    rejected: list[Any] = []
    parts = []
    names = ("question_id", "question", cluster.partition(":")[0])
    columns: dict[str, list[str]] = {name: [] for name in names}
    rows = read_rows(path, required=("answer",), on_rejected=rejected.append, reading=reading)
    for batch in rows:
        for name, texts in columns.items():
            if name not in batch.table.column_names:
                raise UsageError(f"{path} has no column {name!r}: give --cluster one that it has")
            texts += batch.table.column(name).to_pylist()
        questions, answers = (batch.table.column(c).combine_chunks() for c in ("question", "answer"))
        if text_format == schema.TEXT_FORMAT:
            parts.append(encoder.encode(schema.qa_texts(questions, answers).to_pylist()))
        else:
            from univar.encoder.reading import ReadOptions

            read = None if text_format is None else ReadOptions.from_text_format(text_format)
            parts.append(encoder.encode_qa(questions, answers, read=read))
    if rejected:
        first = rejected[0]
        on_note(f"{path}: {len(rejected)} rows were rejected; the first, row {first.row}: {first.reason}")
    return side_of(part_of(np.concatenate(parts), encoder.parts, part), columns, cluster)


def part_of(embeddings: np.ndarray, parts: Mapping[str, slice], part: str | None) -> np.ndarray:
    """The columns of one of an encoder's parts, rows of length 1; all of them for None.

    embeddings: (n, dim) float32. Raises UsageError for a part that is not there.
    """
    if part is None:
        return embeddings
    if part not in parts:
        raise UsageError(f"the encoder has no part {part!r}: it has {', '.join(parts)}")
    own = embeddings[:, parts[part]]
    unit: np.ndarray = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
    return unit


def side_of(embeddings: np.ndarray, columns: dict[str, list[str]], cluster: str) -> Side:
    """The side of answers with these vectors.

    embeddings: (n, D) float32; columns: n texts each of question_id, question and the column of `cluster`
    """
    ids = [
        own or question_key(text)
        for own, text in zip(columns["question_id"], columns["question"], strict=True)
    ]
    column = columns[cluster.partition(":")[0]]
    clusters = [cluster_of(text, cluster) or own for text, own in zip(column, ids, strict=True)]
    return Side(embeddings, np.array(ids, dtype=object), np.array(clusters, dtype=object))
